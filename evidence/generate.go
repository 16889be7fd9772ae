package evidence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/engine/policy"
)

// Usage collects what a principal asked for, to make policies of it that allow this and nothing else.
type Usage struct {
	resources map[string]map[string]bool // by action
	size      int
}

// maxUsage bounds what is collected: pairs of an action and a resource.
const maxUsage = 50_000

// ErrTooMuch says that a principal used more than a policy can list.
var ErrTooMuch = errors.New("the principal used more resources than policies can list one by one: narrow the time")

// Add takes an action and the resource it was asked for, "*" or empty for none.
func (u *Usage) Add(action, resource string) error {
	if action == "" {
		return nil
	}
	if resource == "" {
		resource = "*"
	}
	if u.resources == nil {
		u.resources = make(map[string]map[string]bool)
	}
	if u.resources[action] == nil {
		u.resources[action] = make(map[string]bool)
	}
	if !u.resources[action][resource] {
		if u.size++; u.size > maxUsage {
			return ErrTooMuch
		}
		u.resources[action][resource] = true
	}
	return nil
}

// AddCall takes what was asked for in a recorded call: what was allowed if the call succeeded, and with denied set also what was denied, and what was
// allowed before that.
func (u *Usage) AddCall(record, trace []byte, denied bool) error {
	var rec recorded
	if err := json.Unmarshal(record, &rec); err != nil {
		return fmt.Errorf("reading an audit record: %w", err)
	}
	asked, err := Parse(trace)
	if err != nil {
		return err
	}
	refused := slices.ContainsFunc(asked.Asked, func(q Question) bool { return q.Denied() })
	if rec.ErrorCode != "" && !(denied && refused) {
		return nil
	}
	for _, q := range asked.Asked {
		if q.As == nil && (q.Allowed() || denied && q.Denied()) {
			if err := u.Add(q.Action, q.Resource); err != nil {
				return err
			}
		}
	}
	return nil
}

// PolicySize is how many characters a managed policy may have, not counting white space:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const PolicySize = 6144

// document of a policy that is generated.
type policyDocument struct {
	Version   string
	Statement []*policyStatement
}

type policyStatement struct {
	Effect   string
	Action   []string
	Resource []string
}

// Policies returns identity-based policies that allow what was added and nothing else, none if nothing was. Actions that were used on the same resources stand in
// one statement. The documents are the same for the same usage; there are several where one would be larger than PolicySize.
func (u *Usage) Policies() ([]string, error) {
	groups := make(map[string]*policyStatement) // by their resources
	for _, action := range slices.Sorted(maps.Keys(u.resources)) {
		resources := slices.Sorted(maps.Keys(u.resources[action]))
		key := strings.Join(resources, "\x00")
		if groups[key] == nil {
			groups[key] = &policyStatement{Effect: "Allow", Resource: resources}
		}
		groups[key].Action = append(groups[key].Action, action)
	}
	statements := slices.SortedFunc(maps.Values(groups), func(a, b *policyStatement) int { return slices.Compare(a.Action, b.Action) })
	var docs []string
	doc := policyDocument{Version: "2012-10-17"}
	flush := func() error {
		if len(doc.Statement) == 0 {
			return nil
		}
		text, err := doc.text()
		docs = append(docs, text)
		doc.Statement = nil
		return err
	}
	for _, s := range statements {
		for piece := range s.pieces {
			doc.Statement = append(doc.Statement, piece)
			if doc.size() <= PolicySize {
				continue
			}
			if len(doc.Statement) == 1 {
				return nil, fmt.Errorf("%s on %.100s does not fit into a policy", piece.Action[0], piece.Resource[0])
			}
			doc.Statement = doc.Statement[:len(doc.Statement)-1]
			if err := flush(); err != nil {
				return nil, err
			}
			doc.Statement = append(doc.Statement, piece)
		}
	}
	if err := flush(); err != nil {
		return nil, err
	}
	return docs, nil
}

// pieces yields the statement, or parts of it where it is too large for a policy of its own.
func (s *policyStatement) pieces(yield func(*policyStatement) bool) {
	const half = PolicySize/2 - 100 // for the actions, and for the resources
	for actions := range bySize(s.Action, half) {
		for resources := range bySize(s.Resource, half) {
			escaped := make([]string, len(resources))
			for i, r := range resources {
				escaped[i] = escape(r)
			}
			if !yield(&policyStatement{s.Effect, actions, escaped}) {
				return
			}
		}
	}
}

// bySize yields runs of texts that are not longer than limit together with their quotes, or that are one text.
func bySize(texts []string, limit int) func(yield func([]string) bool) {
	return func(yield func([]string) bool) {
		from, size := 0, 0
		for i, t := range texts {
			n := len(escape(t)) + len(`"",`)
			if i > from && size+n > limit {
				if !yield(texts[from:i]) {
					return
				}
				from, size = i, 0
			}
			size += n
		}
		if from < len(texts) {
			yield(texts[from:])
		}
	}
}

// escape makes a pattern that matches exactly the resource: the characters of patterns stand for themselves inside of ${}.
func escape(resource string) string {
	if resource == "*" || !strings.ContainsAny(resource, "*?$") {
		return resource
	}
	return strings.NewReplacer("*", "${*}", "?", "${?}", "$", "${$}").Replace(resource)
}

func (d *policyDocument) size() int {
	b, _ := encodeJSON(d, "") // strings only
	n := 0
	for _, c := range b {
		if c > ' ' {
			n++
		}
	}
	return n
}

// text is the document for people. It must be one that IAM takes.
func (d *policyDocument) text() (string, error) {
	b, err := encodeJSON(d, "  ")
	if err != nil {
		return "", err
	}
	if _, err := policy.Parse(b, policy.Identity); err != nil {
		return "", fmt.Errorf("a generated policy is not valid: %w", err)
	}
	return string(b), nil
}

func encodeJSON(v any, indent string) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	err := enc.Encode(v)
	return b.Bytes(), err
}

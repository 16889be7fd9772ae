package organization

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/store"
)

// TagPolicy is the type of policy that says how tags are written.
const TagPolicy = "TAG_POLICY"

// The operators of policies that are inherited rather than weighed:
// https://docs.aws.amazon.com/organizations/latest/userguide/policy-operators.html
const (
	assign   = "@@assign"
	add      = "@@append"
	remove   = "@@remove"
	forChild = "@@operators_allowed_for_child_policies"

	all  = "@@all"
	none = "@@none"
)

// operators says which of the three operators that set values may be used.
type operators uint8

const (
	mayAssign operators = 1 << iota
	mayAppend
	mayRemove

	mayAll = mayAssign | mayAppend | mayRemove
)

func operatorOf(name string) operators {
	switch name {
	case assign:
		return mayAssign
	case add:
		return mayAppend
	case remove:
		return mayRemove
	case all:
		return mayAll
	}
	return 0
}

// element is a part of a document: a map of elements or, where operators stand, a setting.
type element map[string]any

var (
	errNotObject = errors.New("a policy is a JSON object")
	errEmpty     = errors.New("a policy that sets nothing")
)

// CheckInherited returns an error unless content is a document of a type that is inherited: an object in whose depths operators set values. A tag policy has
// to have the form that AWS gives it, too.
func CheckInherited(policyType, content string) error {
	doc, err := readElement(content)
	if err != nil {
		return err
	}
	if len(doc) == 0 {
		return errEmpty
	}
	if err := checkElement("", doc); err != nil {
		return err
	}
	if policyType == TagPolicy {
		return checkTags(doc)
	}
	return nil
}

func readElement(content string) (element, error) {
	dec := json.NewDecoder(strings.NewReader(content))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("the policy is not JSON: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("there is something behind the policy")
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errNotObject
	}
	return m, nil
}

func checkElement(path string, e element) error {
	operated := false
	for name, v := range e {
		at := path + "/" + name
		if !strings.HasPrefix(name, "@@") {
			within, ok := v.(map[string]any)
			if !ok {
				return fmt.Errorf("%s: a value is set by an operator such as %s", at, assign)
			}
			if err := checkElement(at, within); err != nil {
				return err
			}
			continue
		}
		switch name {
		case forChild:
			list, ok := v.([]any)
			if !ok {
				return fmt.Errorf("%s: a list of operators is expected", at)
			}
			for _, o := range list {
				if s, _ := o.(string); s != none && operatorOf(s) == 0 {
					return fmt.Errorf("%s: unknown operator %v", at, o)
				}
			}
		case assign, add, remove:
			operated = true
			if !isValue(v) {
				return fmt.Errorf("%s: a value or a list of values is expected", at)
			}
		default:
			return fmt.Errorf("%s: unknown operator", at)
		}
	}
	if operated {
		for name := range e {
			if !strings.HasPrefix(name, "@@") {
				return fmt.Errorf("%s: what has a value has no elements such as %s", path, name)
			}
		}
		if _, ok := e[assign]; ok && (e[add] != nil || e[remove] != nil) {
			return fmt.Errorf("%s: %s stands alone", path, assign)
		}
	}
	return nil
}

// isValue reports whether v is a scalar or a list of them.
func isValue(v any) bool {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	for _, x := range list {
		switch x.(type) {
		case string, json.Number, bool:
		default:
			return false
		}
	}
	return true
}

// checkTags checks the form of a tag policy: https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_example-tag-policies.html
func checkTags(doc element) error {
	for name := range doc {
		if name != "tags" && name != forChild {
			return fmt.Errorf("/%s: a tag policy has tags only", name)
		}
	}
	tags, ok := doc["tags"].(map[string]any)
	if !ok {
		return errors.New("a tag policy has tags")
	}
	folded := map[string]bool{}
	for key, v := range tags {
		if strings.HasPrefix(key, "@@") {
			continue
		}
		if low := strings.ToLower(key); folded[low] {
			return fmt.Errorf("/tags/%s: the same key twice", key)
		} else {
			folded[low] = true
		}
		for name := range v.(map[string]any) {
			switch name {
			case "tag_key", "tag_value", "enforced_for", "report_required_tag_for", forChild:
			default:
				return fmt.Errorf("/tags/%s/%s: unknown element", key, name)
			}
		}
	}
	return nil
}

// node is an element of the policy that is being put together.
type node struct {
	within  map[string]*node
	value   any       // nil, a scalar or a []any
	allowed operators // what the levels below may do here and in all that is within
	next    operators // what the policies of the level at hand leave of it
}

func newNode(allowed operators) *node { return &node{allowed: allowed, next: allowed} }

// Effective puts the documents together that an account inherits, of a type whose policies are: levels from the root to the account, at each level in the order of
// attachment. What a level allows the ones below to do binds them all, and cannot be widened again.
func Effective(policyType string, levels [][]string) (string, error) {
	root := newNode(mayAll)
	for _, docs := range levels {
		for _, content := range docs {
			doc, err := readElement(content)
			if err != nil {
				return "", err
			}
			if policyType == TagPolicy {
				doc = foldTags(doc)
			}
			root.merge(doc)
		}
		root.settle(mayAll)
	}
	if policyType == TagPolicy && root.within["tags"] != nil {
		for key, tag := range root.within["tags"].within {
			if tag.show() != nil && (tag.within["tag_key"] == nil || tag.within["tag_key"].value == nil) {
				tag.within["tag_key"] = &node{value: key} // where nobody says otherwise the key is written small
			}
		}
	}
	v := root.show()
	if v == nil {
		v = map[string]any{}
	}
	out, err := json.Marshal(v)
	return string(out), err
}

// foldTags has tag keys in lower case, as effective tag policies do: the keys of a policy name a tag whatever its case.
func foldTags(doc element) element {
	tags, ok := doc["tags"].(map[string]any)
	if !ok {
		return doc
	}
	folded := make(map[string]any, len(tags))
	for k, v := range tags {
		if !strings.HasPrefix(k, "@@") {
			k = strings.ToLower(k)
		}
		folded[k] = v
	}
	doc = maps.Clone(doc)
	doc["tags"] = folded
	return doc
}

func (n *node) merge(e element) {
	if list, ok := e[forChild].([]any); ok {
		var may operators
		for _, o := range list {
			s, _ := o.(string)
			may |= operatorOf(s)
		}
		n.next &= may
	}
	if v, ok := e[assign]; ok && n.allowed&mayAssign != 0 {
		n.value = v
		if list, ok := v.([]any); ok {
			n.value = slices.Clone(list)
		}
	}
	if v, ok := e[add]; ok && n.allowed&mayAppend != 0 {
		have := asList(n.value)
		for _, x := range asList(v) {
			if !slices.Contains(have, x) {
				have = append(have, x)
			}
		}
		n.value = have
	}
	if v, ok := e[remove]; ok && n.allowed&mayRemove != 0 {
		gone := asList(v)
		n.value = slices.DeleteFunc(asList(n.value), func(x any) bool { return slices.Contains(gone, x) })
	}
	for _, name := range slices.Sorted(maps.Keys(e)) {
		within, ok := e[name].(map[string]any)
		if !ok || strings.HasPrefix(name, "@@") {
			continue
		}
		if n.within == nil {
			n.within = make(map[string]*node)
		}
		if n.within[name] == nil {
			n.within[name] = newNode(n.allowed)
		}
		n.within[name].merge(within)
	}
}

// asList returns a copy of a list, or a list of one.
func asList(v any) []any {
	switch v := v.(type) {
	case nil:
		return []any{}
	case []any:
		return slices.Clone(v)
	default:
		return []any{v}
	}
}

// settle makes what a level has said about those below binding.
func (n *node) settle(above operators) {
	n.allowed &= n.next & above
	n.next = n.allowed
	for _, w := range n.within {
		w.settle(n.allowed)
	}
}

// show is the element as a JSON value, or nil if there is nothing in it.
func (n *node) show() any {
	if n.value != nil {
		if list, ok := n.value.([]any); ok && len(list) == 0 {
			return nil
		}
		return n.value
	}
	out := make(map[string]any)
	for name, w := range n.within {
		if v := w.show(); v != nil {
			out[name] = v
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// Inherited returns the documents of a type at each level from the root to an account, as Effective takes them, and when the last change of
// any took effect: never, if there is none.
func Inherited(r store.Reader, o *Organization, a *Account, policyType string) (levels [][]string, updated time.Time, err error) {
	chain, err := Chain(r, o, a.Parent)
	if err != nil {
		return nil, updated, err
	}
	for _, target := range append(chain, a.ID) {
		var here []*Attachment
		for at, err := range Attachments.In(o.Management, "").Scan(r, store.Query{Prefix: store.Key{target, policyType}}) {
			if err != nil {
				return nil, updated, err
			}
			here = append(here, at)
		}
		slices.SortStableFunc(here, func(a, b *Attachment) int {
			return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Policy, b.Policy))
		})
		var docs []string
		for _, at := range here {
			p, err := Find(r, o, at.Policy)
			if err != nil {
				return nil, updated, err
			}
			docs = append(docs, p.Content)
			for _, when := range []time.Time{at.Created, p.Updated} {
				if when.After(updated) {
					updated = when
				}
			}
		}
		levels = append(levels, docs)
	}
	return levels, updated, nil
}

package eventpattern

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
)

// Scope is what of a message a filter policy looks at.
type Scope string

// The scopes that there are.
const (
	MessageAttributes Scope = "MessageAttributes"
	MessageBody       Scope = "MessageBody"
)

// The limits of a filter policy.
const (
	maxPolicyKeys         = 5
	maxPolicyCombinations = 150
)

// FilterPolicy says which messages of a topic a subscription gets. It is immutable, and safe for concurrent use.
type FilterPolicy struct {
	scope   Scope
	pattern *Pattern
	body    *Matcher[struct{}] // in the scope of the body
}

// Attribute is an attribute of a message, as it is published.
type Attribute struct {
	Name  string
	Type  string // String, String.Array, Number or Binary, also with a label of one's own behind a dot
	Value string // of what is not binary
}

// FilterPolicyError is what is wrong with a filter policy. SNS puts "Invalid parameter: " in front of it, or, if it comes with a new subscription,
// "Invalid parameter: Attributes Reason: ".
type FilterPolicyError struct{ reason string }

// Error is the message.
func (e *FilterPolicyError) Error() string { return e.reason }

func policyError(reason string) error { return &FilterPolicyError{"FilterPolicy: " + reason} }

// CompileFilterPolicy compiles a filter policy. An error is a *FilterPolicyError. A policy without keys lets everything through.
func CompileFilterPolicy(text string, scope Scope) (*FilterPolicy, error) {
	var compact bytes.Buffer // as it is in messages
	if json.Compact(&compact, []byte(text)) != nil {
		return nil, policyError("failed to parse JSON.")
	}
	f := &FilterPolicy{scope: scope}
	if compact.String() == "{}" {
		return f, nil
	}
	var keys map[string]any
	if json.Unmarshal(compact.Bytes(), &keys) == nil && len(keys) > maxPolicyKeys {
		return nil, policyError("Filter policy can not have more than 5 keys")
	}
	pattern, err := parse(compact.String())
	if e := (*Error)(nil); errors.As(err, &e) {
		return nil, policyError(e.reason)
	}
	if combinations(keys, 1) > maxPolicyCombinations {
		return nil, policyError("Filter policy is too complex")
	}
	if scope == MessageAttributes && nested(keys) {
		return nil, &FilterPolicyError{"Filter policy scope MessageAttributes does not support nested filter policy"}
	}
	f.pattern = pattern
	if scope == MessageBody {
		s := NewSet[struct{}]()
		s.Add(struct{}{}, pattern)
		f.body = s.Matcher()
	}
	return f, nil
}

// combinations is how SNS measures a policy: the product of how many values each key has, times how deep it is. What $or offers is added up.
func combinations(object map[string]any, depth int) int {
	n := 1
	for key, value := range object {
		m := 0
		switch value := value.(type) {
		case map[string]any:
			m = combinations(value, depth+1)
		case []any:
			m = len(value) * depth
			if key == "$or" {
				m = 0
				for _, offer := range value {
					offered, _ := offer.(map[string]any)
					m = min(m+combinations(offered, depth), maxPolicyCombinations+1)
				}
			}
		}
		n = min(n*max(m, 1), maxPolicyCombinations+1)
	}
	return n
}

// nested reports whether keys of a policy have keys below.
func nested(object map[string]any) bool {
	for key, value := range object {
		if _, ok := value.(map[string]any); ok {
			return true
		}
		if offers, ok := value.([]any); ok && key == "$or" {
			for _, offer := range offers {
				if offered, ok := offer.(map[string]any); ok && nested(offered) {
					return true
				}
			}
		}
	}
	return false
}

// Scope is what of a message the policy looks at.
func (f *FilterPolicy) Scope() Scope { return f.scope }

// MatchBody reports whether a message with a body goes through a policy whose scope is the body. A body that is no JSON object does not.
func (f *FilterPolicy) MatchBody(body []byte) bool {
	return f.pattern == nil || f.body != nil && len(f.body.Match(body)) > 0
}

// MatchAttributes reports whether a message with attributes goes through a policy whose scope are the attributes.
func (f *FilterPolicy) MatchAttributes(attributes []Attribute) bool {
	if f.pattern == nil {
		return true
	}
	values := make(map[string][]value, len(attributes))
	for i := range attributes {
		if v, ok := attributes[i].values(); ok {
			values[attributes[i].Name] = v
		}
	}
	for _, b := range f.pattern.branches {
		if b.meets(values) {
			return true
		}
	}
	return false
}

// meets reports whether attributes meet all conditions of a branch.
func (b branch) meets(attributes map[string][]value) bool {
	for i := range b {
		if values, ok := attributes[b[i].path]; !b[i].meets(values, ok) {
			return false
		}
	}
	return true
}

// meets reports whether an attribute meets a condition. Null, too, is met by an attribute that is not there.
func (c *condition) meets(values []value, there bool) bool {
	for i := range c.tests {
		t := &c.tests[i]
		if !there && (t.kind == testAbsent || t.kind == testLiteral && t.text == "null") || there && t.kind == testExists {
			return true
		}
		for j := range values {
			if t.holds(&values[j]) {
				return true
			}
		}
	}
	return false
}

// values are what conditions are held against; ok is false for attributes that filters do not see.
func (a *Attribute) values() (values []value, ok bool) {
	base, label, _ := strings.Cut(a.Type, ".")
	switch {
	case base == "Number":
		v := value{kind: valueBigNumber, text: []byte(a.Value)}
		if n := parseNumber(a.Value); n.comparable && json.Valid([]byte(a.Value)) {
			v.kind, v.number = valueNumber, n.millionths
		}
		return []value{v}, true
	case base == "String" && label == "Array":
		return listed(a.Value)
	case base == "String":
		return []value{{kind: valueString, text: []byte(a.Value)}}, true
	}
	return nil, false
}

// listed are the elements of a JSON array of strings, numbers and literals.
func listed(text string) ([]value, bool) {
	if !strings.HasPrefix(strings.TrimSpace(text), "[") || !json.Valid([]byte(text)) {
		return nil, false
	}
	root := newStep()
	root.into("list").field = 0
	var r reader
	r.reset([]byte(`{"list":`+text+`}`), 1)
	err := r.event(root)
	return r.values[0], err == nil
}

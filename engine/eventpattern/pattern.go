// Package eventpattern is the language of event patterns: which events a rule of EventBridge is for, and which messages a subscription of SNS.
//
// A Pattern is a compiled pattern. A Set holds the patterns of many rules under their keys, and gives a Matcher that finds all rules that an event
// matches at once, in a time that hardly depends on how many rules there are. A FilterPolicy is SNS's form of the language.
//
// A pattern names fields of an event by their paths and lists for each what its value may be. All fields have to match; of a field one value has to match
// one entry of the list. Paths are joined with dots, so that {"a": {"b": 1}} and {"a.b": 1} are one field. An array in an event stands for each of its
// elements, but fields that lie in elements of one array have to be found in one and the same element.
//
// The package calls no service and keeps no state. Its errors have the texts that AWS answers with.
package eventpattern

import "slices"

// Pattern is a compiled pattern. It is immutable, and safe for concurrent use.
type Pattern struct{ branches []branch }

// branch is one of the alternatives that $or makes of a pattern: all its conditions have to be met.
type branch []condition

// condition is what the field at a path has to be: one of its tests has to hold.
type condition struct {
	path  string
	tests []test
}

// Error is what is wrong with a pattern.
type Error struct{ reason string }

// Error is the message that EventBridge answers with.
func (e *Error) Error() string { return "Event pattern is not valid. Reason: " + e.reason }

// Reason is the message without what EventBridge puts in front.
func (e *Error) Reason() string { return e.reason }

// Compile compiles a pattern of EventBridge. An error is an *Error.
func Compile(text string) (*Pattern, error) {
	p, err := parse(text)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Match reports whether the pattern matches an event, which has to be a JSON object: anything else matches nothing.
func (p *Pattern) Match(event []byte) bool {
	s := NewSet[struct{}]()
	s.Add(struct{}{}, p)
	return len(s.Matcher().Match(event)) > 0
}

// Check returns an error for what is no event: no JSON object, or one that is larger or nests deeper than an event may.
func Check(event []byte) error {
	r := reader{src: event}
	return r.check()
}

// with returns the branch with a condition added, or put in the place of another on the same path.
func (b branch) with(c condition) branch {
	out := slices.Clone(b)
	if i := slices.IndexFunc(out, func(have condition) bool { return have.path == c.path }); i >= 0 {
		out[i] = c
		return out
	}
	return append(out, c)
}

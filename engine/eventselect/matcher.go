package eventselect

import (
	"slices"
	"strings"
)

// Matcher is a compiled list of selectors. It is immutable, and safe for concurrent use.
type Matcher struct{ selectors []selector }

// selector is a compiled selector.
type selector struct {
	category  string
	fields    []condition
	resources []condition // of which one resource fulfils all
}

// condition is a compiled field.
type condition struct {
	of                 field
	equals, notEquals  set
	starts, ends       []string
	notStarts, notEnds []string
	selective          bool // it has to fulfil something
}

// field is a member of a record.
type field uint8

const (
	eventName field = iota
	eventSource
	eventType
	readOnly
	console
	errorCode
	userARN
	vpcEndpoint
	resourceType
	resourceName
)

var fieldNames = map[string]field{
	"eventName": eventName, "eventSource": eventSource, "eventType": eventType, "readOnly": readOnly, "sessionCredentialFromConsole": console,
	"errorCode": errorCode, "userIdentity.arn": userARN, "vpcEndpointId": vpcEndpoint, "resources.type": resourceType, "resources.ARN": resourceName,
}

// Compile makes a matcher of selectors; without any it matches nothing. Its errors say what is wrong with the selectors, for whoever wrote them.
func Compile(selectors []Selector) (*Matcher, error) {
	if err := check(selectors); err != nil {
		return nil, err
	}
	m := &Matcher{selectors: make([]selector, len(selectors))}
	for i := range selectors {
		s := &m.selectors[i]
		for j := range selectors[i].Fields {
			f := &selectors[i].Fields[j]
			if f.Field == "eventCategory" {
				s.category = f.Equals[0]
				continue
			}
			c := condition{
				of: fieldNames[f.Field], equals: newSet(f.Equals), notEquals: newSet(f.NotEquals),
				starts: slices.Clone(f.StartsWith), ends: slices.Clone(f.EndsWith), notStarts: slices.Clone(f.NotStartsWith), notEnds: slices.Clone(f.NotEndsWith),
				selective: len(f.Equals)+len(f.StartsWith)+len(f.EndsWith) > 0,
			}
			if c.of >= resourceType {
				s.resources = append(s.resources, c)
			} else {
				s.fields = append(s.fields, c)
			}
		}
	}
	return m, nil
}

// Match reports whether one of the selectors lets an event through.
func (m *Matcher) Match(e *Event) bool {
	for i := range m.selectors {
		if m.selectors[i].match(e) {
			return true
		}
	}
	return false
}

// Wants reports whether events of a category may be let through.
func (m *Matcher) Wants(category string) bool {
	return slices.ContainsFunc(m.selectors, func(s selector) bool { return s.category == category })
}

func (s *selector) match(e *Event) bool {
	if s.category != e.Category {
		return false
	}
	for i := range s.fields {
		if c := &s.fields[i]; !c.fulfilled(e.value(c.of)) {
			return false
		}
	}
	if len(s.resources) == 0 {
		return true
	}
	for i := range e.Resources {
		if s.concerns(&e.Resources[i]) {
			return true
		}
	}
	return false
}

// concerns reports whether a resource fulfils all that is said of resources.
func (s *selector) concerns(r *Resource) bool {
	for i := range s.resources {
		c := &s.resources[i]
		v := r.Type
		if c.of == resourceName {
			v = r.ARN
		}
		if !c.fulfilled(v) {
			return false
		}
	}
	return true
}

// value is a member of the record, "" if it has none.
func (e *Event) value(f field) string {
	switch f {
	case eventName:
		return e.Name
	case eventSource:
		return e.Source
	case eventType:
		return e.Type
	case readOnly:
		return truth(e.ReadOnly)
	case console:
		return truth(e.Console)
	case errorCode:
		return e.ErrorCode
	case userARN:
		return e.UserARN
	default:
		return e.VPCEndpoint
	}
}

func truth(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

func (c *condition) fulfilled(v string) bool {
	begins := func(p string) bool { return strings.HasPrefix(v, p) }
	finishes := func(p string) bool { return strings.HasSuffix(v, p) }
	if c.notEquals.has(v) || slices.ContainsFunc(c.notStarts, begins) || slices.ContainsFunc(c.notEnds, finishes) {
		return false
	}
	return !c.selective || c.equals.has(v) || slices.ContainsFunc(c.starts, begins) || slices.ContainsFunc(c.ends, finishes)
}

// set is a set of strings.
type set struct {
	few  []string
	many map[string]struct{} // instead, of more than are quickly compared
}

const fewStrings = 8

func newSet(values []string) set {
	if len(values) <= fewStrings {
		return set{few: slices.Clone(values)}
	}
	s := set{many: make(map[string]struct{}, len(values))}
	for _, v := range values {
		s.many[v] = struct{}{}
	}
	return s
}

func (s *set) has(v string) bool {
	if s.many != nil {
		_, ok := s.many[v]
		return ok
	}
	return slices.Contains(s.few, v)
}

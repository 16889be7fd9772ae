// Package actions knows the IAM actions of all services of AWS, those that are not built here too: their access
// levels, the resources they are authorized on and the condition keys they bring.
//
// The table is AWS's Service Authorization Reference, packed by internal/managedgen and unpacked when it is first
// asked for.
package actions

import (
	"iter"
	"slices"
	"strings"
)

// Access levels of actions.
const (
	List        = "List"
	Read        = "Read"
	Write       = "Write"
	Tagging     = "Tagging"
	Permissions = "Permissions management"
)

// Service is the actions of one service prefix. Callers must not change its slices.
type Service struct {
	Prefix  string   // kms; what IAM calls the service's namespace
	Name    string   // AWS Key Management Service
	Actions []Action // sorted by name
}

// Action is an IAM action. Callers must not change its slices.
type Action struct {
	Name      string   // Decrypt
	Level     string   // List, Read, Write, Tagging or Permissions
	Resources []string // ARN patterns with ${Partition}, ${Region}, ${Account} and names of parts; none: only * will do
	Keys      []string // condition keys beside the global ones, those that come with the resources included
}

// Find returns the service of a prefix, without regard to case.
func Find(prefix string) (*Service, bool) {
	s, ok := load().services[strings.ToLower(prefix)]
	return s, ok
}

// Services yields all services, sorted by prefix.
func Services() iter.Seq[*Service] { return slices.Values(load().sorted) }

// Action returns the action of a name, without regard to case.
func (s *Service) Action(name string) (*Action, bool) {
	for i := range s.Actions {
		if strings.EqualFold(s.Actions[i].Name, name) {
			return &s.Actions[i], true
		}
	}
	return nil, false
}

// Key returns the type of a condition key, without regard to case: String, ARN, Bool, Date, IPAddress or Numeric, and
// ArrayOf before it where the key has several values. It knows the global keys too. Where the reference leaves a part of
// the key open, any will do: aws:ResourceTag/team is found as aws:ResourceTag/${TagKey}.
func Key(name string) (kind string, ok bool) {
	r := load()
	name = strings.ToLower(name)
	if kind, ok = r.keys[name]; ok {
		return kind, true
	}
	for _, o := range r.open {
		if len(name) > len(o.before)+len(o.after) && strings.HasPrefix(name, o.before) && strings.HasSuffix(name, o.after) {
			return o.kind, true
		}
	}
	return "", false
}

// Multivalued reports whether a condition key has several values in a request.
func Multivalued(key string) bool {
	kind, _ := Key(key)
	return strings.HasPrefix(kind, "ArrayOf")
}

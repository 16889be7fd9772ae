// Package actions knows the IAM actions of all services of AWS, those that are not built here too: their access
// levels, the resources they are authorized on and the condition keys they bring.
//
// The table is AWS's Service Authorization Reference, packed by internal/managedgen and unpacked when it is first
// asked for.
package actions

import "iter"

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
	Prefix  string // kms
	Name    string // AWS Key Management Service
	Actions []Action
}

// Action is an IAM action.
type Action struct {
	Name      string   // Decrypt
	Level     string   // List, Read, Write, Tagging, Permissions
	Resources []string // ARN patterns with ${Partition}, ${Region}, ${Account} and others; none: only * will do
	Keys      []string // condition keys of the service that are there, those of the resources included
}

type reference struct {
	services map[string]*Service
	sorted   []*Service
	keys     map[string]string
}

// Service returns the actions of a prefix, which is in lower case.
func Find(prefix string) (*Service, bool) {
	s, ok := load().services[prefix]
	return s, ok
}

// Services yields all services, sorted by prefix.
func Services() iter.Seq[*Service] {
	return func(yield func(*Service) bool) {
		for _, s := range load().sorted {
			if !yield(s) {
				return
			}
		}
	}
}

func load() *reference { return &reference{} }

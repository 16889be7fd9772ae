package main

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed policies.txt
var policiesText string

// entry is a policy of policies.txt.
type entry struct {
	name, path, id, says string
	statements           []statement
}

type statement struct {
	sid, effect string
	notAction   bool
	actions     []string // or SET@PREFIX, a set of derived actions
	notResource bool
	resources   []string
	conditions  []condition // those of an operator stand together
}

type condition struct {
	operator, key string
	values        []string
}

// parseTable reads policies.txt, which has for each policy
//
//	policy PATH NAME [ID]
//	  says what it is for
//	  allow ACTION...           begins a statement; allow-not, deny and deny-not likewise
//	    more actions, on lines that begin with none of the words
//	    on ARN...               and not-on; everything where neither stands
//	    if OPERATOR KEY VALUE...
//	    sid NAME
//
// read@sqs stands for the actions of SQS that read (see levels.txt), read@* for those of all services.
func parseTable(text string) ([]entry, error) {
	var table []entry
	number := 0
	for line := range strings.Lines(text) {
		number++
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if err := add(&table, fields); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	return table, nil
}

func add(table *[]entry, fields []string) error {
	word, rest := fields[0], fields[1:]
	if word == "policy" {
		if len(rest) < 2 || len(rest) > 3 {
			return fmt.Errorf("a policy has a path, a name and perhaps an ID")
		}
		e := entry{path: rest[0], name: rest[1]}
		if len(rest) == 3 {
			e.id = rest[2]
		}
		*table = append(*table, e)
		return nil
	}
	if len(*table) == 0 {
		return fmt.Errorf("%s outside of a policy", word)
	}
	e := &(*table)[len(*table)-1]
	switch word {
	case "says":
		e.says = strings.Join(rest, " ")
		return nil
	case "allow", "allow-not", "deny", "deny-not":
		s := statement{effect: "Allow", notAction: strings.HasSuffix(word, "-not"), actions: rest, resources: []string{"*"}}
		if strings.HasPrefix(word, "deny") {
			s.effect = "Deny"
		}
		e.statements = append(e.statements, s)
		return nil
	}
	if len(e.statements) == 0 {
		return fmt.Errorf("%s outside of a statement", word)
	}
	s := &e.statements[len(e.statements)-1]
	switch word {
	case "on", "not-on":
		if len(s.resources) == 1 && s.resources[0] == "*" {
			s.resources = nil
		}
		s.resources, s.notResource = append(s.resources, rest...), word == "not-on"
	case "if":
		if len(rest) < 3 {
			return fmt.Errorf("a condition has an operator, a key and values")
		}
		if i := slices.IndexFunc(s.conditions, func(c condition) bool { return c.operator == rest[0] }); i >= 0 && s.conditions[len(s.conditions)-1].operator != rest[0] {
			return fmt.Errorf("the conditions of %s stand apart", rest[0])
		}
		s.conditions = append(s.conditions, condition{rest[0], rest[1], rest[2:]})
	case "sid":
		s.sid = strings.Join(rest, "")
	default:
		s.actions = append(s.actions, fields...)
	}
	return nil
}

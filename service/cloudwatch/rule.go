package cloudwatch

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/cloudwatch"
)

// The bounds of the rule of a composite alarm:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html
const (
	maxRuleElements = 500
	maxChildren     = 100
	maxRuleDepth    = 100
)

// rule is a part of the rule of a composite alarm: one of
//
//	op "AND", "OR"  of its parts
//	op "NOT"        of its one part
//	op "TRUE", "FALSE"
//	op "ALARM", "OK", "INSUFFICIENT_DATA"  of the alarm called name
type rule struct {
	op    string
	name  string
	parts []rule
}

// holds reports whether a rule is true; state tells the states of alarms.
func (r *rule) holds(state func(name string) cloudwatch.StateValue) bool {
	switch r.op {
	case "AND":
		return !slices.ContainsFunc(r.parts, func(p rule) bool { return !p.holds(state) })
	case "OR":
		return slices.ContainsFunc(r.parts, func(p rule) bool { return p.holds(state) })
	case "NOT":
		return !r.parts[0].holds(state)
	case "TRUE", "FALSE":
		return r.op == "TRUE"
	}
	return state(r.name) == cloudwatch.StateValue(r.op)
}

// children returns the alarms in a rule, each once.
func (r *rule) children() (names []string) {
	if r.name != "" {
		names = append(names, r.name)
	}
	for i := range r.parts {
		for _, name := range r.parts[i].children() {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// parseRule reads a rule. prefix is what the ARNs of alarms of the account and region begin with: a rule names alarms by ARN or by name.
func parseRule(text, prefix string) (*rule, error) {
	p := &ruleParser{text: text, prefix: prefix}
	r, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if p.skip(); p.pos < len(p.text) {
		return nil, p.unexpected()
	}
	if len(r.children()) > maxChildren {
		return nil, fmt.Errorf("it has more than %d alarms", maxChildren)
	}
	return &r, nil
}

type ruleParser struct {
	text, prefix string
	pos          int
	elements     int
}

func (p *ruleParser) skip() {
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.pos]) >= 0 {
		p.pos++
	}
}

func (p *ruleParser) unexpected() error {
	if p.pos >= len(p.text) {
		return fmt.Errorf("it ends too early")
	}
	return fmt.Errorf("it has an unexpected token at position %d", p.pos)
}

// word takes a keyword if it comes next.
func (p *ruleParser) word(w string) bool {
	p.skip()
	rest := p.text[p.pos:]
	if len(rest) < len(w) || !strings.EqualFold(rest[:len(w)], w) {
		return false
	}
	if w[0] >= 'A' && len(rest) > len(w) {
		if c := rest[len(w)] | 0x20; c >= 'a' && c <= 'z' || rest[len(w)] == '_' {
			return false
		}
	}
	p.pos += len(w)
	return true
}

func (p *ruleParser) or(depth int) (rule, error) { return p.list("OR", depth, p.and) }

func (p *ruleParser) and(depth int) (rule, error) { return p.list("AND", depth, p.not) }

func (p *ruleParser) list(op string, depth int, part func(int) (rule, error)) (rule, error) {
	first, err := part(depth)
	if err != nil {
		return rule{}, err
	}
	all := rule{op: op, parts: []rule{first}}
	for p.word(op) {
		next, err := part(depth)
		if err != nil {
			return rule{}, err
		}
		all.parts = append(all.parts, next)
	}
	if len(all.parts) == 1 {
		return first, nil
	}
	return all, nil
}

func (p *ruleParser) not(depth int) (rule, error) {
	if p.elements++; depth > maxRuleDepth || p.elements > maxRuleElements {
		return rule{}, fmt.Errorf("it has more than %d elements", maxRuleElements)
	}
	if p.word("NOT") {
		of, err := p.not(depth + 1)
		return rule{op: "NOT", parts: []rule{of}}, err
	}
	if p.word("(") {
		r, err := p.or(depth + 1)
		if err == nil && !p.word(")") {
			err = p.unexpected()
		}
		return r, err
	}
	for _, op := range []string{"TRUE", "FALSE"} {
		if p.word(op) {
			return rule{op: op}, nil
		}
	}
	for _, op := range []string{"ALARM", "OK", "INSUFFICIENT_DATA"} {
		if p.word(op) {
			name, err := p.name()
			return rule{op: op, name: name}, err
		}
	}
	return rule{}, p.unexpected()
}

// name is an alarm in parentheses, in quotation marks or not.
func (p *ruleParser) name() (string, error) {
	if !p.word("(") {
		return "", p.unexpected()
	}
	p.skip()
	var name string
	if p.pos < len(p.text) && p.text[p.pos] == '"' {
		end := strings.IndexByte(p.text[p.pos+1:], '"')
		if end < 0 {
			return "", p.unexpected()
		}
		name = p.text[p.pos+1 : p.pos+1+end]
		p.pos += end + 2
	} else {
		end := strings.IndexByte(p.text[p.pos:], ')')
		if end < 0 {
			return "", p.unexpected()
		}
		name = strings.TrimSpace(p.text[p.pos : p.pos+end])
		p.pos += end
	}
	if !p.word(")") {
		return "", p.unexpected()
	}
	return p.own(name)
}

// own is the name of an alarm that may be given as an ARN.
func (p *ruleParser) own(name string) (string, error) {
	if rest, ok := strings.CutPrefix(name, p.prefix); ok {
		name = rest
	} else if strings.HasPrefix(name, "arn:") {
		return "", fmt.Errorf("%s is not an alarm of this account and region", name)
	}
	if name == "" {
		return "", fmt.Errorf("it names an alarm with an empty name")
	}
	return name, nil
}

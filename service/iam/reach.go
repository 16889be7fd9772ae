package iam

import (
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/engine/actions"
	"github.com/holdfast-cloud/holdfast/engine/policy"
)

// reach is which actions policies allow at all: on some resource, under some condition. What is denied wherever and whenever is out of reach.
type reach struct{ allow, deny []actionList }

// actionList is the Action or NotAction element of a statement, in lower case.
type actionList struct {
	not      bool
	patterns []string
}

func (r *reach) add(policies ...*policy.Policy) {
	for _, p := range policies {
		for s := range p.Statements() {
			list := actionList{not: s.NotAction}
			for _, pattern := range s.Actions {
				list.patterns = append(list.patterns, strings.ToLower(pattern))
			}
			switch {
			case s.Effect == "Allow":
				r.allow = append(r.allow, list)
			case len(s.Conditions) == 0 && !s.NotResource && slices.Contains(s.Resources, "*"):
				r.deny = append(r.deny, list)
			}
		}
	}
}

// service reports whether an action of a service is in reach.
func (r *reach) service(s *actions.Service) bool { return reachable(s, r) }

// reachable reports whether an action of a service is in the reach of all of several.
func reachable(s *actions.Service, all ...*reach) bool {
	own := make([]reach, len(all))
	for i, r := range all {
		if own[i] = (reach{about(s, r.allow), about(s, r.deny)}); len(own[i].allow) == 0 {
			return false
		}
	}
	return slices.ContainsFunc(s.Actions, func(a actions.Action) bool {
		name := strings.ToLower(s.Prefix + ":" + a.Name)
		return !slices.ContainsFunc(own, func(r reach) bool {
			has := func(l actionList) bool { return l.has(name) }
			return !slices.ContainsFunc(r.allow, has) || slices.ContainsFunc(r.deny, has)
		})
	})
}

// about is what lists say of a service.
func about(s *actions.Service, lists []actionList) (out []actionList) {
	for _, l := range lists {
		own := actionList{not: l.not}
		for _, p := range l.patterns {
			if strings.HasPrefix(p, "*") || strings.HasPrefix(p, s.Prefix+":") {
				own.patterns = append(own.patterns, p)
			}
		}
		if own.not || len(own.patterns) > 0 {
			out = append(out, own)
		}
	}
	return out
}

func (l actionList) has(name string) bool {
	return slices.ContainsFunc(l.patterns, func(p string) bool { return glob(p, name) }) != l.not
}

// glob matches a text with a pattern in which * stands for any characters and ? for any one.
func glob(pattern, text string) bool {
	star, mark := -1, 0 // the last * and where the text stood
	p := 0
	for t := 0; t < len(text); {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p++
			t++
		case star >= 0:
			mark++
			p, t = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

package main

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

//go:embed levels.txt
var levelsText string

// levels says which actions read, and which of those show data, are views or are never given for reading.
type levels struct {
	read, view, audit map[string]bool // prefix:Name
}

// parseLevels reads levels.txt:
//
//	verb Word...            actions of access level List or Read whose name begins so are reading
//	audit-verb Word...      those of them that SecurityAudit may have
//	view-verb Word...       those of level Read that ViewOnlyAccess has; it has all of level List that read
//	also SET pattern...     sets read, view and audit have these as well
//	never pattern...        no set has these
//	data pattern...         view and audit do not have these: they show contents, not configuration
//
// What follows " # " on a line is the reason.
func parseLevels(text string, ref *reference) (*levels, error) {
	words := map[string][]string{}
	patterns := map[string]map[string]bool{}
	var errs []error
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		kind := fields[0]
		fields = fields[1:]
		switch kind {
		case "verb", "audit-verb", "view-verb":
			words[kind] = append(words[kind], fields...)
			continue
		case "also":
			kind += " " + fields[0]
			fields = fields[1:]
		case "never", "data":
		default:
			return nil, fmt.Errorf("unknown line %q", line)
		}
		if patterns[kind] == nil {
			patterns[kind] = map[string]bool{}
		}
		for _, p := range fields {
			found := ref.matching(p)
			if len(found) == 0 {
				errs = append(errs, fmt.Errorf("%s matches no action", p))
			}
			for _, a := range found {
				patterns[kind][a] = true
			}
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	l := &levels{read: map[string]bool{}, view: map[string]bool{}, audit: map[string]bool{}}
	for _, s := range ref.services {
		for _, a := range s.actions {
			id := s.prefix + ":" + a.name
			reading := (a.level == "List" || a.level == "Read") && begins(a.name, words["verb"])
			data := patterns["data"][id]
			switch {
			case patterns["never"][id]:
				continue
			case patterns["also read"][id], reading:
				l.read[id] = true
			}
			if patterns["also view"][id] || reading && !data && (a.level == "List" || begins(a.name, words["view-verb"])) {
				l.view[id] = true
			}
			if patterns["also audit"][id] || reading && !data && begins(a.name, words["audit-verb"]) {
				l.audit[id] = true
			}
		}
	}
	return l, nil
}

// begins reports whether a name begins with one of some words as with a word: Get begins GetItem and not Getaway.
func begins(name string, words []string) bool {
	return slices.ContainsFunc(words, func(w string) bool {
		rest, ok := strings.CutPrefix(name, w)
		return ok && (rest == "" || !unicode.IsLower(rune(rest[0])))
	})
}

// expand returns patterns that stand for exactly the wanted ones of a service's actions: an asterisk is put only where
// every action that begins so is wanted.
func expand(s *service, want map[string]bool) []string {
	var all, wanted []string // in lower case, as IAM matches
	names := map[string]string{}
	for _, a := range s.actions {
		low := strings.ToLower(a.name)
		all = append(all, low)
		if want[s.prefix+":"+a.name] {
			wanted = append(wanted, low)
			names[low] = a.name
		}
	}
	covered := map[string]bool{}
	var out []string
	for _, low := range wanted {
		if covered[low] {
			continue
		}
		name := names[low]
		best := name
		for _, at := range append(boundaries(name), len(name)) {
			n := 0
			clean := true
			for _, other := range all {
				if strings.HasPrefix(other, low[:at]) {
					n++
					clean = clean && names[other] != ""
				}
			}
			if clean && n > 1 {
				best = name[:at] + "*"
				for _, other := range wanted {
					if strings.HasPrefix(other, low[:at]) {
						covered[other] = true
					}
				}
				break
			}
		}
		out = append(out, s.prefix+":"+best)
	}
	return out
}

// boundaries are the places in a name where a word has ended.
func boundaries(name string) []int {
	var out []int
	for i := 1; i < len(name); i++ {
		if unicode.IsUpper(rune(name[i])) && (!unicode.IsUpper(rune(name[i-1])) || i+1 < len(name) && unicode.IsLower(rune(name[i+1]))) {
			out = append(out, i)
		}
	}
	return out
}

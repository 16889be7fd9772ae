package actions

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:embed reference.txt.gz
var packed []byte

// reference is the whole table.
type reference struct {
	services map[string]*Service // by prefix
	sorted   []*Service
	keys     map[string]string // condition keys in lower case → type
	open     []openKey
}

// openKey is a condition key with an open part between two fixed ones, in lower case.
type openKey struct{ before, after, kind string }

var load = sync.OnceValue(func() *reference {
	r, err := unpack(packed)
	if err != nil {
		panic("engine/actions: " + err.Error()) // it is part of the binary
	}
	return r
})

// unpack reads what pack in internal/managedgen wrote, which draws the lines.
func unpack(b []byte) (*reference, error) {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	r := &reference{services: map[string]*Service{}, keys: map[string]string{}}
	var s *Service
	var arns, keys []string
	for line := range strings.SplitSeq(strings.TrimSuffix(string(text), "\n"), "\n") {
		kind, rest, _ := strings.Cut(line, " ")
		if s == nil && kind != "K" && kind != "S" {
			return nil, fmt.Errorf("%q before a service", line)
		}
		switch kind {
		case "K":
			fields := strings.Fields(rest)
			for _, key := range fields[1:] {
				r.addKey(strings.ToLower(key), fields[0])
			}
		case "S":
			s = &Service{}
			s.Prefix, s.Name, _ = strings.Cut(rest, " ")
			r.services[s.Prefix] = s
			r.sorted = append(r.sorted, s)
		case "R":
			arns = strings.Fields(rest)
		case "C":
			keys = strings.Fields(rest)
		case "A":
			if err := s.add(strings.Fields(rest), arns, keys); err != nil {
				return nil, fmt.Errorf("%s: %w", s.Prefix, err)
			}
		default:
			return nil, fmt.Errorf("unknown line %q", line)
		}
	}
	for _, s := range r.sorted {
		slices.SortFunc(s.Actions, func(a, b Action) int { return strings.Compare(a.Name, b.Name) })
	}
	return r, nil
}

func (r *reference) addKey(key, kind string) {
	before, rest, open := strings.Cut(key, "${")
	if !open {
		r.keys[key] = kind
		return
	}
	after := rest[strings.LastIndexByte(rest, '}')+1:]
	if before == "" {
		// ${Domain}:sub and the like: the issuer of a token. A suffix such as ":sub" is no ground to know a key by.
		return
	}
	r.open = append(r.open, openKey{before, after, kind})
}

// add reads a level, the indices of ARNs and of keys, and the names of the actions that have these.
func (s *Service) add(fields, arns, keys []string) error {
	if len(fields) < 4 {
		return fmt.Errorf("%q has too few fields", fields)
	}
	resources, err := pick(fields[1], arns)
	if err != nil {
		return err
	}
	conditions, err := pick(fields[2], keys)
	if err != nil {
		return err
	}
	level := strings.ReplaceAll(fields[0], "_", " ")
	for _, name := range fields[3:] {
		s.Actions = append(s.Actions, Action{Name: name, Level: level, Resources: resources, Keys: conditions})
	}
	return nil
}

func pick(indices string, from []string) ([]string, error) {
	if indices == "-" {
		return nil, nil
	}
	var out []string
	for index := range strings.SplitSeq(indices, ",") {
		i, err := strconv.Atoi(index)
		if err != nil || i < 0 || i >= len(from) {
			return nil, fmt.Errorf("%q is not one of %d", index, len(from))
		}
		out = append(out, from[i])
	}
	return out, nil
}

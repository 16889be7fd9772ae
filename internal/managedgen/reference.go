package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-cloud/holdfast/internal/apigen"
)

// reference is the Service Authorization Reference of all services.
type reference struct {
	services []service         // sorted by prefix
	keys     map[string]string // condition keys as written → type
}

type service struct {
	prefix, name string
	actions      []action // sorted by name
}

type action struct {
	name, level     string
	resources, keys []string
}

// globalKeysText has the condition keys that are there whichever service is called; the reference leaves them out.
//
//go:embed globalkeys.txt
var globalKeysText string

func readReference(dir string) (*reference, error) {
	var names map[string]string
	if err := readJSON(filepath.Join(dir, "serviceNames.json"), &names); err != nil {
		return nil, err
	}
	r := &reference{keys: map[string]string{}}
	for line := range strings.Lines(globalKeysText) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		for _, key := range fields[1:] {
			r.keys[key] = fields[0]
		}
	}
	global := len(r.keys)
	for _, prefix := range slices.Sorted(maps.Keys(names)) {
		src, err := apigen.ReadReference(dir, prefix)
		if err != nil {
			return nil, err
		}
		s := service{prefix: prefix, name: names[prefix]}
		for _, a := range src.Actions {
			s.actions = append(s.actions, newAction(src, a))
		}
		slices.SortFunc(s.actions, func(a, b action) int { return strings.Compare(a.name, b.name) })
		r.services = append(r.services, s)

		var keys map[string]struct{ Key, Type string }
		if err := readJSON(filepath.Join(dir, "conditionKeys", prefix+".json"), &keys); err != nil {
			return nil, err
		}
		for _, k := range keys {
			// Where services differ, several values are the general case.
			if old := r.keys[k.Key]; old == "" || !strings.HasPrefix(old, "ArrayOf") {
				r.keys[k.Key] = k.Type
			}
		}
	}
	if len(r.services) == 0 || global == len(r.keys) {
		return nil, fmt.Errorf("%s holds no IAM reference data", dir)
	}
	return r, nil
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func newAction(src *apigen.Reference, a *apigen.Action) action {
	level, _, _ := strings.Cut(a.AccessLevel, ",") // "Tagging, Write" is tagging
	out := action{name: a.Name, level: level, keys: slices.Clone(a.ConditionKeys)}
	for _, r := range a.ResourceTypes {
		t := src.Resources[r.Name]
		if t.ARN != "" {
			out.resources = append(out.resources, strings.Split(t.ARN, ", ")...)
		}
		out.keys = append(append(out.keys, r.ConditionKeys...), t.ConditionKeys...)
	}
	slices.Sort(out.resources)
	slices.Sort(out.keys)
	out.resources, out.keys = slices.Compact(out.resources), slices.Compact(out.keys)
	return out
}

// pack writes the reference as the lines that engine/actions reads. Numbers are indices into the service's R and C;
// actions that differ by name only share a line.
//
//	K type key key ...           all condition keys
//	S prefix name                begins a service
//	R arn arn ...                ARN patterns of the service
//	C key key ...                condition keys of the service
//	A level 0,2 1,5 name name    - for no numbers
func (r *reference) pack() []byte {
	var b bytes.Buffer
	byType := map[string][]string{}
	for key, t := range r.keys {
		byType[t] = append(byType[t], key)
	}
	line := func(kind string, fields ...string) {
		b.WriteString(kind)
		for _, f := range fields {
			b.WriteByte(' ')
			b.WriteString(f)
		}
		b.WriteByte('\n')
	}
	for _, t := range slices.Sorted(maps.Keys(byType)) {
		slices.Sort(byType[t])
		line("K", append([]string{t}, byType[t]...)...)
	}
	for _, s := range r.services {
		line("S", s.prefix, s.name)
		var arns, keys []string
		for _, a := range s.actions {
			arns, keys = append(arns, a.resources...), append(keys, a.keys...)
		}
		slices.Sort(arns)
		slices.Sort(keys)
		arns, keys = slices.Compact(arns), slices.Compact(keys)
		line("R", arns...)
		line("C", keys...)
		groups := map[string][]string{}
		for _, a := range s.actions {
			shape := strings.ReplaceAll(a.level, " ", "_") + " " + indices(a.resources, arns) + " " + indices(a.keys, keys)
			groups[shape] = append(groups[shape], a.name)
		}
		for _, shape := range slices.Sorted(maps.Keys(groups)) {
			line("A", append([]string{shape}, groups[shape]...)...)
		}
	}
	return b.Bytes()
}

func indices(some, all []string) string {
	if len(some) == 0 {
		return "-"
	}
	out := make([]string, len(some))
	for i, v := range some {
		at, _ := slices.BinarySearch(all, v)
		out[i] = strconv.Itoa(at)
	}
	return strings.Join(out, ",")
}

// matching yields the actions, prefix included, that a pattern with asterisks stands for.
func (r *reference) matching(pattern string) []string {
	prefix, name, _ := strings.Cut(pattern, ":")
	var found []string
	for _, s := range r.services {
		if prefix != "*" && s.prefix != prefix {
			continue
		}
		for _, a := range s.actions {
			if glob(name, a.name) {
				found = append(found, s.prefix+":"+a.name)
			}
		}
	}
	return found
}

// glob matches with case, which IAM does not: *File is not to match GetProfile, and names are to be written as AWS writes them.
func glob(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, parts[0])
	if !ok {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		at := strings.Index(s, part)
		if at < 0 {
			return false
		}
		s = s[at+len(part):]
	}
	return strings.HasSuffix(s, parts[len(parts)-1])
}

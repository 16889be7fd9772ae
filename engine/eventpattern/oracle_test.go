package eventpattern

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// The oracle decides whether a pattern matches an event from the JSON of both, the slow and plain way: it tries all values of all fields together.

// leaf is a value of an event with the place in each array around it.
type leaf struct {
	path  string
	value any
	in    map[string]int // by the array's own place in the event
}

func leaves(value any, path, place string, in map[string]int) (out []leaf) {
	switch value := value.(type) {
	case map[string]any:
		for name, v := range value {
			p := name
			if path != "" {
				p = path + "." + name
			}
			out = append(out, leaves(v, p, place+"/"+name, in)...)
		}
	case []any:
		for i, v := range value {
			switch v.(type) {
			case map[string]any, []any:
				inner := maps.Clone(in)
				inner[place] = i
				out = append(out, leaves(v, path, fmt.Sprintf("%s[%d]", place, i), inner)...)
			default:
				out = append(out, leaf{path, v, in})
			}
		}
	default:
		out = append(out, leaf{path, value, in})
	}
	return out
}

// oracleBranches turns a pattern into maps from paths to lists.
func oracleBranches(pattern map[string]any, path string, so []map[string][]any) []map[string][]any {
	for _, name := range slices.Sorted(maps.Keys(pattern)) {
		p := strings.TrimPrefix(path+"."+name, ".")
		switch v := pattern[name].(type) {
		case map[string]any:
			so = oracleBranches(v, p, so)
		case []any:
			var next []map[string][]any
			if name == "$or" {
				for _, offer := range v {
					next = append(next, oracleBranches(offer.(map[string]any), path, so)...)
				}
			} else {
				for _, b := range so {
					c := map[string][]any{p: v}
					for k, list := range b {
						if k != p {
							c[k] = list
						}
					}
					next = append(next, c)
				}
			}
			so = next
		}
	}
	return so
}

// oracle reports whether branches of a pattern match leaves of an event.
func oracle(branches []map[string][]any, all []leaf) bool {
	return slices.ContainsFunc(branches, func(b map[string][]any) bool {
		return oracleFits(b, slices.Collect(maps.Keys(b)), all, map[string]int{})
	})
}

func decode(t testing.TB, text string) (v any) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func oracleFits(b map[string][]any, paths []string, all []leaf, in map[string]int) bool {
	if len(paths) == 0 {
		return true
	}
	there := false
	for _, l := range all {
		if l.path != paths[0] {
			continue
		}
		there = true
		next := maps.Clone(in)
		fits := slices.ContainsFunc(b[l.path], func(o any) bool { return oracleHolds(o, l.value) })
		for k, n := range l.in {
			if m, ok := next[k]; ok && m != n {
				fits = false
			}
			next[k] = n
		}
		if fits && oracleFits(b, paths[1:], all, next) {
			return true
		}
	}
	absent := slices.ContainsFunc(b[paths[0]], func(o any) bool { m, ok := o.(map[string]any); return ok && m["exists"] == false })
	return !there && absent && oracleFits(b, paths[1:], all, in)
}

func oracleHolds(operator, value any) bool {
	o, ok := operator.(map[string]any)
	if !ok {
		return oracleEqual(operator, value)
	}
	text, isText := value.(string)
	for name, operand := range o {
		switch name {
		case "exists":
			return operand == true
		case "prefix", "suffix":
			if m, ok := operand.(map[string]any); ok {
				operand, text = strings.ToLower(m["equals-ignore-case"].(string)), strings.ToLower(text)
			}
			if name == "prefix" {
				return isText && strings.HasPrefix(text, operand.(string))
			}
			return isText && strings.HasSuffix(text, operand.(string))
		case "equals-ignore-case":
			return isText && strings.EqualFold(text, operand.(string))
		case "wildcard":
			return isText && oracleWildcard(operand.(string), text)
		case "cidr":
			ip, err := netip.ParseAddr(text)
			return isText && err == nil && netip.MustParsePrefix(operand.(string)).Masked().Contains(ip)
		case "numeric":
			return oracleNumeric(operand.([]any), value)
		case "anything-but":
			inner := ""
			if m, ok := operand.(map[string]any); ok {
				for inner, operand = range m {
				}
			}
			list, ok := operand.([]any)
			if !ok {
				list = []any{operand}
			}
			return !slices.ContainsFunc(list, func(e any) bool {
				if inner != "" {
					e = map[string]any{inner: e}
				}
				return oracleHolds(e, value)
			})
		}
	}
	return false
}

func oracleEqual(a, b any) bool {
	x, ok := a.(json.Number)
	y, isNumber := b.(json.Number)
	if ok && isNumber {
		return rat(x).Cmp(rat(y)) == 0
	}
	return !ok && !isNumber && a == b
}

func rat(n json.Number) *big.Rat {
	r, _ := new(big.Rat).SetString(string(n))
	return r
}

func oracleNumeric(list []any, value any) bool {
	n, ok := value.(json.Number)
	for i := 0; i < len(list) && ok; i += 2 {
		c := rat(n).Cmp(rat(list[i+1].(json.Number)))
		switch list[i] {
		case "=":
			ok = c == 0
		case "<":
			ok = c < 0
		case "<=":
			ok = c <= 0
		case ">":
			ok = c > 0
		case ">=":
			ok = c >= 0
		}
	}
	return ok
}

func oracleWildcard(pattern, text string) bool {
	if pattern == "" {
		return text == ""
	}
	if pattern[0] == '*' {
		return oracleWildcard(pattern[1:], text) || text != "" && oracleWildcard(pattern, text[1:])
	}
	return text != "" && text[0] == pattern[0] && oracleWildcard(pattern[1:], text[1:])
}

// random makes patterns and events of few names and values, so that they meet often.
type random struct{ *rand.Rand }

func (r random) one(of ...string) string { return of[r.IntN(len(of))] }

func (r random) scalar() string {
	return r.one(`"a"`, `"ab"`, `"AB"`, `"aba"`, `"b"`, `""`, `"10.0.0.1"`, `"10.0.1.1"`, `"fd00::1"`, `1`, `1.5`, `2`, `15e-1`, `10`, `-3`, `true`, `false`, `null`, `"1"`)
}

func (r random) text() string   { return r.one(`"a"`, `"ab"`, `"b"`, `"aba"`, `"A"`) }
func (r random) number() string { return r.one(`1`, `1.5`, `2`, `10`, `-3`, `2.0`) }

func (r random) list(n int, one func() string) string {
	items := make([]string, 1+r.IntN(n))
	for i := range items {
		items[i] = one()
	}
	return "[" + strings.Join(items, ",") + "]"
}

func (r random) wildcard() string {
	return r.one(`"*"`, `"a*"`, `"*b"`, `"a*a"`, `"*b*"`, `"*a*b*"`, `"ab"`, `"a*b*a"`, `""`)
}

func (r random) operator() string {
	switch r.IntN(16) {
	case 0:
		return `{"prefix":` + r.one(`""`, `"a"`, `"ab"`, `"b"`) + `}`
	case 1:
		return `{"suffix":` + r.one(`""`, `"a"`, `"ba"`, `"b"`) + `}`
	case 2:
		return `{"prefix":{"equals-ignore-case":` + r.text() + `}}`
	case 3:
		return `{"suffix":{"equals-ignore-case":` + r.text() + `}}`
	case 4:
		return `{"equals-ignore-case":` + r.text() + `}`
	case 5:
		return `{"wildcard":` + r.wildcard() + `}`
	case 6:
		return `{"cidr":` + r.one(`"10.0.0.0/24"`, `"10.0.0.0/8"`, `"fd00::/16"`) + `}`
	case 7:
		return `{"numeric":` + r.one(`["=",1.5]`, `["<",2]`, `[">",1,"<=",10]`, `[">=",1]`, `["<=",-3]`, `[">",1.4,"<",1.6]`) + `}`
	case 8:
		return `{"exists":true}`
	case 9:
		return `{"exists":false}`
	case 10:
		return `{"anything-but":` + r.one(r.text(), r.number(), r.list(3, r.text), r.list(3, r.number)) + `}`
	case 11:
		return `{"anything-but":{"` + r.one("prefix", "suffix", "equals-ignore-case") + `":` + r.one(r.text(), r.list(2, r.text)) + `}}`
	case 12:
		return `{"anything-but":{"wildcard":` + r.one(r.wildcard(), r.list(2, r.wildcard)) + `}}`
	default:
		return r.scalar()
	}
}

var names = []string{"x", "y", "z"}

func (r random) pattern(depth int) string {
	var members []string
	for _, name := range names {
		switch n := r.IntN(6); {
		case n < 2:
			members = append(members, `"`+name+`":`+r.list(3, r.operator))
		case n == 2 && depth > 0:
			members = append(members, `"`+name+`":`+r.pattern(depth-1))
		}
	}
	if depth > 0 && r.IntN(5) == 0 {
		members = slices.Insert(members, 0, `"$or":[`+r.pattern(depth-1)+","+r.pattern(depth-1)+`]`) // where the oracle looks first
	}
	if len(members) == 0 {
		return `{"` + r.one(names...) + `":` + r.list(3, r.operator) + `}`
	}
	return "{" + strings.Join(members, ",") + "}"
}

func (r random) value(depth int) string {
	switch n := r.IntN(6); {
	case n < 2 && depth > 0:
		return r.object(depth - 1)
	case n == 2 && depth > 0:
		items := make([]string, r.IntN(4))
		for i := range items {
			items[i] = r.value(depth - 1)
		}
		return "[" + strings.Join(items, ",") + "]"
	default:
		return r.scalar()
	}
}

func (r random) object(depth int) string {
	var members []string
	for _, name := range names {
		if r.IntN(4) > 0 {
			members = append(members, `"`+name+`":`+r.value(depth))
		}
	}
	if depth > 0 && r.IntN(8) == 0 {
		members = append(members, `"x.y":`+r.value(depth-1))
	}
	return "{" + strings.Join(members, ",") + "}"
}

// One automaton over many random patterns finds just those that the oracle finds, and each pattern by itself says the same.
func TestOracle(t *testing.T) {
	rounds, found := 40, 0
	for seed := range rounds {
		r := random{rand.New(rand.NewPCG(uint64(seed), 1))}
		set := NewSet[int]()
		patterns := make([]string, 60)
		branches := make([][]map[string][]any, len(patterns))
		for i := range patterns {
			patterns[i] = r.pattern(2)
			p, err := Compile(patterns[i])
			if err != nil {
				t.Fatalf("compiling %s: %v", patterns[i], err)
			}
			set.Add(i, p)
			branches[i] = oracleBranches(decode(t, patterns[i]).(map[string]any), "", []map[string][]any{{}})
		}
		m := set.Matcher()
		for range 40 {
			event := r.object(4)
			all := leaves(decode(t, event), "", "", map[string]int{})
			var want []int
			for i := range patterns {
				if oracle(branches[i], all) {
					want = append(want, i)
				}
			}
			found += len(want)
			if got := m.Match([]byte(event)); !slices.Equal(got, want) {
				for _, i := range append(got, want...) {
					if slices.Contains(got, i) != slices.Contains(want, i) {
						t.Fatalf("seed %d: %s with %s: found is %v", seed, event, patterns[i], slices.Contains(got, i))
					}
				}
			}
		}
	}
	if n := rounds * 60 * 40; found < n/10 || found > n*9/10 {
		t.Errorf("%d of %d match: the cases are not good", found, n)
	}
}

func FuzzCompile(f *testing.F) {
	for _, file := range []string{"recorded.txt", "ruler.txt"} {
		for _, e := range examples(f, file) {
			f.Add(e.pattern)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Compile(text)
		if err == nil {
			p.Match([]byte(`{"a":[{"b":1}]}`))
			if !json.Valid([]byte(text)) {
				t.Errorf("%q is compiled and no JSON", text)
			}
		}
		if _, err := CompileFilterPolicy(text, MessageBody); err != nil && err.Error() == "" {
			t.Error("an error says nothing")
		}
	})
}

func FuzzMatch(f *testing.F) {
	set := NewSet[string]()
	for _, file := range []string{"recorded.txt", "ruler.txt"} {
		for _, e := range examples(f, file) {
			f.Add([]byte(e.event))
			if p, err := Compile(e.pattern); err == nil {
				set.Add(e.pattern, p)
			}
		}
	}
	m := set.Matcher()
	f.Fuzz(func(t *testing.T, event []byte) {
		found := m.Match(event)
		if err := Check(event); err == nil != json.Valid(event) && bytes.HasPrefix(bytes.TrimSpace(event), []byte("{")) && len(event) < 1000 {
			t.Errorf("%q is an event: %v", event, err)
		} else if err != nil && len(found) > 0 {
			t.Errorf("%q is no event and matches", event)
		}
	})
}

package eventpattern

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// example is a case of the files in testdata.
type example struct{ name, pattern, event, want string }

func examples(t testing.TB, file string) (all []example) {
	text, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	for block := range strings.SplitSeq("\n"+string(text), "\n-- ") {
		lines := strings.Split(strings.Trim(block, "\n"), "\n")
		if strings.HasPrefix(lines[0], "#") || len(lines) < 3 {
			continue
		}
		e := example{name: lines[0], pattern: lines[1], want: lines[len(lines)-1]}
		if len(lines) == 4 {
			e.event = lines[2]
		}
		all = append(all, e)
	}
	return all
}

// message is the error text that a case wants.
func (e *example) message() string {
	place, reason, _ := strings.Cut(strings.TrimPrefix(e.want, "error "), " ")
	column, twice := strings.CutPrefix(place, "2x")
	text := "Event pattern is not valid. Reason: " + reason
	if column == "0" {
		return text
	}
	at := "\n at [Source: (String)\"" + e.pattern + "\"; line: 1, column: " + column + "]"
	if twice {
		at += at
	}
	return text + at
}

func TestExamples(t *testing.T) {
	for _, file := range []string{"recorded.txt", "ruler.txt"} {
		for _, e := range examples(t, file) {
			t.Run(e.name, func(t *testing.T) {
				p, err := Compile(e.pattern)
				if strings.HasPrefix(e.want, "error ") {
					if err == nil || err.Error() != e.message() {
						t.Errorf("compiling %s:\ngot  %v\nwant %s", e.pattern, err, e.message())
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if got := p.Match([]byte(e.event)); got != (e.want == "match") {
					t.Errorf("matching %s with %s is %v", e.event, e.pattern, got)
				}
			})
		}
	}
}

func TestSource(t *testing.T) {
	t.Run("Lines", func(t *testing.T) {
		_, err := Compile("{\n  \"a\": 1\n}")
		want := "Event pattern is not valid. Reason: \"a\" must be an object or an array\n at [Source: (String)\"{\\n  \"a\": 1\\n}\"; line: 2, column: 9]"
		if err == nil || err.Error() != want {
			t.Errorf("the error is %q, want %q", err, want)
		}
	})
	t.Run("Long", func(t *testing.T) {
		text := `{"` + strings.Repeat("ä", 600) + `":1}`
		_, err := Compile(text)
		want := "[Source: (String)\"{\"" + strings.Repeat("ä", 498) + "\"[truncated 106 chars]; line: 1, column: 606]"
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("the error is %q, want it to end with %q", err, want)
		}
	})
}

func TestLimits(t *testing.T) {
	or := func(n int) string { return `"$or":[` + strings.TrimSuffix(strings.Repeat(`{"a":[1]},`, n), ",") + `]` }
	t.Run("Combinations", func(t *testing.T) {
		if _, err := Compile(`{"x":{` + or(10) + `},"y":{` + or(10) + `},"z":{` + or(10) + `}}`); err != nil {
			t.Errorf("a thousand combinations: %v", err)
		}
		if _, err := Compile(`{"x":{` + or(10) + `},"y":{` + or(10) + `},"z":{` + or(11) + `}}`); err == nil {
			t.Error("more than a thousand combinations are taken")
		}
	})
	t.Run("PatternDepth", func(t *testing.T) {
		deep := func(n int) string { return strings.Repeat(`{"a":`, n-1) + `[1]` + strings.Repeat(`}`, n-1) }
		if _, err := Compile(deep(maxDepth)); err != nil {
			t.Error(err)
		}
		if _, err := Compile(deep(maxDepth + 1)); err == nil {
			t.Error("a pattern that nests too deep is taken")
		}
	})
	t.Run("EventDepth", func(t *testing.T) {
		p, err := Compile(`{"b":[{"exists":false}]}`)
		if err != nil {
			t.Fatal(err)
		}
		deep := func(n int) []byte { return []byte(`{"a":` + strings.Repeat(`[`, n-1) + strings.Repeat(`]`, n-1) + `}`) }
		if !p.Match(deep(maxDepth)) || Check(deep(maxDepth)) != nil {
			t.Error("an event as deep as may be does not match")
		}
		if p.Match(deep(maxDepth+1)) || Check(deep(maxDepth+1)) == nil {
			t.Error("an event that nests too deep matches")
		}
	})
	t.Run("EventSize", func(t *testing.T) {
		if err := Check([]byte(`{"a":"` + strings.Repeat("x", maxEvent) + `"}`)); err == nil {
			t.Error("an event of any size is one")
		}
	})
}

// Independent arrays do not multiply, even if the last of them decides.
func TestManyArrays(t *testing.T) {
	var event, pattern strings.Builder
	event.WriteString("{")
	pattern.WriteString("{")
	for i := range 8 {
		name := `"a` + strconv.Itoa(i) + `":`
		event.WriteString(name + `[` + strings.Repeat(`{"x":1,"y":1},`, 2000) + `{"x":2},{"y":2}],`)
		pattern.WriteString(name + `{"x":[1],"y":[1]},`)
	}
	p, err := Compile(pattern.String() + `"last":{"x":[2],"y":[2]}}`)
	if err != nil {
		t.Fatal(err)
	}
	if p.Match([]byte(event.String() + `"last":[{"x":2},{"y":2}]}`)) {
		t.Error("values of two elements fit together")
	}
	if !p.Match([]byte(event.String() + `"last":[{"x":2},{"y":2,"x":2}]}`)) {
		t.Error("values of one element do not fit together")
	}
}

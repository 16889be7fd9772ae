package logpattern_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/engine/logpattern"
)

func lines(t testing.TB, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(b), "\n")
}

func TestMatch(t *testing.T) {
	var p *logpattern.Pattern
	for _, line := range lines(t, "testdata/match.txt") {
		if line == "" || line[0] == '#' {
			continue
		}
		kind, text := line[:1], strings.TrimPrefix(line[1:], " ")
		if kind == "?" {
			var err error
			if p, err = logpattern.Compile(text); err != nil {
				t.Fatalf("Compile(%s) = %v", text, err)
			}
			continue
		}
		want := kind == "+"
		if got := p.Match(text); got != want {
			t.Errorf("%s matches %s: %v, want %v", p.Text(), text, got, want)
		}
		if got := p.Extract(text) != nil; got != want {
			t.Errorf("%s extracts of %s: %v, want %v", p.Text(), text, got, want)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, line := range lines(t, "testdata/refuse.txt") {
		if line == "" || line[0] == '#' {
			continue
		}
		text, want, _ := strings.Cut(line, "\t")
		_, err := logpattern.Compile(text)
		if syntax, ok := errors.AsType[*logpattern.SyntaxError](err); !ok || syntax.Error() != want {
			t.Errorf("Compile(%s) = %v, want %s", text, err, want)
		}
	}
	deep := "{ " + strings.Repeat("(", 500) + "$.v = 1" + strings.Repeat(")", 500) + " }"
	if _, err := logpattern.Compile(deep); err == nil {
		t.Error("500 parentheses were taken")
	}
}

func TestExtract(t *testing.T) {
	const apache = `127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /apache_pb.gif HTTP/1.0" 200 1534`
	for _, tt := range []struct {
		pattern, message string
		want             map[string]string
		selector, value  string
	}{
		{"[ip, identity, user_id, timestamp, request, status_code, size]", apache, map[string]string{
			"$ip": "127.0.0.1", "$identity": "-", "$user_id": "frank", "$timestamp": "10/Oct/2000:13:25:15 -0700", "$request": "GET /apache_pb.gif HTTP/1.0",
			"$status_code": "200", "$size": "1534",
		}, "$size", "1534"},
		{"[..., size]", apache, map[string]string{
			"$1": "127.0.0.1", "$2": "-", "$3": "frank", "$4": "10/Oct/2000:13:25:15 -0700", "$5": "GET /apache_pb.gif HTTP/1.0", "$6": "200", "$size": "1534",
		}, "$6", "200"},
		{"[level, rest]", "INFO a  b \n", map[string]string{"$level": "INFO", "$rest": "a  b"}, "$rest", "a  b"},
		{`{ $.a.b = * || $.x = 1 }`, `{"a":{"b":"c"},"n":1.50,"t":true}`, map[string]string{"$.a.b": "c"}, "$.n", "1.50"},
		{`{ $.a.b = * }`, `{"a":{"b":1},"t":true}`, map[string]string{"$.a.b": "1"}, "$.t", "true"},
	} {
		p, err := logpattern.Compile(tt.pattern)
		if err != nil {
			t.Fatal(err)
		}
		m := p.Extract(tt.message)
		if m == nil {
			t.Fatalf("%s does not match", tt.pattern)
		}
		if d := cmp.Diff(tt.want, m.Values()); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.pattern, d)
		}
		s, err := p.Selector(tt.selector)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := m.Value(s); !ok || got != tt.value {
			t.Errorf("%s: %s = %q, %v", tt.pattern, tt.selector, got, ok)
		}
	}
	for pattern, selector := range map[string]string{"ERROR": "$.x", "[a, b]": "$c", "{ $.a = 1 }": "$a", "{ $.a = 2 }": "$.a b", "[a]": "$.a"} {
		p, err := logpattern.Compile(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Selector(selector); err == nil {
			t.Errorf("%s has the selector %s", pattern, selector)
		}
	}
}

// No message takes much longer than another one of its length.
func TestLinear(t *testing.T) {
	long := strings.Repeat("a", 1<<15)
	for _, text := range []string{`%a*a*a*a*a*a*a*b$%`, `{ $.v = %a*a*a*a*b$% }`, `[x=%a*a*a*b%, y]`, `[..., x]`, `{ $.v = "*` + strings.Repeat("a", 500) + `b*" }`} {
		p, err := logpattern.Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for _, m := range []string{long, `{"v":"` + long + `"}`, strings.Repeat("[ ", 1<<14), strings.Repeat(`"a `, 1<<13)} {
			p.Match(m)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%.60s took %s", text, took)
		}
	}
}

// naive matches terms as simply as can be.
func naive(pattern, message string) bool {
	any, options, others := false, 0, 0
	for _, w := range strings.Fields(pattern) {
		switch {
		case w[0] == '?':
			options++
			any = any || strings.Contains(message, w[1:])
		case w[0] == '-':
			others++
			if strings.Contains(message, w[1:]) {
				return false
			}
		default:
			others++
			if !strings.Contains(message, w) {
				return false
			}
		}
	}
	return others > 0 || options == 0 || any
}

func FuzzMatch(f *testing.F) {
	for _, path := range []string{"testdata/match.txt", "testdata/refuse.txt"} {
		for _, line := range lines(f, path) {
			text, _, _ := strings.Cut(strings.TrimPrefix(line, "? "), "\t")
			f.Add(text, `127.0.0.1 - [x y] "GET /" 404`)
			f.Add(text, `{"v":[{"a":1.5},null,"x"]}`)
			f.Add(text, strings.TrimLeft(line, "+- "))
		}
	}
	f.Add("a ?b -c", "ab")
	f.Fuzz(func(t *testing.T, pattern, message string) {
		p, err := logpattern.Compile(pattern)
		if err != nil {
			if _, ok := errors.AsType[*logpattern.SyntaxError](err); !ok || err.Error() == "" {
				t.Errorf("Compile(%q) = %v", pattern, err)
			}
			return
		}
		got := p.Match(message)
		if m := p.Extract(message); (m != nil) != got {
			t.Errorf("%q matches %q: %v, and extracts %v", pattern, message, got, m)
		}
		if !strings.ContainsAny(pattern, `"%{[`) && got != naive(pattern, message) {
			t.Errorf("%q matches %q: %v", pattern, message, got)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	for name, c := range map[string][2]string{
		"Terms":  {`ERROR -"not found"`, "2026-11-27T02:00:00Z INFO request served in 12 ms by worker 7"},
		"Object": {`{ $.status >= 500 && $.path = "/api/*" }`, `{"level":"info","status":200,"path":"/api/orders","ms":12,"user":{"id":7,"name":"ann"}}`},
		"Words":  {`[ip, user, ..., status=4*, bytes>1000]`, `127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534`},
	} {
		b.Run(name, func(b *testing.B) {
			p, err := logpattern.Compile(c[0])
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				p.Match(c[1])
			}
		})
	}
}

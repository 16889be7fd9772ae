package javapattern

import (
	"regexp"
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	tests := []struct {
		pattern string
		yes, no []string
	}{
		{`(?!aws:)[a-zA-Z+-=._:/]+`, []string{"a", "aws", "xaws:"}, []string{"aws:", "aws:x", ""}},
		{`^[0-9A-Za-z\.\-_]*(?<!\.)$`, []string{"", "a.b", "a-"}, []string{"a.", "."}},
		{`^(?! )[\p{L}\p{N}\p{Z}-_]*(?<! )$`, []string{"ä b", ""}, []string{" a", "a "}},
		{`(?!^[0-9]+$)([a-zA-Z0-9-_]+)`, []string{"1a", "a"}, []string{"12", "1"}},
		{`^(?=.{20,25}$)arn:[a-z]*:[a-z]+`, []string{"arn:aws:secretsmanager"}, []string{"arn:aws:kms", "arn:aws:" + strings.Repeat("a", 20)}},
		{`((?!-)[A-Za-z0-9-]{1,63}(?<!-)\.)+[a-z]{2,6}`, []string{"a.b-c.com"}, []string{"-a.com", "a-.com", "a..com"}},
		{`^((?!\\[nr]).)+`, []string{"abc", `a\x`}, []string{`a\n`, "a\nb"}},
		{`[a-zA-Z0-9=/+_.-]{4,10000}`, []string{"abcd", strings.Repeat("x", 10000)}, []string{"abc", strings.Repeat("x", 10001)}},
		{`(a|b)\1`, []string{"aa", "bb"}, []string{"ab", "a"}},
		{`([a-z]|(\d(?!\d{0,2}\.\d{1,3}\.\d{1,3}\.\d{1,3})))([a-z\d]|(\.(?!(\.|-)))|(-(?!\.))){1,61}[a-z\d]`, []string{"my.bucket-1", "1bucket"}, []string{"a..b", "192.168.0.1", "a.-b"}},
		{`(?i)all|[0-9]{12}`, []string{"ALL", "all", "123456789012"}, []string{"al"}},
		{`[A-Za-z](?!.*--)[0-9A-Za-z-]*[^-]|^default(?!.*--)(?!.*\.\.)[0-9A-Za-z-.]*[^-]`, []string{"ab", "default.x"}, []string{"a--b", "a-"}},
		{`[\u0020-\u007E]*?x`, []string{"x", "axx"}, []string{"xy"}},
		{`a++b`, []string{"aab"}, []string{"b"}},
		{`[^\x{61}a]`, nil, nil},
	}
	for _, test := range tests {
		p, err := Compile(test.pattern)
		if err != nil {
			if test.yes != nil {
				t.Errorf("Compile(%s): %v", test.pattern, err)
			}
			continue
		}
		for _, s := range test.yes {
			if !p.Match(s) {
				t.Errorf("%s does not match %.40q", test.pattern, s)
			}
		}
		for _, s := range test.no {
			if p.Match(s) {
				t.Errorf("%s matches %.40q", test.pattern, s)
			}
		}
	}
}

// A string that was made to take for ever must not.
func TestMatchIsBounded(t *testing.T) {
	for _, pattern := range []string{`(a+)+b`, `(a|a)*(?!x)b`, `((a*)*)*b`, `(?<=(a*)*)b`} {
		p, err := Compile(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if p.Match(strings.Repeat("a", 5000)) {
			t.Errorf("%s matches, want no", pattern)
		}
	}
}

// FuzzMatch compares with Go's package where both understand a pattern.
func FuzzMatch(f *testing.F) {
	f.Add(`(a|b)*c{2,3}[^d-f]?`, "abcc")
	f.Add(`^a.\w$|\s`, "ab_")
	f.Add(`(?!a)[\p{L}b-]+?`, "\u00e9-")
	f.Add(`((a)|(b)|c)+\d`, "abc1")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		p, err := Compile(pattern)
		if err != nil {
			return
		}
		_ = p.Match(s)
	})
}

func TestAgreesWithGo(t *testing.T) {
	inputs := []string{"", "a", "ab", "abc", "abcabc", "aab", "1", "a1", "A_b", "a-b", "a b", "ab\n", "\u00e9", "aaaa", "arn:aws:x:y"}
	for _, pattern := range []string{`a*`, `(ab|a)(c|bcd)?`, `[a-c]{2,4}`, `\w+`, `\W*`, `a.?b`, `(a|ab)(c|bcd)*`, `[^a]*`, `^a|b$`, `(?:a+?b*)+`, `\ba\b`, `[\w-]+`, `\p{L}+`, `[a-z]+(:[a-z]+)*`, `a{2}`, `a{2,}`, `(a?){3}`} {
		p, err := Compile(pattern)
		if err != nil {
			t.Fatalf("Compile(%s): %v", pattern, err)
		}
		re := regexp.MustCompile(`\A(?:` + pattern + `)\z`)
		for _, s := range inputs {
			if got, want := p.Match(s), re.MatchString(s); got != want {
				t.Errorf("%s on %q: %v, Go says %v", pattern, s, got, want)
			}
		}
	}
}

// What a pattern does with a row of characters is bounded too, not only how often it tries.
func TestLongRows(t *testing.T) {
	row := strings.Repeat("a", 1<<18)
	for _, pattern := range []string{`(a*)\1b`, `(?:[a-z]{2000,}(?!x))+b`, `(?:a(?=[a-z]*+b)|a)*c`} {
		p, err := Compile(pattern)
		if err != nil {
			t.Fatal(err)
		}
		m := matcher{in: []rune(row), groups: make([]span, p.groups+1)}
		if m.match(p.root, 0, func(i int) bool { return i == len(m.in) }) {
			t.Errorf("%s matches", pattern)
		}
		if m.steps > 2*maxSteps+len(row)/charsInStep {
			t.Errorf("%s took %d steps", pattern, m.steps)
		}
	}
}

package wire

import (
	"os"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/wire/internal/javapattern"
)

// Every pattern of the models must be read by one of the two packages.
func TestPatternsOfTheModels(t *testing.T) {
	b, err := os.ReadFile("testdata/patterns.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		pattern := strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(pattern, "#") {
			continue
		}
		if _, err := javapattern.Compile(pattern); err != nil {
			t.Errorf("%s: %v", pattern, err)
		}
	}
}

func TestPatternMatches(t *testing.T) {
	for _, test := range []struct {
		pattern string
		yes, no string
	}{
		{`^\p{ASCII}+$`, "a~", "\u00e9"},
		{`[\p{ASCII}]+`, "a~", "\u00e9"},
		{`[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\r\n\t]*`, "a\U0001F600\t", "\x01"},
		{`\u0041[^\u0042]`, "AC", "AB"},
		{`[a-z&&]+`, "a&", "A"},
		{`[\p{L}\p{Z}\p{N}_.:/=+\-@]*`, "\u00e9 1@", "#"},
		{`[\w+=,.@-]+`, "a@b", "a b"},
		{`a|b`, "b", "ab"},
		{`[[a]]?`, "[]", "b"},
		{`(?!aws:)[a-z:]+`, "aw:", "aws:"},
		{`.{1,2000}`, "a", ""},
	} {
		c := &Constraint{Pattern: test.pattern}
		if !c.matches(test.yes) {
			t.Errorf("%s does not match %q", test.pattern, test.yes)
		}
		if c.matches(test.no) {
			t.Errorf("%s matches %q", test.pattern, test.no)
		}
	}
}

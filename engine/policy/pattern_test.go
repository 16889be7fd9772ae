package policy

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPatternResource(t *testing.T) {
	const key = "arn:aws:kms:eu-west-1:111122223333:key/1234"
	for _, c := range []struct {
		pattern, subject string
		want             bool
	}{
		{"*", key, true},
		{key, key, true},
		{key, strings.ToUpper(key), false},
		{"arn:aws:kms:*:111122223333:key/*", key, true},
		{"arn:aws:kms:*", key, true},
		{"arn:aws:kms:*:key/*", key, true},             // a star at the end of a field passes colons
		{"arn:aws:kms:e*3:key/*", key, false},          // one inside a field does not
		{"arn:aws:kms:e*1:1*3:key/*", key, true},       //
		{"arn:aws:kms:e**1:111122223333:*", key, true}, // two stars are one
		{"arn:aws:kms:eu?west?1:*", key, true},
		{"arn:aws:kms?eu-west-1:*", key, false},
		{"arn:aws:kms:eu-west-1:111122223333:key/????", key, true},
		{"arn:aws:kms:eu-west-1:111122223333:key/???", key, false},
		{"arn:aws:s3:::b/*c", "arn:aws:s3:::b/a:b:c", true}, // the last field is free
		{"arn:aws:s3:::b/*", "arn:aws:s3:::b/", true},
		{"arn:aws:s3:::b/*", "arn:aws:s3:::b", false},
		{"arn:aws:s3:::*?é", "arn:aws:s3:::éé", true},
		{"arn:aws:s3:::*??é", "arn:aws:s3:::éé", false},
		{"key/*", "key/1", true},
	} {
		p, _, problem := compilePattern(c.pattern, dialect{wildcards: true, fields: true})
		if got := p.match(nil, c.subject); got != c.want || problem != "" {
			t.Errorf("%q against %q = %t %s, want %t", c.pattern, c.subject, got, problem, c.want)
		}
	}
}

// FuzzPattern compares the matcher with a regular expression.
func FuzzPattern(f *testing.F) {
	f.Add("arn:aws:kms:*1:*:key/a?c*", "arn:aws:kms:eu-west-1:1:key/abcd")
	f.Add("*a*b*c", "aabbcc")
	f.Add("arn:*:*:e*-*?1:*", "arn:aws:kms:eu-west-1:1:x")
	f.Add("?", "é")
	f.Fuzz(func(t *testing.T, pattern, subject string) {
		if len(pattern)+len(subject) > 200 || !utf8.ValidString(pattern) || !utf8.ValidString(subject) {
			return
		}
		p, _, _ := compilePattern(pattern, dialect{wildcards: true, fields: true})
		fields := strings.HasPrefix(pattern, "arn:")
		var b strings.Builder
		b.WriteString(`(?s)\A`)
		colons := 0
		for i, r := range pattern {
			inField := fields && colons < 5
			rest := strings.TrimLeft(pattern[i:], "*")
			switch {
			case r == '*' && inField && rest != "" && rest[0] != ':':
				b.WriteString("[^:]*")
			case r == '*':
				b.WriteString(".*")
			case r == '?' && inField:
				b.WriteString("[^:]")
			case r == '?':
				b.WriteString(".")
			default:
				b.WriteString(regexp.QuoteMeta(string(r)))
			}
			if r == ':' {
				colons++
			}
		}
		b.WriteString(`\z`)
		if got, want := p.match(nil, subject), regexp.MustCompile(b.String()).MatchString(subject); got != want {
			t.Errorf("%q against %q = %t, want %t", pattern, subject, got, want)
		}
	})
}

package wire

import (
	"regexp"
	"strings"

	"github.com/holdfast-cloud/holdfast/wire/internal/javapattern"
)

// matches reports whether the whole of v matches the pattern, if there is one. The pattern is compiled when it
// is first needed: most never are.
func (c *Constraint) matches(v string) bool {
	if c.Pattern == "" {
		return true
	}
	p := c.compiled.Load()
	if p == nil {
		p = new(compilePattern(c.Pattern))
		c.compiled.Store(p)
	}
	return (*p)(v)
}

// compilePattern makes a matcher of a pattern of a model. A pattern that cannot be read allows everything: better than a service that refuses every call.
// A test knows of none.
func compilePattern(pattern string) func(string) bool {
	match, err := CompilePattern(pattern)
	if err != nil {
		return func(string) bool { return true }
	}
	return match
}

// CompilePattern makes a matcher of whole strings of a Java regular expression: of those in the models, and of those that callers give. Go's own package, whose
// time is linear in the string, reads nearly all of them; javapattern, whose time is bounded, the others.
func CompilePattern(pattern string) (match func(string) bool, err error) {
	translated := translatePattern(pattern)
	if _, err := regexp.Compile(translated); err == nil { // alone: it must not close the group that is put around it
		if re, err := regexp.Compile(`\A(?:` + translated + `)\z`); err == nil {
			return re.MatchString, nil
		}
	}
	p, err := javapattern.Compile(pattern)
	if err != nil {
		return nil, err
	}
	return p.Match, nil
}

// javaClasses are the classes that Go writes otherwise, as what stands between the brackets.
var javaClasses = [...]struct{ java, inside string }{
	{`\p{ASCII}`, `\x00-\x7F`},
	{`\p{Print}`, ` -~`},
	{`\p{Graph}`, `!-~`},
	{`\p{Punct}`, `[:punct:]`},
	{`\p{Alpha}`, `A-Za-z`},
	{`\p{Digit}`, `0-9`},
	{`\p{Alnum}`, `0-9A-Za-z`},
	{`\p{Upper}`, `A-Z`},
	{`\p{Lower}`, `a-z`},
	{`\p{XDigit}`, `0-9A-Fa-f`},
	{`\p{Space}`, `\t\n\v\f\r `},
	{`\p{Blank}`, ` \t`},
	{`\p{Cntrl}`, `\x00-\x1F\x7F`},
	{`\p{IsAlphabetic}`, `\p{L}\p{Nl}`},
	// Two UTF-16 units of a character beyond the first plane, as the models write all of them.
	{`\uD800\uDC00-\uDBFF\uDFFF`, `\x{10000}-\x{10FFFF}`},
}

// translatePattern writes a Java pattern as Go does, as far as they differ.
func translatePattern(p string) string {
	var b strings.Builder
	inClass := false
scan:
	for i := 0; i < len(p); {
		switch p[i] {
		case '[':
			if inClass {
				b.WriteString(`\[`) // the models have no classes within classes, but brackets meant as such
				i++
				continue
			}
			inClass = true
		case ']':
			inClass = false
		case '\\':
			for _, c := range javaClasses {
				if strings.HasPrefix(p[i:], c.java) {
					if inClass {
						b.WriteString(c.inside)
					} else {
						b.WriteString("[" + c.inside + "]")
					}
					i += len(c.java)
					continue scan
				}
			}
			if strings.HasPrefix(p[i:], `\u`) && len(p) >= i+6 {
				b.WriteString(`\x{` + p[i+2:i+6] + `}`)
				i += 6
				continue
			}
			if i+1 < len(p) {
				b.WriteString(p[i : i+2])
				i += 2
				continue
			}
		}
		b.WriteByte(p[i])
		i++
	}
	return b.String()
}

// Package launch runs a program with secrets and parameters in its environment or in files, follows their rotation, and restarts or signals the program when they change.
package launch

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Source is a secret, or a parameter, or all parameters below a path, and what their values are to be called.
type Source struct {
	parameter bool
	id        string // name or ARN; a path ends in a slash
	member    string // of a secret that is a JSON object; "" is all
	name      string // exactly; "" is from what the value itself is called
	prefix    string // of the names of members and of what is below a path, from NAME*
	star      bool   // prefix was given, be it empty
}

// String is the source as it was given.
func (s *Source) String() string {
	text := s.id
	if s.member != "" {
		text += "#" + s.member
	}
	switch {
	case s.star:
		text += "=" + s.prefix + "*"
	case s.name != "":
		text += "=" + s.name
	}
	return text
}

// named is what may stand behind the last = of a source. The names of files may have dots and hyphens too.
var named = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*\*?$|^\*$`)

// ParseSecret reads ID[#MEMBER][=NAME], where NAME may end in * for the members of a JSON object. A secret whose name has an = in it needs one behind it.
func ParseSecret(text string) (*Source, error) {
	s, err := parse(text)
	if err != nil {
		return nil, err
	}
	if id, member, ok := strings.Cut(s.id, "#"); ok {
		if id == "" || member == "" {
			return nil, fmt.Errorf("%q: there is nothing before or behind the #", text)
		}
		if s.star {
			return nil, fmt.Errorf("%q: one member has one name, without *", text)
		}
		s.id, s.member = id, member
	}
	return s, nil
}

// ParseParameter reads NAME[=VARIABLE] or PATH/[=PREFIX*].
func ParseParameter(text string) (*Source, error) {
	s, err := parse(text)
	if err != nil {
		return nil, err
	}
	s.parameter = true
	if s.path() && s.name != "" {
		return nil, fmt.Errorf("%q: what is below a path has names of its own; %s* puts that before them", text, s.name)
	}
	return s, nil
}

func (s *Source) path() bool { return strings.HasSuffix(s.id, "/") }

func parse(text string) (*Source, error) {
	s := &Source{id: text}
	if at := strings.LastIndexByte(text, '='); at >= 0 {
		name := text[at+1:]
		if !named.MatchString(name) {
			return nil, fmt.Errorf("%q: what stands behind = is no name of a variable, such as DB_PASSWORD or DB_*", text)
		}
		s.id = text[:at]
		if prefix, ok := strings.CutSuffix(name, "*"); ok {
			s.prefix, s.star = prefix, true
		} else {
			s.name = name
		}
	}
	if s.id == "" {
		return nil, errors.New("the name is empty")
	}
	return s, nil
}

// Naming is how values are called that no source gives a name to.
type Naming struct {
	Files  bool   // files keep the names that things have; variables of the environment are in capitals
	Prefix string // of variables
}

// of is the name of something called own, with the source's prefix if it has one. It is "" if nothing is left of it.
func (n *Naming) of(s *Source, own string) string {
	prefix := n.Prefix
	if s.star {
		prefix = s.prefix
	}
	var b strings.Builder
	b.WriteString(prefix)
	own = strings.Trim(own, "/")
	if own == "" {
		return ""
	}
	for i := range len(own) {
		c := own[i]
		switch {
		case c >= '0' && c <= '9':
			if b.Len() == 0 && !n.Files {
				b.WriteByte('_')
			}
		case c >= 'A' && c <= 'Z', c == '_':
		case c >= 'a' && c <= 'z':
			if !n.Files {
				c -= 'a' - 'A'
			}
		case n.Files && (c == '-' || c == '.' && b.Len() > 0):
		default:
			c = '_'
		}
		b.WriteByte(c)
	}
	return b.String()
}

// runs are variables by which loaders, shells and interpreters are told to run something, or where to find what they run.
var runs = regexp.MustCompile(`^((LD|DYLD)_.*|PATH|IFS|BASH_ENV|BASHOPTS|SHELLOPTS|PS4|PROMPT_COMMAND|GCONV_PATH|GLIBC_TUNABLES|NODE_(OPTIONS|PATH)|` +
	`PYTHON(BREAKPOINT|HOME|PATH|STARTUP|USERBASE|WARNINGS)|PERL5?(DB|LIB|OPT)|RUBY(LIB|OPT)|_JAVA_OPTIONS|JDK_JAVA_OPTIONS|JAVA_TOOL_OPTIONS|CLASSPATH|LUA_(INIT|C?PATH)|PHPRC|` +
	`PHP_INI_SCAN_DIR|DOTNET_STARTUP_HOOKS|COR(ECLR)?_PROFILER(_PATH(_32|_64|_ARM64)?)?|OPENSSL_(CONF|ENGINES|MODULES)|GIT_(EXEC_PATH|SSH|SSH_COMMAND))$`)

// check refuses names that a secret's writer must not choose, and names that can not be used.
func (n *Naming) check(name string, exact bool, taken func(string) bool) error {
	switch {
	case n.Files:
		return nil // of and named let nothing through that leaves the directory
	case strings.ContainsAny(name, ".-"):
		return fmt.Errorf("%s can not be the name of a variable", name)
	case exact:
		return nil
	}
	// Who may write the value of a secret may name its members. With PATH, LD_PRELOAD or NODE_OPTIONS that would be the right to run programs here.
	if runs.MatchString(name) || taken(name) {
		return fmt.Errorf("the variable %s has a meaning already, and is only replaced where =%s says so", name, name)
	}
	return nil
}

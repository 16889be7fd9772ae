package database

import "strings"

// grant is a line of MySQL's SHOW GRANTS: GRANT what TO whom WITH GRANT OPTION, or SET DEFAULT ROLE what FOR whom.
type grant struct {
	what   string // GRANT SELECT ON `db`.*, as SQL
	keyTo  string // TO, or FOR
	option string // WITH GRANT OPTION, WITH ADMIN OPTION, or nothing
}

// parseGrant reads one. What else the line says of the one it is granted to, such as the hash of a password, is left out. Names in it are quoted and may have anything in them.
func parseGrant(line string) (grant, bool) {
	key := " TO "
	if strings.HasPrefix(line, "SET DEFAULT ROLE ") {
		key = " FOR "
	} else if !strings.HasPrefix(line, "GRANT ") {
		return grant{}, false
	}
	words := unquoted(line)
	at := strings.LastIndex(words, key)
	if at < 0 {
		return grant{}, false
	}
	g := grant{what: line[:at], keyTo: strings.TrimSpace(key)}
	for _, option := range []string{"GRANT OPTION", "ADMIN OPTION"} {
		if strings.Contains(words[at:], option) {
			g.option = " WITH " + option
		}
	}
	return g, true
}

// to is the statement that grants the same to somebody else.
func (g grant) to(whom string) string { return g.what + " " + g.keyTo + " " + whom + g.option }

// everywhere reports whether it grants privileges on all databases.
func (g grant) everywhere() bool { return strings.HasSuffix(g.what, " ON *.*") }

// has reports whether a privilege is among what it grants.
func (g grant) has(privilege string) bool {
	list := strings.TrimPrefix(strings.TrimSuffix(g.what, " ON *.*"), "GRANT ")
	for one := range strings.SplitSeq(list, ",") {
		if one = strings.TrimSpace(one); one == privilege || one == "ALL PRIVILEGES" {
			return true
		}
	}
	return false
}

// unquoted is a line with blanks in place of what is quoted, so that what is left can be searched. It is as long as the line.
func unquoted(line string) string {
	out := []byte(line)
	var quote byte
	for i := 0; i < len(out); i++ {
		switch c := out[i]; {
		case quote == 0 && (c == '\'' || c == '"' || c == '`'):
			quote = c
			out[i] = '_'
		case quote == 0:
		case c == '\\' && quote != '`' && i+1 < len(out):
			out[i], out[i+1] = '_', '_'
			i++
		case c == quote && i+1 < len(out) && out[i+1] == quote:
			out[i], out[i+1] = '_', '_'
			i++
		case c == quote:
			quote = 0
			out[i] = '_'
		default:
			out[i] = '_'
		}
	}
	return string(out)
}

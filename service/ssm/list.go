package ssm

import (
	"bytes"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/ssm"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/pagetoken"
	"github.com/holdfast-cloud/holdfast/store/tuple"
)

// A listing goes through spans of the parameters of an account in a region, in the order of their keys. It goes on after the last parameter that it has looked at, so that none that
// stays is left out or comes twice, whoever writes meanwhile. One call looks at maxLooked parameters at most, whatever the filters leave of them: it may answer with fewer than asked
// for, even with none, and a token.
const maxLooked = 1000

// span is the parameters with from <= key < to. Names are made of characters from '-' to 'z', so that what begins with s ends before s~, and s itself before s!.
type span struct{ from, to store.Key }

// only is the parameter of a name.
func only(n name) span {
	return span{store.Key{n.dir, n.leaf}, store.Key{n.dir, store.Begin(n.leaf + "!")}}
}

// level is what lies directly in a hierarchy.
func level(dir string) span { return span{store.Key{dir}, store.Key{store.Begin(dir + "!")}} }

// below is what lies in the hierarchies in a hierarchy.
func below(dir string) span {
	return span{store.Key{store.Begin(dir + "/")}, store.Key{store.Begin(dir + "0")}} // 0 comes after /
}

// beginning is the parameters whose names, with a slash before them, begin with s.
func beginning(s string) []span {
	n := splitName(s)
	return []span{
		{store.Key{n.dir, store.Begin(n.leaf)}, store.Key{n.dir, store.Begin(n.leaf + "~")}},
		{store.Key{store.Begin(s)}, store.Key{store.Begin(s + "~")}},
	}
}

// everything is all parameters.
func everything() []span { return []span{level(""), below("")} }

// disjoint sorts spans, and makes one of those that overlap.
func disjoint(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return compare(a.from, b.from) })
	var out []span
	for _, s := range spans {
		if last := len(out) - 1; last >= 0 && compare(s.from, out[last].to) < 0 {
			if compare(s.to, out[last].to) > 0 {
				out[last].to = s.to
			}
			continue
		}
		out = append(out, s)
	}
	return out
}

func compare(a, b store.Key) int { return bytes.Compare(tuple.Encode(a...), tuple.Encode(b...)) }

// listing is what is listed, under which filters; a token is good for nothing else.
type listing struct {
	name  string
	spans []span // disjoint
	limit int
	keep  func(*parameterRecord) bool // nil keeps all
}

// page returns the next parameters of the caller's account.
func (l *listing) page(c *call.Call, token *string) (records []*parameterRecord, next *string, err error) {
	after, err := l.position(token)
	if err != nil {
		return nil, nil, err
	}
	rows := parameterTable.In(c.Scope.Account, c.Scope.Region)
	looked := 0
	var last name
	for _, s := range l.spans {
		if after != nil && compare(after, s.from) > 0 {
			if compare(after, s.to) >= 0 {
				continue
			}
			s.from = after
		}
		for p, err := range rows.Scan(c.Tx(), store.Query{From: s.from, To: s.to}) {
			if err != nil {
				return nil, nil, err
			}
			kept := l.keep == nil || l.keep(p)
			if looked == maxLooked || kept && len(records) == l.limit {
				return records, new(pagetoken.Encode(l.name, []byte(last.dir+"\x00"+last.leaf))), nil
			}
			if kept {
				records = append(records, p)
			}
			looked, last = looked+1, p.name()
		}
	}
	return records, nil, nil
}

// position is the key to go on at; nil is the beginning.
func (l *listing) position(token *string) (store.Key, error) {
	if optional.Value(token) == "" {
		return nil, nil
	}
	at, err := pagetoken.Decode(l.name, *token)
	dir, leaf, ok := strings.Cut(string(at), "\x00")
	if err != nil || !ok || !nameCharacters(dir) || !nameCharacters(leaf) {
		return nil, badToken()
	}
	return only(name{dir, leaf}).to, nil
}

func badToken() error { return &ssm.InvalidNextToken{Message: "The specified token isn't valid."} }

// limit is how many entries a page has.
func limit(given *int32, otherwise int) int {
	if given == nil {
		return otherwise
	}
	return int(*given)
}

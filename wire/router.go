package wire

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Router finds the operation that a request to a REST service means. Templates may cover each other, and
// the one that says most of the request wins: first by its path, from the left, a fixed segment before a
// label and a label before a greedy one; then by what it fixes in the query; and then by the query parameters
// and headers that the operation cannot be called without, for some are told apart by nothing else
// (s3:PutObject and s3:CopyObject).
//
// A Router is not changed after NewRouter, and may be used concurrently.
type Router struct {
	byMethod map[string][]route // the most specific paths first
}

type route struct {
	op       *Operation
	segments []segment
	query    []queryLiteral

	needQuery, needHeader []string // of required members
}

// segment is a part of a path between slashes: a fixed text, or a label, which if greedy takes slashes too.
type segment struct {
	literal string
	label   string
	greedy  bool
}

type queryLiteral struct {
	key, value string
	anyValue   bool
}

// NewRouter makes a router for the operations that have a method and a URI.
func NewRouter(ops []*Operation) *Router {
	r := &Router{byMethod: map[string][]route{}}
	for _, op := range ops {
		if op.Method != "" && op.URI != "" {
			r.byMethod[op.Method] = append(r.byMethod[op.Method], newRoute(op))
		}
	}
	for _, routes := range r.byMethod {
		slices.SortStableFunc(routes, compareRoutes)
	}
	return r
}

func newRoute(op *Operation) route {
	path, query, _ := strings.Cut(op.URI, "?")
	t := route{op: op, segments: parseTemplate(path)}
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		k, v, has := strings.Cut(pair, "=")
		if k == "x-id" {
			continue // says the operation's name once more, and only some clients send it
		}
		t.query = append(t.query, queryLiteral{key: k, value: v, anyValue: !has || v == ""})
	}
	if op.NewInput != nil {
		members := op.NewInput().Schema().Members
		for i := range members {
			switch m := &members[i]; {
			case !m.Required:
			case m.Location == InQuery:
				t.needQuery = append(t.needQuery, m.WireName())
			case m.Location == InHeader:
				t.needHeader = append(t.needHeader, m.WireName())
			}
		}
	}
	return t
}

func parseTemplate(path string) []segment {
	var out []segment
	for part := range strings.SplitSeq(trimSlashes(path), "/") {
		var s segment
		if strings.HasPrefix(part, "{") && strings.HasSuffix(part, "}") {
			s.label = part[1 : len(part)-1]
			s.label, s.greedy = strings.CutSuffix(s.label, "+")
		} else {
			s.literal = part
		}
		out = append(out, s)
	}
	return out
}

// trimSlashes takes the first slash off a path, and the last.
func trimSlashes(path string) string {
	return strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
}

func (s *segment) rank() int {
	switch {
	case s.greedy:
		return 2
	case s.label != "":
		return 1
	}
	return 0
}

// compareRoutes puts the more specific route first.
func compareRoutes(a, b route) int {
	for i := range min(len(a.segments), len(b.segments)) {
		if c := cmp.Compare(a.segments[i].rank(), b.segments[i].rank()); c != 0 {
			return c
		}
	}
	if c := cmp.Compare(len(b.segments), len(a.segments)); c != 0 {
		return c
	}
	return cmp.Compare(len(b.query), len(a.query))
}

// samePath reports whether two routes differ in nothing but the query.
func samePath(a, b *route) bool {
	if len(a.segments) != len(b.segments) {
		return false
	}
	for i := range a.segments {
		if a.segments[i].rank() != b.segments[i].rank() || a.segments[i].literal != b.segments[i].literal {
			return false
		}
	}
	return true
}

// Match gives the operation that a request means, and the labels of its path, decoded. The path is escaped, as
// it stood in the request line. It gives nil when there is no such operation.
func (r *Router) Match(method, path, rawQuery string, header http.Header) (*Operation, map[string]string) {
	query := queryKeys(rawQuery)
	var best *route
	var labels map[string]string
	score := 0
	routes := r.byMethod[method]
	for i := range routes {
		t := &routes[i]
		if best != nil && compareRoutes(*best, *t) < 0 {
			break // all that follow say less
		}
		if best != nil && !samePath(best, t) {
			continue
		}
		if !t.matchQuery(query) {
			continue
		}
		l, ok := matchPath(t.segments, path)
		if !ok {
			continue
		}
		if s := t.needs(query, header); best == nil || s > score {
			best, labels, score = t, l, s
		}
	}
	if best == nil {
		return nil, nil
	}
	return best.op, labels
}

// queryKeys gives the parameters of a query, decoded as far as they can be.
func queryKeys(raw string) map[string]string {
	if raw == "" {
		return nil
	}
	keys := map[string]string{}
	for pair := range strings.SplitSeq(raw, "&") {
		k, v, _ := strings.Cut(pair, "=")
		if u, err := url.QueryUnescape(k); err == nil {
			k = u
		}
		if u, err := url.QueryUnescape(v); err == nil {
			v = u
		}
		if _, ok := keys[k]; !ok && k != "" {
			keys[k] = v
		}
	}
	return keys
}

func (t *route) matchQuery(query map[string]string) bool {
	for _, q := range t.query {
		if v, ok := query[q.key]; !ok || !q.anyValue && v != q.value {
			return false
		}
	}
	return true
}

// needs is how many of the parameters that the operation needs are there, or -1 when one is missing.
func (t *route) needs(query map[string]string, header http.Header) int {
	for _, k := range t.needQuery {
		if _, ok := query[k]; !ok {
			return -1
		}
	}
	for _, k := range t.needHeader {
		if len(header.Values(k)) == 0 {
			return -1
		}
	}
	return len(t.needQuery) + len(t.needHeader)
}

// matchPath matches an escaped path and gives the labels, decoded.
func matchPath(segments []segment, path string) (map[string]string, bool) {
	labels := map[string]string{}
	rest := strings.TrimPrefix(path, "/")
	for i := range segments {
		s := &segments[i]
		if s.greedy {
			tail := segments[i+1:]
			end := len(rest)
			for n := len(tail); n > 0; n-- {
				end = strings.LastIndexByte(rest[:end], '/')
				if end < 0 {
					return nil, false
				}
			}
			if end == 0 {
				return nil, false
			}
			v, err := url.PathUnescape(rest[:end])
			if err != nil {
				return nil, false
			}
			labels[s.label] = v
			if len(tail) == 0 {
				return labels, true
			}
			more, ok := matchPath(tail, rest[end:])
			if !ok {
				return nil, false
			}
			for k, v := range more {
				labels[k] = v
			}
			return labels, true
		}
		part, after, found := strings.Cut(rest, "/")
		last := i == len(segments)-1
		if last && found && after != "" || !last && !found {
			return nil, false
		}
		v, err := url.PathUnescape(part)
		if err != nil {
			return nil, false
		}
		switch {
		case s.label == "" && v != s.literal:
			return nil, false
		case s.label != "" && v == "":
			return nil, false
		case s.label != "":
			labels[s.label] = v
		}
		rest = after
	}
	return labels, true
}

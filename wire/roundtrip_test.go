package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// maker makes random values. What a protocol has no way to write is left out.
type maker struct {
	*rand.Rand
	controls bool // strings may hold any character
	empties  bool // lists and maps may be empty
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

func (g *maker) text() string {
	runes := []rune("abcXYZ019 .,;:/?&=+%#\"'\\<>[]{}()\u00e9\u00fc\u4e16\U0001F600-_~*\t\n\r")
	if g.controls {
		runes = append(runes, 0, 1, 0x1f, 0x7f, 0x2028, 0xfffe)
	}
	var b strings.Builder
	for range g.IntN(12) {
		b.WriteRune(runes[g.IntN(len(runes))])
	}
	return b.String()
}

// word is a text for a place that takes little.
func (g *maker) word() string {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	var b strings.Builder
	for range 1 + g.IntN(8) {
		b.WriteByte(letters[g.IntN(len(letters))])
	}
	return b.String()
}

func (g *maker) value(m *Member, depth int) any {
	n := g.IntN(4)
	if n == 0 && !g.empties {
		n = 1
	}
	if m.Location != InBody && n == 0 {
		n = 1
	}
	switch m.Target.Kind {
	case Enum:
		return []string{"A", "B", "unheard-of"}[g.IntN(3)]
	case String:
		switch m.Location {
		case InHeader, InHeaders:
			return g.word() + " \u00e9, \"" + g.word() + "\""
		case InURI:
			return g.word() + g.text() + "x"
		}
		return g.text()
	case Blob:
		b := make([]byte, g.IntN(10))
		for i := range b {
			b[i] = byte(g.Uint32())
		}
		if m.Location != InBody {
			b = append(b, 1)
		}
		return b
	case Boolean:
		return g.IntN(2) == 0
	case Integer:
		if m.Location == InStatus {
			return int64(200 + g.IntN(99))
		}
		return []int64{0, 1, -1, math.MaxInt32, math.MinInt32}[g.IntN(5)]
	case Long:
		return []int64{0, 1, -1, math.MaxInt64, math.MinInt64, 1 << 53}[g.IntN(6)]
	case Float:
		return float64(float32(g.NormFloat64()))
	case Double:
		return []float64{0, 1, -1.5, math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1), g.NormFloat64()}[g.IntN(8)]
	case Timestamp:
		return time.UnixMilli(g.Int64N(4e12) - 1e12).UTC()
	case Document:
		return document{map[string]any{"a": []any{1.5, "x", nil, true, map[string]any{}}, g.word(): g.text()}}
	case Struct:
		return g.shape(m.Target, depth+1)
	case Union:
		s := m.Target
		c := &s.Members[g.IntN(len(s.Members))]
		return &dyn{s, map[string]any{c.Name: g.value(c, depth+1)}}
	case List:
		list := []any{}
		for range n {
			if m.Target.Sparse && g.IntN(3) == 0 {
				list = append(list, nil)
				continue
			}
			list = append(list, g.value(at(m.Target.Elem, m), depth+1))
		}
		return list
	case Map:
		all := map[string]any{}
		for range n {
			k := g.word()
			switch m.Location {
			case InBody:
				k += g.text()
			case InQueryMap:
				k = "rest-" + k // and not the name of a member
			}
			if m.Target.Sparse && g.IntN(3) == 0 {
				all[k] = nil
				continue
			}
			all[k] = g.value(at(m.Target.Elem, m), depth+1)
		}
		return all
	}
	panic("no such kind")
}

// at is an element in the place of its container.
func at(elem, container *Member) *Member {
	if container.Location == InBody {
		return elem
	}
	c := *elem
	c.Location = container.Location
	return &c
}

func (g *maker) shape(s *Schema, depth int) *dyn {
	d := &dyn{s, map[string]any{}}
	for i := range s.Members {
		m := &s.Members[i]
		if !m.Required && (g.IntN(3) == 0 || m.Name == "Self" && depth > 2) {
			continue
		}
		d.v[m.Name] = g.value(m, depth)
	}
	if len(d.v) == 0 && !g.empties && depth > 0 {
		d.v[s.Members[0].Name] = g.value(&s.Members[0], depth)
	}
	return d
}

var compare = cmp.AllowUnexported(dyn{}, failed{}, document{})

// compareValues compares shapes by their values: a schema is too large to compare, and is the same.
var compareValues = cmp.Options{compare, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().Type().String() == "*wire.Schema" }, cmp.Ignore())}

// TestRoundTrip sends random shapes through each protocol, in both directions.
func TestRoundTrip(t *testing.T) {
	tests := map[ProtocolID]struct {
		in, out  *Schema
		controls bool
		empties  bool
	}{
		AWSJSON:   {withNulls(withMaps(everything())), withNulls(withMaps(everything())), true, true},
		RPCv2CBOR: {withNulls(withMaps(everything())), withNulls(withMaps(everything())), true, true},
		Query:     {withMaps(everything()), withMaps(everything()), false, false},
		EC2Query:  {everything(), everything(), false, false},
		RESTJSON:  {bound(withNulls(withMaps(everything()))), withStatus(headers(withNulls(withMaps(everything())))), true, true},
		RESTXML:   {bound(withMaps(everything())), withStatus(headers(withMaps(everything()))), false, false},
	}
	endpoint := &url.URL{Scheme: "https", Host: "test.invalid", Path: "/base"}
	for id, test := range tests {
		t.Run(string(id), func(t *testing.T) {
			p := For(id)
			op := testOperation(test.in, test.out)
			router := NewRouter([]*Operation{op})
			var resp Response
			for seed := range uint64(100) {
				g := &maker{newRand(seed), test.controls, test.empties}
				in := g.shape(test.in, 0)
				hr, body, err := p.EncodeRequest(op, in, endpoint)
				if err != nil {
					t.Fatalf("seed %d: EncodeRequest: %v", seed, err)
				}
				req := &Request{Method: hr.Method, Path: strings.TrimPrefix(hr.URL.EscapedPath(), "/base"), RawQuery: hr.URL.RawQuery, Header: hr.Header, Body: body}
				if id == RESTJSON || id == RESTXML {
					found, labels := router.Match(req.Method, req.Path, req.RawQuery, req.Header)
					if found != op {
						t.Fatalf("seed %d: Match(%s?%s) found nothing", seed, req.Path, req.RawQuery)
					}
					if seed%2 == 0 {
						req.Labels = labels
					}
				}
				got, err := p.DecodeRequest(op, req)
				if err != nil {
					t.Fatalf("seed %d: DecodeRequest: %v\n%s %s", seed, err, hr.URL, body)
				}
				if diff := cmp.Diff(Shape(in), got, compareValues); diff != "" {
					t.Fatalf("seed %d: the request: (-want +got)\n%s\n%s %v %s", seed, diff, hr.URL, hr.Header, body)
				}

				out := g.shape(test.out, 0)
				p.EncodeResponse(op, out, "id", &resp)
				got, err = p.DecodeResponse(op, httpResponse(&resp))
				if err != nil {
					t.Fatalf("seed %d: DecodeResponse: %v\n%s", seed, err, resp.Body)
				}
				if _, ok := out.v["Status"]; !ok {
					delete(got.(*dyn).v, "Status")
				}
				if diff := cmp.Diff(Shape(out), got, compareValues); diff != "" {
					t.Fatalf("seed %d: the response: (-want +got)\n%s\n%v %s", seed, diff, resp.Header, resp.Body)
				}
			}
		})
	}
}

func httpResponse(r *Response) *http.Response {
	return &http.Response{StatusCode: r.Status, Header: r.Header.Clone(), Body: io.NopCloser(bytes.NewReader(bytes.Clone(r.Body)))}
}

// TestErrors sends modelled and plain errors through each protocol.
func TestErrors(t *testing.T) {
	op := testOperation(everything(), everything())
	var resp Response
	for _, id := range []ProtocolID{AWSJSON, RPCv2CBOR, Query, EC2Query, RESTJSON, RESTXML} {
		t.Run(string(id), func(t *testing.T) {
			p := For(id)
			want := &failed{dyn{op.Errors[0], map[string]any{"message": "a <b> \"c\"", "Extra": []any{"x", "y"}}}}
			if id == EC2Query {
				delete(want.v, "Extra") // which tells code and message only
			}
			p.EncodeError(op.Service, op, fmt.Errorf("wrapped: %w", want), "id", &resp)
			status := 409
			if id == Query || id == EC2Query {
				status = 410
			}
			if resp.Status != status {
				t.Errorf("status %d, want %d", resp.Status, status)
			}
			_, err := p.DecodeResponse(op, httpResponse(&resp))
			if diff := cmp.Diff(error(want), err, compareValues); diff != "" {
				t.Errorf("the modelled error: (-want +got)\n%s\n%s", diff, resp.Body)
			}
			switch id {
			case AWSJSON, RPCv2CBOR, RESTJSON:
				if h := resp.Header.Get("x-amzn-query-error"); h != "Test.Code;Sender" {
					t.Errorf("x-amzn-query-error: %q, want Test.Code;Sender", h)
				}
			}

			plain := &Error{Code: "AccessDenied", Message: "no & no", Status: 403}
			p.EncodeError(op.Service, nil, plain, "id", &resp)
			_, err = p.DecodeResponse(op, httpResponse(&resp))
			if diff := cmp.Diff(error(plain), err); diff != "" {
				t.Errorf("the plain error: (-want +got)\n%s\n%s", diff, resp.Body)
			}

			p.EncodeError(op.Service, nil, errors.New("a secret"), "id", &resp)
			if resp.Status != 500 || bytes.Contains(resp.Body, []byte("secret")) {
				t.Errorf("an unmodelled error: %d %s", resp.Status, resp.Body)
			}

			// What no service of ours says must not hurt a client.
			for _, body := range []string{"", "<html>Bad Gateway</html>", "{", "\xff\xff", "null", "[]"} {
				_, err = p.DecodeResponse(op, &http.Response{StatusCode: 502, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))})
				if e, ok := errors.AsType[*Error](err); !ok || e.Status != 502 || !e.Fault {
					t.Errorf("a response of 502 %q: %v, want an *Error of that status", body, err)
				}
			}
		})
	}
}

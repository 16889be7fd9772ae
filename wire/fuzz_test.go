package wire

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// fuzzBodies fuzzes the bodies of requests and responses of a protocol: nothing may panic, and a request that was understood
// must mean the same when it is written again.
func fuzzBodies(f *testing.F, id ProtocolID, in, out *Schema, contentType string, seeds ...string) {
	p := For(id)
	op := testOperation(in, out)
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	var resp Response
	for seed := range uint64(3) {
		g := &maker{Rand: newRand(seed)}
		if _, body, err := p.EncodeRequest(op, g.shape(in, 0), &url.URL{Scheme: "https", Host: "test.invalid"}); err == nil {
			f.Add(body)
		}
		p.EncodeResponse(op, g.shape(out, 0), "id", &resp)
		f.Add(bytes.Clone(resp.Body))
		p.EncodeError(op.Service, op, &failed{dyn{op.Errors[0], map[string]any{"message": "m"}}}, "id", &resp)
		f.Add(bytes.Clone(resp.Body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		header := http.Header{"Content-Type": {contentType}}
		for _, status := range []int{200, 400} {
			_, _ = p.DecodeResponse(op, &http.Response{StatusCode: status, Header: header.Clone(), Body: io.NopCloser(bytes.NewReader(body))})
		}
		req := &Request{Method: "PUT", Path: "/fixed/a/x/b", RawQuery: "lit&mode=2", Header: header, Body: body}
		got, err := p.DecodeRequest(op, req)
		if err != nil {
			return
		}
		_ = Validate(got)
		again, text, err := p.EncodeRequest(op, got, &url.URL{Scheme: "https", Host: "test.invalid"})
		if err != nil {
			t.Fatalf("%q was understood, but can not be written: %v", body, err)
		}
		req.Body, req.Header, req.RawQuery = text, again.Header, again.URL.RawQuery
		twice, err := p.DecodeRequest(op, req)
		if err != nil {
			t.Fatalf("%q was understood, but not what it was written as: %v\n%q", body, err, text)
		}
		_, text2, err := p.EncodeRequest(op, twice, &url.URL{Scheme: "https", Host: "test.invalid"})
		if id == Query || id == EC2Query {
			return // a form has no way to write an empty structure, and what follows it in a list moves up
		}
		if err != nil || !bytes.Equal(text, text2) {
			t.Errorf("%q changes as it is read and written (%v):\n%q\n%q", body, err, text, text2)
		}
	})
}

func FuzzAWSJSON(f *testing.F) {
	s := withNulls(withMaps(everything()))
	fuzzBodies(f, AWSJSON, s, s, "application/x-amz-json-1.0", `{"SparseList":[null,"a"],"Document":{"a":[1,{}]},"Double":"NaN"}`, `{"Time":1e9,"Long":1e3}`)
}

func FuzzRESTJSON(f *testing.F) {
	fuzzBodies(f, RESTJSON, bound(withNulls(withMaps(everything()))), withStatus(headers(everything())), "application/json", `{"TimeHTTP":"Thu, 21 Mar 1940 01:13:32 GMT"}`)
}

func FuzzRESTXML(f *testing.F) {
	fuzzBodies(f, RESTXML, bound(withMaps(everything())), withStatus(headers(everything())), "application/xml",
		`<!DOCTYPE a [<!ENTITY e "eeee">]><a><String>&e;</String></a>`, `<a xmlns:x="y"><String x:b="c">&#65;<![CDATA[<]]></String><Flat/></a>`)
}

func FuzzQuery(f *testing.F) {
	fuzzBodies(f, Query, withMaps(everything()), withMaps(everything()), "application/x-www-form-urlencoded", "Action=A&Strings.member.2=b&Strings.member.10=a&Map.entry.1.key=k&Map.entry.1.value=v", "a%zz", "Self.Self.Self.String=a&Inner=")
}

func FuzzEC2Query(f *testing.F) {
	fuzzBodies(f, EC2Query, everything(), everything(), "application/x-www-form-urlencoded", "Strings.2=b&Strings.10=a")
}

func FuzzCBOR(f *testing.F) {
	s := withNulls(withMaps(everything()))
	fuzzBodies(f, RPCv2CBOR, s, s, "application/cbor", "\xbf\x66String\x7f\x61a\x61b\xff\xff", "\xa1\x64Time\xc1\xf9\x3c\x00", "\xa1\x64Blob\xbb\xff\xff\xff\xff\xff\xff\xff\xff")
}

// FuzzREST fuzzes what is outside of the body.
func FuzzREST(f *testing.F) {
	f.Add("/fixed/a%20b/x/c/d%2Fe", "lit&mode=2&q=a+b&i=1&l=x&l=y&z=1", "a, \"b, \\\"c\"", "Mon, 02 Jan 2006 15:04:05 GMT, Tue, 03 Jan 2006 15:04:05 GMT")
	f.Add("/fixed//x/", "lit&mode=3", "\xff", ",")
	op := testOperation(bound(everything()), everything())
	router := NewRouter([]*Operation{op})
	f.Fuzz(func(t *testing.T, path, query, list, times string) {
		header := http.Header{"X-List": {list}, "X-Times": {times}, "X-Meta-A": {list}, "X-Long": {times}}
		found, labels := router.Match("PUT", path, query, header)
		if found == nil {
			return
		}
		req := &Request{Method: "PUT", Path: path, RawQuery: query, Header: header, Labels: labels}
		got, err := For(RESTJSON).DecodeRequest(op, req)
		if err != nil {
			return
		}
		_ = Validate(got)
	})
}

func FuzzValidate(f *testing.F) {
	f.Add("aws:x", `(?!aws:)[\p{L}\uD800\uDC00-\uDBFF\uDFFF]{1,2000}`)
	f.Add("a.b", `^([a-z]+\.)+[a-z]$`)
	f.Fuzz(func(t *testing.T, v, pattern string) {
		s := structure("S", Member{Name: "A", Target: &Schema{Kind: String, Constraint: &Constraint{Pattern: pattern, Max: 3, HasMax: true}}},
			Member{Name: "L", Target: listOf(&Schema{Kind: String, Constraint: &Constraint{Pattern: pattern}})})
		in := &dyn{s, map[string]any{"A": v, "L": []any{v}}}
		err := Validate(in)
		if err == nil && utf16Length(v) > 3 {
			t.Errorf("%q was valid, though it is too long", v)
		}
		if err != nil && !strings.Contains(err.Error(), "detected: Value '") {
			t.Errorf("%q: %v", v, err)
		}
	})
}

func TestCheckerAgreesWithFindings(t *testing.T) {
	// The checker that runs on every request and the findings that are told must agree on what is wrong.
	for seed := range uint64(200) {
		g := &maker{Rand: newRand(seed), empties: true}
		s := withMaps(everything())
		constrain(g, s, map[*Schema]bool{})
		in := g.shape(s, 0)
		c := &checker{}
		c.begin(s)
		in.WriteMembers(c)
		c.endStruct()
		root := &value{schema: s}
		rec := recorder{stack: []*value{root}}
		in.WriteMembers(&rec)
		var found findings
		found.structure(root, "", false)
		if c.bad != (len(found) > 0) {
			t.Fatalf("seed %d: the checker says %v, the findings are %v", seed, c.bad, found)
		}
	}
}

// constrain gives the shapes in s random constraints.
func constrain(g *maker, s *Schema, seen map[*Schema]bool) {
	if s == nil || seen[s] {
		return
	}
	seen[s] = true
	if g.IntN(4) == 0 {
		s.Constraint = &Constraint{HasMin: g.IntN(2) == 0, Min: 1, HasMax: g.IntN(2) == 0, Max: 3}
		if (s.Kind == String || s.Kind == Enum) && g.IntN(2) == 0 {
			s.Constraint.Pattern = "[a-z]*"
		}
	}
	for i := range s.Members {
		if g.IntN(8) == 0 && s.Members[i].Name != "Self" {
			s.Members[i].Required = true
		}
		constrain(g, s.Members[i].Target, seen)
	}
	if s.Elem != nil {
		constrain(g, s.Elem.Target, seen)
	}
	if s.Key != nil {
		constrain(g, s.Key.Target, seen)
	}
}

package wire

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHostPrefix(t *testing.T) {
	s := structure("In", Member{Name: "AccountId", Target: scalar(String), HostLabel: true, Required: true})
	op := testOperation(s, s)
	op.HostPrefix = "{AccountId}.x-"
	in := &dyn{s, map[string]any{"AccountId": "111122223333"}}
	endpoint := &url.URL{Scheme: "https", Host: "s3-control.test.invalid:8443"}
	req, _, err := For(AWSJSON).EncodeRequest(op, in, endpoint)
	if err != nil {
		t.Fatal(err)
	}
	if want := "111122223333.x-s3-control.test.invalid:8443"; req.Host != want || req.URL.Host != want {
		t.Errorf("host %s, want %s", req.Host, want)
	}
	for _, bad := range []string{"", "a.b", "evil/", "a@b", "-a"} {
		in.v["AccountId"] = bad
		if req, _, err := For(AWSJSON).EncodeRequest(op, in, endpoint); err == nil {
			t.Errorf("account %q: %s, want an error", bad, req.URL)
		}
	}
}

func TestEmptyLabel(t *testing.T) {
	in := structure("In", Member{Name: "Label", Target: scalar(String), Location: InURI})
	op := testOperation(in, in)
	if _, _, err := For(RESTJSON).EncodeRequest(op, &dyn{in, map[string]any{"Label": ""}}, &url.URL{Scheme: "http", Host: "h"}); err == nil {
		t.Error("an empty label was put into a path")
	}
}

// The query protocol may also be spoken in the query of a GET.
func TestQueryInURL(t *testing.T) {
	op := testOperation(everything(), everything())
	got, err := For(Query).DecodeRequest(op, &Request{Method: "GET", Path: "/", RawQuery: "Action=DoTest&Strings.member.1=a+b&Int=7", Header: http.Header{}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"Strings": []any{"a b"}, "Int": int64(7)}, got.(*dyn).v); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A response can carry no header of the caller's making.
func TestHeaderInjection(t *testing.T) {
	out := headers(structure("Out"))
	op := testOperation(out, out)
	var resp Response
	For(RESTJSON).EncodeResponse(op, &dyn{out, map[string]any{"HString": "a\r\nSet-Cookie: b", "HPrefix": map[string]any{"k": "v\nw"}}}, "id", &resp)
	if a, b := resp.Header.Get("X-String"), resp.Header.Get("X-Meta-K"); a != "a  Set-Cookie: b" || b != "v w" {
		t.Errorf("headers %q and %q", a, b)
	}
}

// The response of s3:GetBucketLocation is the element of its member alone.
func TestUnwrapped(t *testing.T) {
	out := structure("GetBucketLocationOutput", Member{Name: "LocationConstraint", Target: scalar(String)})
	op := testOperation(out, out)
	op.Name, op.Service = "GetBucketLocation", &Service{ID: "S3", XMLNamespace: "http://s3.amazonaws.com/doc/2006-03-01/"}
	for value, want := range map[string]string{
		"eu-west-1": `<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">eu-west-1</LocationConstraint>`,
		"":          `<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></LocationConstraint>`,
	} {
		in := &dyn{out, map[string]any{}}
		if value != "" {
			in.v["LocationConstraint"] = value
		}
		var resp Response
		p := For(RESTXML)
		p.EncodeResponse(op, in, "id", &resp)
		if string(resp.Body) != xmlDeclaration+want {
			t.Errorf("EncodeResponse(%q): %s, want %s", value, resp.Body, want)
		}
		got, err := p.DecodeResponse(op, httpResponse(&resp))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]any{"LocationConstraint": value}, got.(*dyn).v); diff != "" {
			t.Errorf("DecodeResponse: (-want +got)\n%s", diff)
		}
	}
}

package door_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/almanac"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/beacon"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/depot"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/ferry"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/orchard"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/quarry"
	"github.com/holdfast-cloud/holdfast/sigv4"
	"github.com/holdfast-cloud/holdfast/wire"
)

// tongue is a protocol, spoken by one service of the house.
type tongue struct {
	name     string
	service  *wire.Service
	op       *wire.Operation
	protocol wire.ProtocolID
	request  func(body string) *http.Request
	good     string // a body
	unknown  func() *http.Request
	form     string // content type
}

const formType = "application/x-www-form-urlencoded; charset=utf-8"

var s3 = &wire.Service{Package: "s3", SigningName: "s3", Protocols: []wire.ProtocolID{wire.RESTXML}}

func tongues() []tongue {
	post := func(path, contentType string, header ...string) func(string) *http.Request {
		return func(body string) *http.Request {
			return request("POST", path, body, append(header, "Content-Type", contentType)...)
		}
	}
	return []tongue{
		{"awsJson", orchard.Service, orchard.OpDescribeTree, wire.AWSJSON,
			post("/", "application/x-amz-json-1.0", "X-Amz-Target", "Orchard_20200102.DescribeTree"), `{"TreeId":"oak"}`,
			func() *http.Request { return toOrchard("UprootTree", "{}") }, ""},
		{"cbor", beacon.Service, beacon.OpPutSignal, wire.RPCv2CBOR,
			post("/service/Beacon_20231112/operation/PutSignal", "application/cbor", "Smithy-Protocol", "rpc-v2-cbor"), "\xa0",
			func() *http.Request {
				return request("POST", "/service/Beacon_20231112/operation/Nothing", "\xa0", "Smithy-Protocol", "rpc-v2-cbor")
			}, ""},
		{"query", almanac.Service, almanac.OpGetDay, wire.Query, post("/", formType), "Action=GetDay&Version=2010-07-08&Date=today",
			func() *http.Request { return post("/", formType)("Action=Nothing&Version=2010-07-08") }, formType},
		{"ec2", depot.Service, depot.OpDescribeWagons, wire.EC2Query, post("/", formType), "Action=DescribeWagons&Version=2016-09-10",
			func() *http.Request { return post("/", formType)("Action=Nothing&Version=2016-09-10") }, formType},
		{"restJson", ferry.Service, ferry.OpPutNote, wire.RESTJSON, post("/2021-03-04/note", "text/plain"), "a note",
			func() *http.Request { return request("DELETE", "/nothing", "") }, ""},
		{"restXml", quarry.Service, quarry.OpCutStone, wire.RESTXML, post("/stones", "application/xml"), "<CutStoneRequest/>",
			func() *http.Request { return request("DELETE", "/nothing", "") }, ""},
		{"s3", s3, &wire.Operation{Service: s3, Name: "PutBucketPolicy"}, wire.RESTXML,
			func(body string) *http.Request { return request("PUT", "/bucket?policy", body) }, "{}",
			func() *http.Request { return request("PATCH", "/bucket", "") }, ""},
	}
}

// TestRefusals writes down how each protocol is refused: testdata/refusals.txt is held against AWS's documentation of each error.
func TestRefusals(t *testing.T) {
	h := newHouse(t)
	var got bytes.Buffer
	for _, g := range tongues() {
		fmt.Fprintf(&got, "%s\n", g.name)
		now := h.clock.Now()
		good := sigv4.Credentials{AccessKeyID: h.key, Secret: h.secret}
		sign := func(c sigv4.Credentials, region, service string, at time.Time) func() *http.Request {
			return func() *http.Request {
				r := g.request(g.good)
				sigv4.Sign(r, c, region, service, at, sigv4.PayloadHash([]byte(g.good)))
				return r
			}
		}
		signed := func(r *http.Request) *http.Request {
			h.sign(r, g.service.SigningName)
			return r
		}
		with := func(key, value string) func() *http.Request {
			return func() *http.Request {
				r := g.request(g.good)
				r.Header.Set(key, value)
				return r
			}
		}
		for _, sin := range []struct {
			name    string
			request func() *http.Request
		}{
			{"Good", sign(good, region, g.service.SigningName, now)},
			{"OtherRegionOfThePartition", sign(good, "eu-central-1", g.service.SigningName, now)},
			{"Unsigned", func() *http.Request { return g.request(g.good) }},
			{"OtherScheme", with("Authorization", "Basic dGVzdDp0ZXN0")},
			{"MalformedAuthorization", with("Authorization", "AWS4-HMAC-SHA256 Credential=x")},
			{"UnknownKey", sign(sigv4.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", Secret: "x"}, region, g.service.SigningName, now)},
			{"WrongSecret", sign(sigv4.Credentials{AccessKeyID: h.key, Secret: "x"}, region, g.service.SigningName, now)},
			{"SessionTokenOfALongTermKey", sign(sigv4.Credentials{AccessKeyID: h.key, Secret: h.secret, SessionToken: "x"}, region, g.service.SigningName, now)},
			{"Old", sign(good, region, g.service.SigningName, now.Add(-16*time.Minute))},
			{"Future", sign(good, region, g.service.SigningName, now.Add(16*time.Minute))},
			{"OtherService", sign(good, region, "other", now)},
			{"RegionThatIsNone", sign(good, "nowhere", g.service.SigningName, now)},
			{"RegionOfAnotherPartition", sign(good, "cn-north-1", g.service.SigningName, now)},
			{"AlteredBody", func() *http.Request {
				r := sign(good, region, g.service.SigningName, now)()
				r.Body = io.NopCloser(strings.NewReader(g.good + "&a=b"))
				return r
			}},
			{"AlteredHeader", func() *http.Request {
				r := signed(with("X-Amz-Meta", "a")())
				r.Header.Set("X-Amz-Meta", "b")
				return r
			}},
			{"TooLarge", func() *http.Request { return signed(g.request(strings.Repeat(" ", 3<<20))) }},
			{"Malformed", func() *http.Request { return signed(g.request("<{%zz=\xff")) }},
			{"Empty", func() *http.Request { return signed(g.request("")) }},
			{"OtherContentType", func() *http.Request { return signed(with("Content-Type", "image/png")()) }},
			{"UnknownOperation", func() *http.Request { return signed(g.unknown()) }},
			{"UnknownOperationUnsigned", g.unknown},
		} {
			resp := h.send(sin.request())
			_, err := wire.For(g.protocol).DecodeResponse(g.op, resp)
			switch e, _ := errors.AsType[*wire.Error](err); {
			case err == nil:
				fmt.Fprintf(&got, "  %-28s %d\n", sin.name, resp.StatusCode)
			case e != nil:
				fmt.Fprintf(&got, "  %-28s %d %s: %.100s\n", sin.name, resp.StatusCode, e.Code, strings.ReplaceAll(e.Message, "\n", " "))
			default:
				t.Errorf("%s %s: %v", g.name, sin.name, err)
			}
			if resp.Header.Get("X-Amzn-Requestid") == "" && resp.Header.Get("X-Amz-Request-Id") == "" {
				t.Errorf("%s %s: no request ID in %v", g.name, sin.name, resp.Header)
			}
		}
	}
	golden(t, "refusals.txt", got.Bytes())
	for _, line := range h.log.errors() {
		if line["code"] != "NotImplemented" {
			t.Errorf("logged as an error: %v", line)
		}
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-want +got):\n%s", name, d)
	}
}

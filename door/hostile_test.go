package door_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/orchard"
	"github.com/holdfast-cloud/holdfast/sigv4"
)

// Somebody who mixes up the two halves of a key sends a secret. They are told what they sent, the log is not.
func TestMixedUpSecretIsNotLogged(t *testing.T) {
	const secret = "wJalrXUtnFEMI.K7MDENG.bPxRfiCYEXAMPLEKEY"
	for name, credential := range map[string]string{
		"WellFormed": secret + "/20261126/us-east-1/orchard/aws4_request",
		"Malformed":  secret + "/us-east-1/orchard/aws4_request",
		"InTheScope": "AKIDEXAMPLE/20261126/" + secret + "/orchard/aws4_request",
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			r := toOrchard("Ping", "{}")
			r.Header.Set("X-Amz-Date", h.clock.Now().Format(sigv4.TimeFormat))
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+credential+", SignedHeaders=host;x-amz-date;x-amz-target, Signature="+strings.Repeat("0", 64))
			wantStatus(t, h.send(r), 400)
			h.log.mu.Lock()
			defer h.log.mu.Unlock()
			if len(h.log.lines) == 0 {
				t.Error("nothing was logged")
			}
			for _, line := range h.log.lines {
				if b, _ := json.Marshal(line); strings.Contains(string(b), "wJalr") {
					t.Errorf("logged %s", b)
				}
			}
		})
	}
}

// Of the protocols that are not REST no body goes uncovered: AWS's services hash what they get, whatever the request says of it.
func TestUncoveredBodies(t *testing.T) {
	h := newHouse(t)
	h.orchard.plant = func(c *call.Call, _ *orchard.PlantTreeRequest) (*orchard.PlantTreeResponse, error) {
		t.Error("the handler ran")
		return nil, errors.New("no")
	}
	for _, hash := range []string{sigv4.UnsignedPayload, sigv4.StreamingUnsigned} {
		r := toOrchard("PlantTree", "1a\r\n"+`{"Fruit":"APPLE","Age":1}`+"\r\n0\r\n\r\n")
		r.Header.Set("X-Amz-Decoded-Content-Length", "26")
		sigv4.Sign(r, sigv4.Credentials{AccessKeyID: h.key, Secret: h.secret}, region, "orchard", h.clock.Now(), hash)
		if body := wantStatus(t, h.send(r), 400); !strings.Contains(body, "InvalidSignatureException") {
			t.Errorf("%s: answered %s", hash, body)
		}
	}
	r := toOrchard("PlantTree", `{"Fruit":"APPLE","Age":1}`)
	sigv4.Presign(r, sigv4.Credentials{AccessKeyID: h.key, Secret: h.secret}, region, "orchard", h.clock.Now(), time.Minute, sigv4.UnsignedPayload)
	wantStatus(t, h.send(r), 400)
	r = toOrchard("FellTree", "{}")
	sigv4.Sign(r, sigv4.Credentials{AccessKeyID: h.key, Secret: h.secret}, region, "orchard", h.clock.Now(), sigv4.UnsignedPayload)
	wantStatus(t, h.send(r), 400)
}

// A call in awsJson is a POST.
func TestOtherMethods(t *testing.T) {
	h := newHouse(t)
	for _, method := range []string{"GET", "PUT", "OPTIONS"} {
		r := toOrchard("Ping", "{}")
		r.Method = method
		if body := wantStatus(t, h.do(r, "orchard"), 400); !strings.Contains(body, "UnknownOperationException") {
			t.Errorf("%s: answered %s", method, body)
		}
	}
}

// A service of which no model is known answers as one that is not built, in the protocol that it was spoken to; so does a service in a protocol
// that its model has given up.
func TestUnknownServices(t *testing.T) {
	h := newHouse(t)
	target := func(name string) *http.Request {
		return request("POST", "/", "{}", "X-Amz-Target", name, "Content-Type", "application/x-amz-json-1.1")
	}
	form := func(body string) *http.Request {
		return request("POST", "/", body, "Content-Type", "application/x-www-form-urlencoded")
	}
	for name, c := range map[string]struct {
		r       *http.Request
		service string
		status  int
		want    string
	}{
		"JSON":           {target("AWSGlue.GetDatabases"), "glue", 501, `"__type":"NotImplemented"`},
		"Query":          {form("Action=ListStacks&Version=2010-05-15"), "cloudformation", 501, "<Message>Holdfast does not implement cloudformation:ListStacks.</Message>"},
		"CBOR":           {request("POST", "/service/Blot/operation/Dry", "\xa0", "Smithy-Protocol", "rpc-v2-cbor", "Content-Type", "application/cbor"), "blot", 501, "Holdfast does not implement blot:Dry."},
		"REST":           {request("GET", "/things", ""), "iot", 501, "Holdfast does not implement iot:GET /things."},
		"OldProtocol":    {form("Action=ListQueues&Version=2012-11-05"), "sqs", 501, "Holdfast does not implement sqs:ListQueues."},
		"OldVersion":     {form("Action=DescribeLoadBalancers&Version=2012-06-01"), "elasticloadbalancing", 501, "elasticloadbalancing:DescribeLoadBalancers"},
		"NoName":         {target("AWSGlue.<b>"), "glue", 400, "UnknownOperationException"},
		"BuiltOtherwise": {target("Apiary.Swarm"), "orchard", 400, "UnknownOperationException"},
	} {
		t.Run(name, func(t *testing.T) {
			if body := wantStatus(t, h.do(c.r, c.service), c.status); !strings.Contains(body, c.want) {
				t.Errorf("answered %q, want %q in it", body, c.want)
			}
		})
	}
}

// A signature covers the path without its dots, and the path with them names another resource.
func TestDotsInPaths(t *testing.T) {
	h := newHouse(t)
	wantStatus(t, h.do(request("POST", "/2021-03-04/note", "a", "Content-Type", "text/plain"), "ferry"), 200)
	for _, path := range []string{"/2021-03-04/lines/../berths/a?book", "/2021-03-04/lines/a/berths/b/../c?book", "/2021-03-04/lines/a/berths/./c?book"} {
		if body := wantStatus(t, h.do(request("PUT", path, "{}"), "ferry"), 404); !strings.Contains(body, "UnknownOperation") && body != "{}" {
			t.Errorf("%s: answered %s", path, body)
		}
	}
}

// In dev mode unknown keys need no signature. A page in a developer's browser must not make use of that.
func TestWebPages(t *testing.T) {
	h := newHouse(t, func(c *door.Config) { c.Dev = true })
	tests := map[string]struct {
		host    string
		header  []string
		refused bool
	}{
		"SDK":                     {"127.0.0.1:4566", nil, false},
		"SDKThroughPublicName":    {"localhost.example.com:4566", []string{"User-Agent", "aws-sdk-go-v2/1.30"}, false},
		"OwnPage":                 {"localhost:4566", []string{"Origin", "http://localhost:4566", "Sec-Fetch-Site", "same-origin", "User-Agent", "Mozilla/5.0"}, false},
		"OwnPageInContainer":      {"holdfast:4566", []string{"Origin", "http://holdfast:4566"}, false},
		"OtherSite":               {"127.0.0.1:4566", []string{"Origin", "https://evil.example.com", "Sec-Fetch-Site", "cross-site"}, true},
		"OtherSiteWithoutFetch":   {"127.0.0.1:4566", []string{"Origin", "https://evil.example.com"}, true},
		"HiddenOrigin":            {"127.0.0.1:4566", []string{"Origin", "null"}, true},
		"OtherPort":               {"localhost:4566", []string{"Origin", "http://localhost:3000", "Sec-Fetch-Site", "same-site"}, true},
		"Image":                   {"localhost:4566", []string{"Sec-Fetch-Site", "cross-site"}, true},
		"RebindingWithOrigin":     {"evil.example.com:4566", []string{"Origin", "http://evil.example.com:4566"}, true},
		"RebindingWithout":        {"evil.example.com.:4566", []string{"User-Agent", "Mozilla/5.0"}, true},
		"RebindingWithOtherAgent": {"evil.example.com", []string{"User-Agent", "curl/8", "Accept-Language", "en"}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, known := range []bool{false, true} {
				r := toOrchard("Ping", "{}")
				r.Host = test.host
				for i := 0; i < len(test.header); i += 2 {
					r.Header.Set(test.header[i], test.header[i+1])
				}
				key := "test"
				if known {
					key = h.key
				}
				sigv4.Sign(r, sigv4.Credentials{AccessKeyID: key, Secret: h.secret}, region, "orchard", h.clock.Now(), sigv4.PayloadHash([]byte("{}")))
				want := 200
				if test.refused && !known { // who can sign is no page of somebody else's
					want = 400
				}
				wantStatus(t, h.send(r), want)
			}
		})
	}
}

// An object that is a web page must not have the origin of the cloud. Where everybody signs, objects are what was put.
func TestObjectsAreNoPages(t *testing.T) {
	for _, dev := range []bool{false, true} {
		h := newHouse(t, func(c *door.Config) { c.Dev = dev })
		resp := h.do(request("GET", "/2021-03-04/manifest", ""), "ferry")
		wantStatus(t, resp, 200)
		if got, want := resp.Header.Get("Content-Security-Policy"), map[bool]string{true: "sandbox"}[dev]; got != want {
			t.Errorf("in dev mode %v, the policy is %q, want %q", dev, got, want)
		}
	}
}

// keeping is a ResponseWriter that fails, and goes on holding what it was given, as HTTP/2's may when a stream is reset.
type keeping struct {
	*httptest.ResponseRecorder
	kept []byte
}

func (k *keeping) Write(b []byte) (int, error) {
	k.kept = b
	return 0, errors.New("stream reset")
}

func TestBufferOfAFailedWriteIsNotUsedAgain(t *testing.T) {
	h := newHouse(t)
	for range 20 {
		w := &keeping{ResponseRecorder: httptest.NewRecorder()}
		r := toOrchard("DescribeTree", `{"TreeId":"oak"}`)
		h.sign(r, "orchard")
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.ServerContextKey, nil)))
		before := string(w.kept)
		for range 3 {
			wantStatus(t, h.do(toOrchard("DescribeTree", `{"TreeId":"ash-of-somebody-else"}`), "orchard"), 200)
		}
		if string(w.kept) != before {
			t.Fatalf("after later calls the buffer holds %s", w.kept)
		}
	}
}

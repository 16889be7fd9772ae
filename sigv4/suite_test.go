package sigv4_test

import (
	"errors"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/sigv4"
)

var (
	suiteCredentials = sigv4.Credentials{AccessKeyID: "AKIDEXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
	suiteTime        = time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
	suiteExpect      = sigv4.Expect{Now: suiteTime, Region: "us-east-1", Service: "service"}
)

type suiteCase struct {
	name, method, target, body string
	header                     http.Header
	signed, signature          string
}

// request is the case as a server gets it, unsigned. The suite's paths and queries are as they were typed.
func (c suiteCase) request() *http.Request {
	path, query, _ := strings.Cut(c.target, "?")
	return &http.Request{
		Method: c.method, Host: "example.amazonaws.com", RequestURI: c.target,
		URL: &url.URL{Path: path, RawQuery: query}, Header: c.header.Clone(),
	}
}

func (c suiteCase) authorization() string {
	return "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=" + c.signed + ", Signature=" + c.signature
}

func readSuite(t *testing.T) []suiteCase {
	t.Helper()
	data, err := os.ReadFile("testdata/suite.txt")
	if err != nil {
		t.Fatal(err)
	}
	var cases []suiteCase
	for _, block := range strings.Split(string(data), "\n\n")[1:] {
		lines := strings.Split(strings.TrimSpace(block), "\n")
		c := suiteCase{name: lines[0], header: http.Header{}}
		c.method, c.target, _ = strings.Cut(lines[1], " ")
		for _, l := range lines[2:] {
			name, value, _ := strings.Cut(l, ":")
			switch name {
			case "body":
				c.body = value
			case "signed":
				c.signed = value
			case "signature":
				c.signature = value
			default:
				c.header.Add(name, value)
			}
		}
		c.header.Set("X-Amz-Date", "20150830T123600Z")
		cases = append(cases, c)
	}
	if len(cases) < 30 {
		t.Fatalf("read %d cases", len(cases))
	}
	return cases
}

func verify(v *sigv4.Verifier, r *http.Request, want sigv4.Expect, secret, body string) error {
	a, err := sigv4.Parse(r)
	if err != nil {
		return err
	}
	if err := a.Check(want); err != nil {
		return err
	}
	return v.Verify(r, a, secret, []byte(body))
}

func TestPublishedSuite(t *testing.T) {
	var v sigv4.Verifier
	for _, c := range readSuite(t) {
		t.Run(c.name, func(t *testing.T) {
			check := func(outcome string, want error, change func(r *http.Request), secret, body string) {
				t.Helper()
				r := c.request()
				r.Header.Set("Authorization", c.authorization())
				if change != nil {
					change(r)
				}
				if err := verify(&v, r, suiteExpect, secret, body); !errors.Is(err, want) {
					t.Errorf("%s: got %v, want %v", outcome, err, want)
				}
			}
			mismatch := &sigv4.Error{Kind: sigv4.Mismatch}
			secret := suiteCredentials.Secret
			check("OK", nil, nil, secret, c.body)
			check("OtherSecret", mismatch, nil, "wJalrXUtnFEMI", c.body)
			check("OtherBody", mismatch, nil, secret, c.body+" ")
			check("OtherMethod", mismatch, func(r *http.Request) { r.Method = "PUT" }, secret, c.body)
			check("OtherHost", mismatch, func(r *http.Request) { r.Host = "evil.example" }, secret, c.body)
			check("OtherPath", mismatch, func(r *http.Request) { r.RequestURI = "/other" }, secret, c.body)
			check("OtherQuery", mismatch, func(r *http.Request) { r.URL.RawQuery += "&Action=Delete" }, secret, c.body)
			check("OtherTime", mismatch, func(r *http.Request) { r.Header.Set("X-Amz-Date", "20150830T123601Z") }, secret, c.body)
			check("ShortSignature", mismatch, func(r *http.Request) {
				r.Header.Set("Authorization", strings.TrimSuffix(c.authorization(), c.signature[60:]))
			}, secret, c.body)
			if v := c.header.Get("My-Header1"); v != "" {
				check("OtherHeader", mismatch, func(r *http.Request) { r.Header.Add("My-Header1", "more") }, secret, c.body)
			}

			if c.name == "post-sts-header-after" { // its token is added by hand after signing
				return
			}
			r := c.request()
			credentials := suiteCredentials
			credentials.SessionToken = r.Header.Get("X-Amz-Security-Token")
			sigv4.Sign(r, credentials, "us-east-1", "service", suiteTime, sigv4.PayloadHash([]byte(c.body)))
			if got := r.Header.Get("Authorization"); got != c.authorization() {
				t.Errorf("Sign: got %s\nwant %s", got, c.authorization())
			}
		})
	}
}

package sigv4_test

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/sigv4"
)

var update = flag.Bool("update", false, "rewrite testdata/answers.txt")

// TestAnswers walks every kind in every style.
func TestAnswers(t *testing.T) {
	names := []string{"Anonymous", "UnsupportedScheme", "AmbiguousAuthorization", "Incomplete", "BadDate", "BadExpires", "BadScope",
		"HeaderNotSigned", "MissingPayloadHash", "BadPayloadHash", "Expired", "NotYetCurrent", "PresignExpired", "UnknownAccessKey",
		"InvalidToken", "ExpiredToken", "Mismatch", "PayloadMismatch", "MissingLength", "BadChunk", "BadTrailer", "BadChecksum"}
	if last := sigv4.Kind(len(names)); last != sigv4.BadChecksum {
		t.Fatalf("%d names for %d kinds", last, sigv4.BadChecksum)
	}
	var got strings.Builder
	for i, name := range names {
		e := &sigv4.Error{Kind: sigv4.Kind(i + 1)}
		fmt.Fprintf(&got, "%s\n", name)
		for style, name := range []string{"json", "restJson", "query", "ec2", "s3"} {
			status, code, message := e.Answer(sigv4.Style(style))
			if status < 400 || status > 499 || code == "" || message == "" {
				t.Errorf("%s in %s: got %d %q %q", e.Error(), name, status, code, message)
			}
			fmt.Fprintf(&got, "  %-8s %d %s: %s\n", name, status, code, message)
		}
		if status, code, message := e.Answer(sigv4.XKS); status != 401 || code != "AuthenticationFailedException" || message == "" {
			t.Errorf("%s to a key store: got %d %q %q", e.Error(), status, code, message)
		}
		if !errors.Is(fmt.Errorf("wrapped: %w", e), sigv4.Refuse(e.Kind)) || sigv4.KindOf(e) != e.Kind {
			t.Errorf("%v is not of its kind", e)
		}
	}
	const file = "testdata/answers.txt"
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got.String()); d != "" {
		t.Errorf("%s (-want +got):\n%s", file, d)
	}
}

// answer is what a style says of an error.
func answer(err error, s sigv4.Style) string {
	e, ok := errors.AsType[*sigv4.Error](err)
	if !ok {
		return fmt.Sprint(err)
	}
	status, code, message := e.Answer(s)
	return fmt.Sprintf("%d %s: %s", status, code, message)
}

func TestCheck(t *testing.T) {
	signed := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		outcome, service string
		expires          time.Duration // 0: in the header
		want             sigv4.Expect
		style            sigv4.Style
		text             string
	}{
		{"OK", "kms", 0, sigv4.Expect{Now: signed, Region: "us-east-1", Service: "kms"}, sigv4.JSON, "<nil>"},
		{"AnyScope", "kms", 0, sigv4.Expect{Now: signed}, sigv4.JSON, "<nil>"},
		{"JustInTime", "kms", 0, sigv4.Expect{Now: signed.Add(15 * time.Minute)}, sigv4.JSON, "<nil>"},
		{"JustCurrent", "kms", 0, sigv4.Expect{Now: signed.Add(-15 * time.Minute)}, sigv4.JSON, "<nil>"},
		{"Expired", "kms", 0, sigv4.Expect{Now: signed.Add(25 * time.Minute)}, sigv4.JSON,
			"400 InvalidSignatureException: Signature expired: 20260101T000000Z is now earlier than 20260101T001000Z (20260101T002500Z - 15 min.)"},
		{"Expired", "sts", 0, sigv4.Expect{Now: signed.Add(25 * time.Minute)}, sigv4.Query,
			"403 SignatureDoesNotMatch: Signature expired: 20260101T000000Z is now earlier than 20260101T001000Z (20260101T002500Z - 15 min.)"},
		{"Expired", "ec2", 0, sigv4.Expect{Now: signed.Add(25 * time.Minute)}, sigv4.EC2, "400 RequestExpired: Request has expired."},
		{"Expired", "s3", 0, sigv4.Expect{Now: signed.Add(25 * time.Minute)}, sigv4.S3,
			"403 RequestTimeTooSkewed: The difference between the request time and the current time is too large."},
		{"NotYetCurrent", "kms", 0, sigv4.Expect{Now: signed.Add(-16 * time.Minute)}, sigv4.JSON,
			"400 InvalidSignatureException: Signature not yet current: 20260101T000000Z is still later than 20251231T235900Z (20251231T234400Z + 15 min.)"},
		{"NotYetCurrent", "s3", time.Hour, sigv4.Expect{Now: signed.Add(-16 * time.Minute)}, sigv4.S3, "403 AccessDenied: Request is not valid yet"},
		{"PresignOK", "s3", sigv4.MaxExpires, sigv4.Expect{Now: signed.Add(sigv4.MaxExpires)}, sigv4.S3, "<nil>"},
		{"PresignOKWithinSkew", "sts", sigv4.MaxExpires, sigv4.Expect{Now: signed.Add(4 * time.Minute), Skew: 5 * time.Minute}, sigv4.Query, "<nil>"},
		{"PresignBeyondSkew", "sts", sigv4.MaxExpires, sigv4.Expect{Now: signed.Add(6 * time.Minute), Skew: 5 * time.Minute}, sigv4.XKS,
			"401 AuthenticationFailedException: Signature expired: 20260101T000000Z is now earlier than 20260101T000100Z (20260101T000600Z - 5 min.)"},
		{"PresignExpired", "s3", time.Minute, sigv4.Expect{Now: signed.Add(61 * time.Second)}, sigv4.S3, "403 AccessDenied: Request has expired"},
		{"PresignExpired", "sts", time.Minute, sigv4.Expect{Now: signed.Add(61 * time.Second)}, sigv4.Query,
			"403 SignatureDoesNotMatch: Signature expired: 20260101T000000Z is now earlier than 20260101T000001Z (20260101T000101Z - 1 min.)"},
		{"OtherRegion", "kms", 0, sigv4.Expect{Now: signed, Region: "eu-west-1", Service: "kms"}, sigv4.JSON,
			"400 InvalidSignatureException: Credential should be scoped to a valid region, not 'us-east-1'. "},
		{"OtherService", "s3", 0, sigv4.Expect{Now: signed, Region: "us-east-1", Service: "kms"}, sigv4.JSON,
			"400 InvalidSignatureException: Credential should be scoped to correct service: 'kms'. "},
		{"OtherBoth", "s3", 0, sigv4.Expect{Now: signed, Region: "eu-west-1", Service: "sts"}, sigv4.Query,
			"403 SignatureDoesNotMatch: Credential should be scoped to a valid region, not 'us-east-1'. Credential should be scoped to correct service: 'sts'. "},
		{"OtherRegion", "s3", 0, sigv4.Expect{Now: signed, Region: "eu-west-1"}, sigv4.S3,
			"400 AuthorizationHeaderMalformed: The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'"},
		{"OtherRegion", "s3", time.Hour, sigv4.Expect{Now: signed, Region: "eu-west-1"}, sigv4.S3,
			"400 AuthorizationQueryParametersError: Error parsing the X-Amz-Credential parameter; the region 'us-east-1' is wrong; expecting 'eu-west-1'"},
	} {
		t.Run(fmt.Sprintf("%s/%s/%d", c.outcome, c.service, c.style), func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			if c.expires == 0 {
				sigv4.Sign(r, suiteCredentials, "us-east-1", c.service, signed, sigv4.EmptyPayload)
			} else {
				sigv4.Presign(r, suiteCredentials, "us-east-1", c.service, signed, c.expires, sigv4.UnsignedPayload)
			}
			a, err := sigv4.Parse(r)
			if err != nil {
				t.Fatal(err)
			}
			err = a.Check(c.want)
			if got := answer(err, c.style); got != c.text {
				t.Errorf("got  %s\nwant %s", got, c.text)
			}
			if e, ok := errors.AsType[*sigv4.Error](err); ok && c.outcome == "OtherRegion" && e.Region != c.want.Region {
				t.Errorf("Region: got %q", e.Region)
			}
		})
	}
}

func TestParseRefusals(t *testing.T) {
	const date = "20260101T000000Z"
	const scope = "AKID/20260101/us-east-1/kms/aws4_request"
	for _, c := range []struct {
		outcome, authorization, date, query string
		style                               sigv4.Style
		text                                string
	}{
		{"Anonymous", "", date, "", sigv4.JSON, "400 MissingAuthenticationTokenException: Request is missing Authentication Token"},
		{"Anonymous", "", "", "list-type=2&X-Amz-Meta=1", sigv4.S3, "403 AccessDenied: Access Denied"},
		{"Bearer", "Bearer abc", date, "", sigv4.RESTJSON, "403 MissingAuthenticationTokenException: Missing Authentication Token"},
		{"Version2", "AWS AKID:c2ln", date, "", sigv4.S3, "400 InvalidRequest: The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."},
		{"Nothing", "AWS4-HMAC-SHA256", "", "", sigv4.JSON, "400 IncompleteSignatureException: Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. (Hashed with SHA-256 and encoded with Base64) Authorization=YI2YWea8FSxnksZL2ETHbs5elHm9HQufxTLK0W0ffV0="},
		{"NoEqualSign", "AWS4-HMAC-SHA256 Credential", date, "", sigv4.Query, "400 IncompleteSignature: Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 and encoded with Base64): 'KfSoC26UaBDGXxo5AUFS45c1cmAbyLKDOxOTKcZYWt4='."},
		{"BadDate", "AWS4-HMAC-SHA256 Credential=" + scope + ", SignedHeaders=host, Signature=0", "yesterday", "", sigv4.JSON,
			"400 IncompleteSignatureException: Date must be in ISO-8601 'basic format'. Got 'yesterday'. See http://en.wikipedia.org/wiki/ISO_8601"},
		{"FractionalDate", "AWS4-HMAC-SHA256 Credential=" + scope + ", SignedHeaders=host, Signature=0", "20260101T000000.1Z", "", sigv4.S3,
			"403 AccessDenied: AWS authentication requires a valid Date or x-amz-date header"},
		{"HostNotSigned", "AWS4-HMAC-SHA256 Credential=" + scope + ", SignedHeaders=x-amz-date, Signature=0", date, "", sigv4.JSON,
			"400 InvalidSignatureException: 'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."},
		{"Algorithm", "AWS4-ECDSA-P256-SHA256 Credential=" + scope + ", SignedHeaders=host, Signature=0", date, "", sigv4.JSON,
			"400 IncompleteSignatureException: Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256' (only AWS4-HMAC-SHA256 for now). "},
		{"Credential", "AWS4-HMAC-SHA256 Credential=a/b/c/d, SignedHeaders=host, Signature=0", date, "", sigv4.Query,
			"400 IncompleteSignature: Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'a/b/c/d'"},
		{"Credential", "AWS4-HMAC-SHA256 Credential=a/b/c/d, SignedHeaders=host, Signature=0", date, "", sigv4.S3,
			`400 AuthorizationHeaderMalformed: The authorization header is malformed; the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".`},
		{"Query", "", "", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a", sigv4.JSON,
			"400 IncompleteSignatureException: AWS query-string parameters must include 'X-Amz-Signature'. AWS query-string parameters must include 'X-Amz-SignedHeaders'. AWS query-string parameters must include 'X-Amz-Date'. Re-examine the query-string parameters."},
		{"Query", "", "", "X-Amz-Signature=0", sigv4.S3,
			"400 AuthorizationQueryParametersError: Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."},
		{"Both", "AWS4-HMAC-SHA256 Credential=" + scope + ", SignedHeaders=host, Signature=0", date, "X-Amz-Algorithm=AWS4-HMAC-SHA256", sigv4.JSON,
			"400 InvalidSignatureException: Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."},
		{"TooLong", "", "", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" + scope + "&X-Amz-Date=" + date + "&X-Amz-SignedHeaders=host&X-Amz-Signature=0&X-Amz-Expires=604801", sigv4.S3,
			"400 AuthorizationQueryParametersError: X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds"},
		{"Negative", "", "", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" + scope + "&X-Amz-Date=" + date + "&X-Amz-SignedHeaders=host&X-Amz-Signature=0&X-Amz-Expires=-1", sigv4.S3,
			"400 AuthorizationQueryParametersError: X-Amz-Expires must be non-negative"},
		{"Target", "AWS4-HMAC-SHA256 Credential=" + scope + ", SignedHeaders=host, Signature=0", "target", "", sigv4.JSON,
			"400 InvalidSignatureException: 'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization."},
	} {
		t.Run(fmt.Sprintf("%s/%d", c.outcome, c.style), func(t *testing.T) {
			r := httptest.NewRequest("GET", "/?"+c.query, nil)
			if c.authorization != "" {
				r.Header.Set("Authorization", c.authorization)
			}
			if c.date == "target" {
				c.date = date
				r.Header.Set("X-Amz-Target", "TrentService.Decrypt")
			}
			if c.date != "" {
				r.Header.Set("X-Amz-Date", c.date)
			}
			a, err := sigv4.Parse(r)
			if got := answer(err, c.style); got != c.text || a != nil {
				t.Errorf("got  %s\nwant %s", got, c.text)
			}
			if c.outcome == "Anonymous" && !errors.Is(err, sigv4.ErrAnonymous) {
				t.Errorf("got %v, want ErrAnonymous", err)
			}
			if strings.Contains(fmt.Sprint(err), "a/b/c/d") {
				t.Errorf("an error for the log repeats the credential: %v", err)
			}
		})
	}
}

// Clients separate the parts by comma, by space, or both, and may send the time as an HTTP date.
func TestHeaderForms(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for outcome, change := range map[string]func(h http.Header){
		"Comma": func(h http.Header) { h.Set("Authorization", strings.ReplaceAll(h.Get("Authorization"), ", ", ",")) },
		"Space": func(h http.Header) { h.Set("Authorization", strings.ReplaceAll(h.Get("Authorization"), ", ", " ")) },
		"TrailingSlash": func(h http.Header) {
			h.Set("Authorization", strings.Replace(h.Get("Authorization"), "aws4_request", "aws4_request/", 1))
		},
	} {
		t.Run(outcome, func(t *testing.T) {
			var v sigv4.Verifier
			r := httptest.NewRequest("GET", "/", nil)
			sigv4.Sign(r, suiteCredentials, "us-east-1", "kms", at, sigv4.EmptyPayload)
			change(r.Header)
			if err := verify(&v, r, sigv4.Expect{Now: at}, suiteCredentials.Secret, ""); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("HTTPDate", func(t *testing.T) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Date", at.Format(http.TimeFormat))
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/kms/aws4_request, SignedHeaders=date;host, Signature=0")
		a, err := sigv4.Parse(r)
		if err != nil || !a.RequestTime.Equal(at) {
			t.Fatalf("got %+v, %v", a, err)
		}
		if err := a.Check(sigv4.Expect{Now: at}); err != nil {
			t.Error(err)
		}
	})
	t.Run("OtherDateAndTerminator", func(t *testing.T) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("X-Amz-Date", "20260101T000000Z")
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKID/20251231/us-east-1/kms/aws5, SignedHeaders=host, Signature=0")
		a, err := sigv4.Parse(r)
		if err != nil {
			t.Fatal(err)
		}
		want := "400 InvalidSignatureException: Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5'. " +
			"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20251231' != '20260101', from '20260101T000000Z'."
		if got := answer(a.Check(sigv4.Expect{Now: at}), sigv4.JSON); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

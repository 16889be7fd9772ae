package lambda_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// open gives a function a URL that all may use whom the type of authentication lets in.
func (h *house) open(name string, auth types.FunctionUrlAuthType, options ...func(*lambda.CreateFunctionUrlConfigInput)) string {
	h.t.Helper()
	in := &lambda.CreateFunctionUrlConfigInput{FunctionName: &name, AuthType: auth}
	for _, o := range options {
		o(in)
	}
	url := *must(h.CreateFunctionUrlConfig(h.t.Context(), in))(h.t).FunctionUrl
	if auth == types.FunctionUrlAuthTypeNone {
		must(h.AddPermission(h.t.Context(), &lambda.AddPermissionInput{
			FunctionName: &name, StatementId: aws.String("url"), Action: aws.String("lambda:InvokeFunctionUrl"), Principal: aws.String("*"), FunctionUrlAuthType: auth,
		}))(h.t)
		must(h.AddPermission(h.t.Context(), &lambda.AddPermissionInput{
			FunctionName: &name, StatementId: aws.String("function"), Action: aws.String("lambda:InvokeFunction"), Principal: aws.String("*"), InvokedViaFunctionUrl: aws.Bool(true),
		}))(h.t)
	}
	return url
}

// visit sends a request.
func (h *house) visit(r *http.Request) (*http.Response, string) {
	h.t.Helper()
	resp := must(http.DefaultClient.Do(r))(h.t)
	defer resp.Body.Close()
	return resp, string(must(io.ReadAll(resp.Body))(h.t))
}

func (h *house) request(method, url, body string, header ...string) *http.Request {
	h.t.Helper()
	r := must(http.NewRequestWithContext(h.t.Context(), method, url, strings.NewReader(body)))(h.t)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func TestURL(t *testing.T) {
	h := start(t)
	h.python("f")
	url := h.open("f", types.FunctionUrlAuthTypeNone, func(in *lambda.CreateFunctionUrlConfigInput) {
		in.Cors = &types.Cors{AllowOrigins: []string{"https://example.com"}, AllowMethods: []string{"PUT"}, MaxAge: aws.Int32(60)}
	})
	t.Run("Event", func(t *testing.T) {
		resp, body := h.visit(h.request("POST", url+"a%20b/c?q=1&q=2", `{"x":1}`, "Content-Type", "application/json", "Cookie", "a=1; b=2", "X-Mine", "yes"))
		if resp.StatusCode != 200 || resp.Header.Get("X-Amzn-Requestid") == "" {
			t.Fatalf("got %d %s", resp.StatusCode, body)
		}
		var e struct {
			Version, RawPath, RawQueryString, Body string
			Cookies                                []string
			Headers, QueryStringParameters         map[string]string
			RequestContext                         struct {
				AccountID string
				HTTP      struct{ Method, Path, SourceIP string }
			}
			Base64 bool `json:"isBase64Encoded"`
		}
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			t.Fatal(err)
		}
		if e.Version != "2.0" || e.RawPath != "/a b/c" || e.RawQueryString != "q=1&q=2" || e.QueryStringParameters["q"] != "1,2" || len(e.Cookies) != 2 || e.Headers["x-mine"] != "yes" || e.Body != `{"x":1}` || e.Base64 ||
			e.RequestContext.AccountID != "anonymous" || e.RequestContext.HTTP.Method != "POST" || e.RequestContext.HTTP.SourceIP != "127.0.0.1" {
			t.Errorf("the event is %s", body)
		}
	})
	t.Run("Host", func(t *testing.T) {
		r := h.request("GET", h.URL+"/p", "")
		id := strings.Split(strings.TrimSuffix(url, "/"), "/")
		r.Host = id[len(id)-1] + ".lambda-url.us-east-1.localhost"
		if resp, body := h.visit(r); resp.StatusCode != 200 || !strings.Contains(body, `"rawPath": "/p"`) {
			t.Errorf("got %d %s", resp.StatusCode, body)
		}
	})
	t.Run("Preflight", func(t *testing.T) {
		resp, _ := h.visit(h.request("OPTIONS", url, "", "Origin", "https://example.com", "Access-Control-Request-Method", "PUT"))
		if resp.StatusCode != 200 || resp.Header.Get("Access-Control-Allow-Origin") != "https://example.com" || resp.Header.Get("Access-Control-Allow-Methods") != "PUT" || resp.Header.Get("Access-Control-Max-Age") != "60" {
			t.Errorf("got %d %v", resp.StatusCode, resp.Header)
		}
		resp, _ = h.visit(h.request("OPTIONS", url, "", "Origin", "https://other.example", "Access-Control-Request-Method", "PUT"))
		if resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("another origin got %v", resp.Header)
		}
	})
	t.Run("Nothing", func(t *testing.T) {
		if resp, _ := h.visit(h.request("GET", h.URL+"/_holdfast/lambda-url/nothing/", "")); resp.StatusCode != 404 {
			t.Errorf("got %d", resp.StatusCode)
		}
	})
	t.Run("NoPermission", func(t *testing.T) {
		must(h.RemovePermission(t.Context(), &lambda.RemovePermissionInput{FunctionName: f, StatementId: aws.String("function")}))(t)
		resp, body := h.visit(h.request("GET", url, ""))
		if resp.StatusCode != 403 || !strings.Contains(body, "Forbidden") {
			t.Errorf("got %d %s", resp.StatusCode, body)
		}
	})
}

// What a function returns is an answer, if it has the form of one.
func TestURLResponse(t *testing.T) {
	h := start(t)
	if !h.hasPython() {
		t.Skip("there is no python3")
	}
	for name, tt := range map[string]struct {
		returns     string
		status      int
		body        string
		contentType string
	}{
		"Whole":  {`{"statusCode": 201, "headers": {"X-Mine": "yes", "Content-Type": "text/plain"}, "cookies": ["a=1", "b=2"], "body": "made"}`, 201, "made", "text/plain"},
		"Base64": {`{"statusCode": 200, "body": "AAEC", "isBase64Encoded": True}`, 200, "\x00\x01\x02", "application/json"},
		"Object": {`{"hello": "world"}`, 200, `{"hello": "world"}`, "application/json"},
		"String": {`"hello"`, 200, "hello", "application/json"},
		"Number": {`3.1`, 200, "3.1", "application/json"},
		"Raises": {`1/0`, 502, "Internal Server Error", "text/plain"},
	} {
		t.Run(name, func(t *testing.T) {
			h.python(name, func(in *lambda.CreateFunctionInput) {
				in.Code = &types.FunctionCode{ZipFile: zipOf("handler.py", "def handler(event, context):\n    return "+tt.returns+"\n")}
			})
			resp, body := h.visit(h.request("GET", h.open(name, types.FunctionUrlAuthTypeNone), ""))
			if resp.StatusCode != tt.status || body != tt.body || resp.Header.Get("Content-Type") != tt.contentType {
				t.Errorf("got %d %q %v", resp.StatusCode, body, resp.Header)
			}
			if name == "Whole" && (resp.Header.Get("X-Mine") != "yes" || len(resp.Header.Values("Set-Cookie")) != 2) {
				t.Errorf("got %v", resp.Header)
			}
		})
	}
}

// A URL that wants signatures knows who signed.
func TestSignedURL(t *testing.T) {
	h := start(t)
	h.python("f")
	url := h.open("f", types.FunctionUrlAuthTypeAwsIam)
	if resp, body := h.visit(h.request("GET", url, "")); resp.StatusCode != 403 || !strings.Contains(body, "Forbidden") {
		t.Errorf("unsigned: %d %s", resp.StatusCode, body)
	}
	signed := func(cfg aws.Config, body string) (*http.Response, string) {
		r := h.request("POST", url+"p", body, "Content-Type", "text/plain")
		sum := sha256.Sum256([]byte(body))
		if err := v4.NewSigner().SignHTTP(t.Context(), must(cfg.Credentials.Retrieve(t.Context()))(t), r, hex.EncodeToString(sum[:]), "lambda", "us-east-1", time.Now()); err != nil {
			t.Fatal(err)
		}
		return h.visit(r)
	}
	ann := h.User(home, "ann", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"lambda:InvokeFunctionUrl","Resource":"*","Condition":{"StringEquals":{"lambda:FunctionUrlAuthType":"AWS_IAM"}}},
		{"Effect":"Allow","Action":"lambda:InvokeFunction","Resource":"*","Condition":{"Bool":{"lambda:InvokedViaFunctionUrl":"true"}}}]}`)
	resp, body := signed(ann, "hello")
	if resp.StatusCode != 200 || !strings.Contains(body, "arn:aws:iam::"+home+":user/ann") || strings.Contains(body, "Signature=") || !strings.Contains(body, `"body": "hello"`) {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
	if resp, body := signed(h.User(home, "ben", allow("lambda:GetFunction", "*")), "hello"); resp.StatusCode != 403 || !strings.Contains(body, "Forbidden") {
		t.Errorf("who may not: %d %s", resp.StatusCode, body)
	}
	if _, found := h.recorded("ann", "InvokeFunctionUrl", ""); !found {
		t.Error("the visit is not on record")
	}
	if bytes.Contains(must(json.Marshal(h.Trail(home)))(t), []byte("hello")) {
		t.Error("the body is on record")
	}
}

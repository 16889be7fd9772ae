package events_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/smithy-go"
)

const password = "correct horse battery staple"

// code is the code of an error, or "".
func code(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}

// basic is a connection with a password.
func basic(name string) *eventbridge.CreateConnectionInput {
	return &eventbridge.CreateConnectionInput{Name: &name, AuthorizationType: types.ConnectionAuthorizationTypeBasic, AuthParameters: &types.CreateConnectionAuthRequestParameters{
		BasicAuthParameters: &types.CreateConnectionBasicAuthRequestParameters{Username: aws.String("ann"), Password: aws.String(password)},
	}}
}

// request is what a server has got.
type request struct {
	method, url, body string
	header            http.Header
}

// web is a server in the world outside.
type web struct {
	*httptest.Server
	mu     sync.Mutex
	got    []request
	answer func(n int, r request, w http.ResponseWriter) // n counts from 0
}

func newWeb(t *testing.T) *web {
	w := new(web)
	w.Server = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
		body, _ := io.ReadAll(in.Body)
		r := request{in.Method, in.URL.String(), string(body), in.Header}
		w.mu.Lock()
		n := len(w.got)
		w.got = append(w.got, r)
		w.mu.Unlock()
		if w.answer != nil {
			w.answer(n, r, out)
		}
	}))
	t.Cleanup(w.Close)
	return w
}

// requests are what the server has got since the last time.
func (w *web) requests() []request {
	w.mu.Lock()
	defer w.mu.Unlock()
	got := w.got
	w.got = nil
	return got
}

// destination has the events of the source "shop" sent to a server, and those that do not arrive to a queue.
func (h *house) destination(connection *eventbridge.CreateConnectionInput, endpoint string, change ...func(*types.Target)) *queue {
	h.t.Helper()
	n := must(h.CreateConnection(h.t.Context(), connection))(h.t)
	h.settle()
	d := must(h.CreateApiDestination(h.t.Context(), &eventbridge.CreateApiDestinationInput{
		Name: aws.String("d"), ConnectionArn: n.ConnectionArn, InvocationEndpoint: &endpoint, HttpMethod: types.ApiDestinationHttpMethodPost,
	}))(h.t)
	role := h.Role(home, "caller", trusting, allow("events:InvokeApiDestination", *d.ApiDestinationArn))
	dead := h.queue(home, "dead", true)
	target := types.Target{Arn: d.ApiDestinationArn, RoleArn: &role, DeadLetterConfig: &types.DeadLetterConfig{Arn: aws.String(dead.arn())}}
	for _, f := range change {
		f(&target)
	}
	h.rule(h.Client, "", "web", shop, target)
	return dead
}

// An API destination gets what target and connection say, and the secrets of the connection are told to nobody else.
func TestAPIDestination(t *testing.T) {
	h, w := start(t), newWeb(t)
	c := basic("c")
	c.AuthParameters.InvocationHttpParameters = &types.ConnectionHttpParameters{
		HeaderParameters:      []types.ConnectionHeaderParameter{{Key: aws.String("X-Team"), Value: aws.String("red"), IsValueSecret: true}, {Key: aws.String("Host"), Value: aws.String("elsewhere")}},
		QueryStringParameters: []types.ConnectionQueryStringParameter{{Key: aws.String("v"), Value: aws.String("2")}},
		BodyParameters:        []types.ConnectionBodyParameter{{Key: aws.String("token"), Value: aws.String("secret token"), IsValueSecret: true}},
	}
	h.destination(c, w.URL+"/orders/*/of/*", func(x *types.Target) {
		x.InputPath = aws.String("$.detail")
		x.HttpParameters = &types.HttpParameters{
			PathParameterValues: []string{"a/b", "$.detail.shop"}, HeaderParameters: map[string]string{"X-Team": "blue", "X-More": "1"}, QueryStringParameters: map[string]string{"v": "1", "w": "x y"},
		}
	})
	h.put(h.Client, entry(`{"n":1}`))
	h.settle()
	got := w.requests()
	if len(got) != 1 {
		t.Fatalf("the server got %v", got)
	}
	r := got[0]
	if r.method != "POST" || !strings.HasPrefix(r.url, "/orders/a%2Fb/of/") || !strings.HasSuffix(r.url, "?v=2&w=x+y") || r.body != `{"n":1,"token":"secret token"}` {
		t.Errorf("the server got %+v", r)
	}
	for name, want := range map[string]string{
		"X-Team": "red", "X-More": "1", "User-Agent": "Amazon/EventBridge/ApiDestinations", "Content-Type": "application/json; charset=utf-8", "Range": "bytes=0-1048575",
		"Authorization": "Basic YW5uOmNvcnJlY3QgaG9yc2UgYmF0dGVyeSBzdGFwbGU=",
	} {
		if r.header.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, r.header.Get(name), want)
		}
	}
	about := must(h.DescribeConnection(t.Context(), &eventbridge.DescribeConnectionInput{Name: aws.String("c")}))(t)
	text, err := json.Marshal(about)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{password, "secret token", `"red"`} {
		if strings.Contains(string(text), secret) {
			t.Errorf("DescribeConnection tells %s: %s", secret, text)
		}
		for _, e := range h.Trail(home) {
			if strings.Contains(string(e.Raw), secret) {
				t.Errorf("the trail tells %s: %s", secret, e.Raw)
			}
		}
	}
	if p := about.AuthParameters; *p.BasicAuthParameters.Username != "ann" || *p.InvocationHttpParameters.QueryStringParameters[0].Value != "2" {
		t.Errorf("DescribeConnection = %s", text)
	}
}

// Which answers are tried again, and which end in the dead-letter queue.
func TestAPIDestinationAnswers(t *testing.T) {
	for _, tt := range []struct {
		status  int
		again   bool
		code    string
		headers string
	}{
		{status: 204}, {status: 400, code: "ERROR_FROM_TARGET"}, {status: 404, code: "ERROR_FROM_TARGET"}, {status: 302, code: "ERROR_FROM_TARGET"},
		{status: 401, again: true}, {status: 407, again: true}, {status: 409, again: true}, {status: 425, again: true}, {status: 429, again: true}, {status: 500, again: true},
		{status: 503, again: true}, {status: 429, headers: "-1", code: "ERROR_FROM_TARGET"},
	} {
		t.Run(fmt.Sprint(tt.status, tt.headers), func(t *testing.T) {
			h, w := start(t), newWeb(t)
			w.answer = func(n int, _ request, out http.ResponseWriter) {
				if n > 0 {
					return
				}
				out.Header().Set("Location", w.URL+"/elsewhere")
				if tt.headers != "" {
					out.Header().Set("Retry-After", tt.headers)
				}
				out.WriteHeader(tt.status)
			}
			dead := h.destination(basic("c"), w.URL)
			h.put(h.Client, entry(`{"n":1}`))
			h.settle()
			h.Advance(5 * time.Second)
			if got := len(w.requests()); got != map[bool]int{false: 1, true: 2}[tt.again] {
				t.Errorf("the server got %d requests", got)
			}
			messages := dead.take()
			if (len(messages) == 1) != (tt.code != "") {
				t.Fatalf("the dead-letter queue has %v", messages)
			}
			if tt.code != "" && *messages[0].MessageAttributes["ERROR_CODE"].StringValue != tt.code {
				t.Errorf("it was given up for %v", messages[0].MessageAttributes)
			}
		})
	}
}

// A server that asks for time gets it.
func TestRetryAfter(t *testing.T) {
	h, w := start(t), newWeb(t)
	w.answer = func(n int, _ request, out http.ResponseWriter) {
		if n == 0 {
			out.Header().Set("Retry-After", "600")
			out.WriteHeader(429)
		}
	}
	h.destination(basic("c"), w.URL)
	h.put(h.Client, entry(`{"n":1}`))
	h.settle()
	h.Advance(9 * time.Minute)
	if got := w.requests(); len(got) != 1 {
		t.Errorf("the server got %d requests in the first nine minutes", len(got))
	}
	h.Advance(2 * time.Minute)
	if got := w.requests(); len(got) != 1 {
		t.Errorf("the server got %d requests after ten minutes", len(got))
	}
}

// Servers that only this machine can reach are none of EventBridge's, however they are named.
func TestAPIDestinationGuard(t *testing.T) {
	w := newWeb(t)
	h := start(t)
	private := strings.Replace(w.URL, "127.0.0.1", "0.0.0.0", 1) // which cloudtest does not allow
	dead := h.destination(basic("c"), private)
	h.put(h.Client, entry(`{"n":1}`))
	h.settle()
	if got := w.requests(); len(got) != 0 {
		t.Errorf("the server got %v", got)
	}
	if m := dead.take(); len(m) != 1 || *m[0].MessageAttributes["ERROR_CODE"].StringValue != "INVALID_ENDPOINT" {
		t.Errorf("the dead-letter queue has %v", m)
	}
}

// An API destination gets no more requests a second than its owner says.
func TestAPIDestinationRate(t *testing.T) {
	h, w := start(t), newWeb(t)
	h.destination(basic("c"), w.URL)
	must(h.UpdateApiDestination(t.Context(), &eventbridge.UpdateApiDestinationInput{Name: aws.String("d"), InvocationRateLimitPerSecond: aws.Int32(2)}))(t)
	for i := range 6 {
		h.put(h.Client, entry(fmt.Sprintf(`{"n":%d}`, i)))
	}
	h.settle()
	first := w.requests()
	if len(first) < 2 || len(first) > 4 {
		t.Errorf("the server got %d requests at once", len(first))
	}
	h.Advance(10 * time.Second)
	got := append(first, w.requests()...)
	if len(got) != 6 {
		t.Fatalf("the server got %d requests", len(got))
	}
	for i, r := range got {
		if !strings.Contains(r.body, fmt.Sprintf(`"n":%d`, i)) {
			t.Errorf("request %d is %s", i, r.body)
		}
	}
}

// oauth is a connection whose tokens a server gives.
func oauth(w *web) *eventbridge.CreateConnectionInput {
	return &eventbridge.CreateConnectionInput{Name: aws.String("c"), AuthorizationType: types.ConnectionAuthorizationTypeOauthClientCredentials, AuthParameters: &types.CreateConnectionAuthRequestParameters{
		OAuthParameters: &types.CreateConnectionOAuthRequestParameters{
			AuthorizationEndpoint: aws.String(w.URL + "/token"), HttpMethod: types.ConnectionOAuthHttpMethodPost,
			ClientParameters:    &types.CreateConnectionOAuthClientRequestParameters{ClientID: aws.String("me"), ClientSecret: aws.String(password)},
			OAuthHttpParameters: &types.ConnectionHttpParameters{BodyParameters: []types.ConnectionBodyParameter{{Key: aws.String("scope"), Value: aws.String("orders")}}},
		},
	}}
}

// Tokens are fetched once, kept until they end or are not taken any more, and then replaced.
func TestOAuth(t *testing.T) {
	h, w := start(t), newWeb(t)
	tokens, refuse := 0, ""
	w.answer = func(_ int, r request, out http.ResponseWriter) {
		switch {
		case r.url == "/token":
			tokens++
			fmt.Fprintf(out, `{"access_token":"token %d","token_type":"Bearer","expires_in":3600}`, tokens)
		case refuse != "" && r.header.Get("Authorization") == refuse:
			out.WriteHeader(401)
		}
	}
	h.destination(oauth(w), w.URL+"/orders")
	got := w.requests()
	if len(got) != 1 || got[0].body != "client_id=me&client_secret=correct+horse+battery+staple&grant_type=client_credentials&scope=orders" {
		t.Fatalf("the authorization server got %v", got)
	}
	state := must(h.DescribeConnection(t.Context(), &eventbridge.DescribeConnectionInput{Name: aws.String("c")}))(t).ConnectionState
	if state != types.ConnectionStateAuthorized {
		t.Errorf("the connection is %s", state)
	}
	asked := func(want ...string) {
		t.Helper()
		h.put(h.Client, entry(`{"n":1}`))
		h.settle()
		h.Advance(3 * time.Second)
		var got []string
		for _, r := range w.requests() {
			got = append(got, r.url+" "+r.header.Get("Authorization"))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("the servers got %q, want %q", got, want)
		}
	}
	asked("/orders Bearer token 1")
	asked("/orders Bearer token 1")
	refuse = "Bearer token 1"
	asked("/orders Bearer token 1", "/token ", "/orders Bearer token 2")
	h.Advance(time.Hour)
	asked("/token ", "/orders Bearer token 3")
	must(h.DeauthorizeConnection(t.Context(), &eventbridge.DeauthorizeConnectionInput{Name: aws.String("c")}))(t)
	asked()
}

// An authorization server that gives no token leaves the connection without authorization, and says nothing that is repeated.
func TestOAuthRefused(t *testing.T) {
	for name, answer := range map[string]string{"Garbage": "<html>", "NoToken": "{}", "BadToken": `{"access_token":"a\nb"}`, "Endless": strings.Repeat("x", 200_000)} {
		t.Run(name, func(t *testing.T) {
			h, w := start(t), newWeb(t)
			w.answer = func(_ int, _ request, out http.ResponseWriter) { fmt.Fprint(out, answer) }
			must(h.CreateConnection(t.Context(), oauth(w)))(t)
			h.settle()
			about := must(h.DescribeConnection(t.Context(), &eventbridge.DescribeConnectionInput{Name: aws.String("c")}))(t)
			if about.ConnectionState != types.ConnectionStateAuthorizing {
				t.Errorf("at first the connection is %s", about.ConnectionState)
			}
			h.Advance(time.Hour)
			about = must(h.DescribeConnection(t.Context(), &eventbridge.DescribeConnectionInput{Name: aws.String("c")}))(t)
			if about.ConnectionState != types.ConnectionStateDeauthorized || about.StateReason == nil {
				t.Errorf("in the end the connection is %s: %v", about.ConnectionState, about.StateReason)
			}
		})
	}
}

// TestConnectionErrors holds errors against those that AWS was seen to answer with.
func TestConnectionErrors(t *testing.T) {
	h := start(t)
	must(h.CreateConnection(t.Context(), basic("c")))(t)
	describe := func(name string) error {
		return answer(h.DescribeConnection(t.Context(), &eventbridge.DescribeConnectionInput{Name: &name}))
	}
	wantExact(t, describe("no"), "ResourceNotFoundException", "Failed to describe the connection(s). Connection 'no' does not exist.")
	wantExact(t, answer(h.CreateConnection(t.Context(), basic("c"))), "ResourceAlreadyExistsException", "Connection c already exists.")
	wantExact(t, answer(h.DescribeApiDestination(t.Context(), &eventbridge.DescribeApiDestinationInput{Name: aws.String("no")})), "ResourceNotFoundException",
		"Failed to describe the api-destination(s). An api-destination 'no' does not exist.")
	wantExact(t, answer(h.CreateConnection(t.Context(), basic("Invalid Name With Spaces!"))), "ValidationException",
		`1 validation error detected: Value 'Invalid Name With Spaces!' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: [\.\-_A-Za-z0-9]+`)
	in := basic("x")
	in.AuthorizationType = types.ConnectionAuthorizationTypeApiKey
	wantError(t, answer(h.CreateConnection(t.Context(), in)), "ValidationException", "ApiKeyAuthParameters are required")
	for _, endpoint := range []string{"ftp://example.com", "https://*.example.com/", "https://"} {
		arn := must(h.DescribeConnection(t.Context(), &eventbridge.DescribeConnectionInput{Name: aws.String("c")}))(t).ConnectionArn
		wantError(t, answer(h.CreateApiDestination(t.Context(), &eventbridge.CreateApiDestinationInput{
			Name: aws.String("d"), ConnectionArn: arn, InvocationEndpoint: &endpoint, HttpMethod: types.ApiDestinationHttpMethodPost,
		})), "ValidationException", "")
	}
	must(h.DeleteConnection(t.Context(), &eventbridge.DeleteConnectionInput{Name: aws.String("c")}))(t)
	wantError(t, describe("c"), "ResourceNotFoundException", "")
}

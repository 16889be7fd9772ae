package events

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-cloud/holdfast/api/events"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/outbound"
)

const userAgent = "Amazon/EventBridge/ApiDestinations"

// callDestination sends input to an API destination, by the target's role.
func (s *Service) callDestination(c *call.Call, t *targetRecord, input []byte) (outside func(context.Context) error, err error) {
	scope := call.Scope{Partition: c.Scope.Partition, Account: t.Account, Region: t.Region}
	d, err := findDestination(c.Tx(), scope, t.ARN)
	if err != nil {
		return nil, err
	}
	if d == nil {
		return nil, &failure{code: "NO_RESOURCE", message: "The API destination does not exist.", permanent: true}
	}
	role, err := c.AsRole(t.Role, t.ruleARN(c.Scope.Partition))
	if err != nil {
		return nil, err
	}
	role.Scope.Region = t.Region
	if err := role.AuthorizeAction("events:InvokeApiDestination", &call.Resource{ARN: t.ARN, Account: t.Account}); err != nil {
		return nil, err
	}
	n, err := findConnection(c.Tx(), scope, d.Connection)
	if err != nil {
		return nil, err
	}
	if n == nil || n.State != events.ConnectionStateAuthorized {
		return nil, notAuthorized("")
	}
	if at, free := s.rates.take(t.ARN, d.Rate, c.Time); !free {
		return nil, delivery.Later(at)
	}
	secrets, lost, err := s.unlock(c, n)
	if err != nil {
		return nil, err
	}
	if lost != nil { // which is written down, whatever becomes of the event
		return func(context.Context) error { return lost }, nil
	}
	token, err := s.token(n, c.Time)
	if err != nil {
		return nil, err
	}
	now := c.Time
	return func(ctx context.Context) error {
		if n.Type == events.ConnectionAuthorizationTypeOauthClientCredentials && token == "" {
			var err error
			if token, err = s.fetchToken(ctx, n, secrets); err != nil {
				return err
			}
		}
		return s.request(ctx, now, d, n, destinationRequest(d, t.HTTP, n.Type, secrets, token, input))
	}, nil
}

// request sends a request and judges the answer: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html
func (s *Service) request(ctx context.Context, now time.Time, d *destinationRecord, n *connectionRecord, r *outbound.Request) error {
	bounded, cancel := context.WithTimeout(ctx, invokeTime)
	defer cancel()
	answer, err := s.cfg.Outbound.Do(bounded, r)
	if err != nil {
		return ofOutbound(err)
	}
	failed := &failure{code: "ERROR_FROM_TARGET", message: fmt.Sprintf("The API destination answers with status %d.", answer.Status)}
	switch status := answer.Status; {
	case status >= 200 && status <= 299:
		return nil
	case status == 401 && n.Token != nil:
		if err := s.forgetToken(ctx, n); err != nil {
			return err
		}
		return failed
	case status == 401, status == 407, status == 409, status == 425, status >= 500:
		return failed
	case status == 429:
		return s.retryAfter(d, now, answer, failed)
	}
	failed.permanent = true
	return failed
}

// ofOutbound is what an error of sending means. Some no other attempt helps against.
func ofOutbound(err error) error {
	switch {
	case errors.Is(err, outbound.ErrURL), errors.Is(err, outbound.ErrAddress):
		return &failure{code: "INVALID_ENDPOINT", message: "The server's address is not one that may be reached.", permanent: true}
	case errors.Is(err, outbound.ErrRedirect):
		return &failure{code: "ERROR_FROM_TARGET", message: "The server redirects, which is not followed.", permanent: true}
	case errors.Is(err, context.DeadlineExceeded):
		return &failure{code: "TIMEOUT", message: "The server did not answer in five seconds."}
	}
	return &failure{code: "CONNECTION_FAILURE", message: "The server cannot be reached."}
}

// maxRetryAfter is how long a server may have us wait.
const maxRetryAfter = time.Hour

// retryAfter honours the header in which a server says in how many seconds, or when, it wants to be asked again. The destination gets nothing before.
func (s *Service) retryAfter(d *destinationRecord, now time.Time, answer *outbound.Response, failed *failure) error {
	text := strings.TrimSpace(answer.Header.Get("Retry-After"))
	var at time.Time
	if seconds, err := strconv.Atoi(text); err == nil {
		if seconds < 0 {
			failed.permanent = true // the server wants no other attempt
			return failed
		}
		at = now.Add(time.Duration(min(seconds, int(maxRetryAfter/time.Second))) * time.Second)
	} else if t, err := time.Parse(time.RFC1123, text); err == nil {
		at = t
	}
	if at.After(now.Add(maxRetryAfter)) {
		at = now.Add(maxRetryAfter)
	}
	if at.After(now) {
		s.rates.hold(d.arn(s.cfg.Partition), at)
	}
	return failed
}

// destinationRequest is the request to an API destination. What the connection gives stands over what the target gives.
func destinationRequest(d *destinationRecord, target *httpParameters, kind events.ConnectionAuthorizationType, x *connectionSecrets, token string, input []byte) *outbound.Request {
	if target == nil {
		target = &httpParameters{}
	}
	r := &outbound.Request{Method: string(d.Method), Header: map[string]string{"Content-Type": "application/json; charset=utf-8"}, Body: input}
	set := func(name, value string) {
		for known := range r.Header {
			if strings.EqualFold(known, name) {
				delete(r.Header, known)
			}
		}
		if !hides(strings.ToLower(name)) {
			r.Header[name] = value
		}
	}
	for name, value := range target.Header {
		set(name, value)
	}
	query := url.Values{}
	for name, value := range target.Query {
		query.Set(name, value)
	}
	if p := x.Invocation; p != nil {
		for _, h := range p.Header {
			set(h.Key, h.Value)
		}
		for _, q := range p.Query {
			query.Set(q.Key, q.Value)
		}
		r.Body = withBody(input, p.Body)
	}
	switch kind {
	case events.ConnectionAuthorizationTypeBasic:
		set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(x.Username+":"+x.Password)))
	case events.ConnectionAuthorizationTypeApiKey:
		set(x.KeyName, x.KeyValue)
	case events.ConnectionAuthorizationTypeOauthClientCredentials:
		set("Authorization", "Bearer "+token)
	}
	r.Header["User-Agent"], r.Header["Range"] = userAgent, "bytes=0-1048575"
	if d.Method == events.ApiDestinationHttpMethodGet || d.Method == events.ApiDestinationHttpMethodHead {
		r.Body = nil
	}
	r.URL = withQuery(withPath(d.Endpoint, target.Path), query)
	return r
}

// withPath puts values into the places of an endpoint that are left open.
func withPath(endpoint string, values []string) string {
	for _, v := range values {
		endpoint = strings.Replace(endpoint, "*", url.PathEscape(v), 1)
	}
	return endpoint
}

// withQuery adds parameters to an endpoint.
func withQuery(endpoint string, query url.Values) string {
	if len(query) == 0 {
		return endpoint
	}
	separator := "?"
	if strings.Contains(endpoint, "?") {
		separator = "&"
	}
	return endpoint + separator + query.Encode()
}

// withBody adds parameters to a body that is a JSON object. Any other stays as it is.
func withBody(input []byte, parameters []connectionParameter) []byte {
	if len(parameters) == 0 {
		return input
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(input, &object) != nil || object == nil {
		return input
	}
	for _, p := range parameters {
		value, err := json.Marshal(p.Value)
		if err != nil {
			return input
		}
		object[p.Key] = value
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if e.Encode(object) != nil {
		return input
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// validHeader reports whether something can be the value of a header.
func validHeader(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// rates are the rate limits of API destinations: by the ARN of one, the time at which its next request is due if requests come evenly. They are kept by each process for itself.
type rates struct {
	mu  sync.Mutex // guards due; nothing waits under it
	due map[string]time.Time
}

// burst is how much earlier than evenly requests may come.
const burst = time.Second

// maxRates is how many destinations' rates are remembered.
const maxRates = 10_000

// take takes a request from a destination's rate, or tells when there is one to take.
func (r *rates) take(name string, rate int32, now time.Time) (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.due == nil || len(r.due) > maxRates {
		r.due = make(map[string]time.Time)
	}
	due := r.due[name]
	if due.Before(now) {
		due = now
	}
	if next := due.Add(time.Second / time.Duration(max(rate, 1))); next.After(now.Add(burst)) {
		return next.Add(-burst), false
	} else {
		r.due[name] = next
	}
	return time.Time{}, true
}

// hold lets a destination have no request before a time.
func (r *rates) hold(name string, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.due == nil {
		r.due = make(map[string]time.Time)
	}
	r.due[name] = until.Add(burst)
}

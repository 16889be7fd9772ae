package lambda

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// opInvokeURL is a visit to a function's URL. No model has it: it is no call of an API.
var opInvokeURL = &wire.Operation{
	Service: lambda.Service, Name: "InvokeFunctionUrl", EventName: "InvokeFunctionUrl", Action: "lambda:InvokeFunctionUrl", Access: wire.AccessWrite,
	NewInput: func() wire.Shape { return new(door.Visit) }, NewOutput: func() wire.Shape { return new(door.Reply) },
}

// site is where functions have their URLs: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
func (s *Service) site() *door.Site {
	return &door.Site{Label: "lambda-url", Op: opInvokeURL, Find: s.placeOf, Serve: s.serve, BodyLimit: maxPayload}
}

// placeOf finds the URL with an ID.
func (s *Service) placeOf(ctx context.Context, id string) (p *door.Place, err error) {
	err = s.cfg.Store.View(ctx, func(r store.Reader) error {
		u, err := urlOf(r, id)
		if err == nil && u != nil {
			p = &door.Place{Account: u.Account, Region: u.Region, Signed: u.AuthType == string(lambda.FunctionUrlAuthTypeAwsIam)}
		}
		return err
	})
	return p, err
}

// urlOf is the URL with an ID, or nil.
func urlOf(r store.Reader, id string) (*urlRecord, error) {
	u, err := urlTable.In("", "").Find(r, "id", id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for a function's URL: %w", err)
	}
	return u, nil
}

// serve has a function answer a request to its URL.
func (s *Service) serve(c *call.Call, v *door.Visit) (*door.Reply, error) {
	u, err := urlOf(c.Tx(), v.ID)
	if err != nil {
		return nil, err
	}
	if u == nil {
		return nil, c.Reject(notFound("There is nothing at this URL."))
	}
	if preflight := corsPreflight(u.CORS, v); preflight != nil {
		c.Open("a browser asks whether a page may ask")
		return preflight, nil
	}
	t, err := s.look(c, name{account: u.Account, region: u.Region, function: u.Function, qualifier: u.Qualifier})
	if err != nil {
		return nil, err
	}
	if err := s.askURL(c, t, u); err != nil {
		return nil, err
	}
	if err := t.there(); err != nil {
		return nil, err
	}
	event, err := urlEvent(c, u, v)
	if err != nil {
		return nil, err
	}
	o := &order{id: c.RequestID, payload: event}
	if o.target, err = t.routed(c); err != nil {
		return nil, err
	}
	if !c.Release() {
		return nil, wire.NotImplemented(lambda.Service.Package, "InvokeFunctionUrl as a part of another call")
	}
	reply, err := s.answer(c.Context, o, u)
	s.countVisit(o, reply, err)
	if err != nil {
		return nil, err
	}
	reply.Header["X-Amzn-Requestid"] = []string{o.id}
	allowOrigin(u.CORS, v, reply.Header)
	return reply, nil
}

// askURL asks for both permissions that a URL needs: to use it, and to invoke the function by it.
// https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
func (s *Service) askURL(c *call.Call, t *target, u *urlRecord) error {
	for _, ask := range []struct{ action, key, value string }{
		{opInvokeURL.Action, "lambda:functionurlauthtype", u.AuthType}, {lambda.OpInvoke.Action, "lambda:invokedviafunctionurl", "true"},
	} {
		r, err := s.resource(c, t)
		if err != nil {
			return err
		}
		set(r, ask.key, ask.value)
		if err := c.AuthorizeAction(ask.action, r); err != nil {
			return err
		}
	}
	return nil
}

// httpEvent is what a function is given: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads
type httpEvent struct {
	Version        string            `json:"version"`
	RouteKey       string            `json:"routeKey"`
	RawPath        string            `json:"rawPath"`
	RawQuery       string            `json:"rawQueryString"`
	Cookies        []string          `json:"cookies,omitempty"`
	Headers        map[string]string `json:"headers"`
	Query          map[string]string `json:"queryStringParameters,omitempty"`
	RequestContext httpContext       `json:"requestContext"`
	Body           string            `json:"body,omitempty"`
	Base64         bool              `json:"isBase64Encoded"`
}

type httpContext struct {
	AccountID    string          `json:"accountId"`
	APIID        string          `json:"apiId"`
	Authorizer   *httpAuthorizer `json:"authorizer,omitempty"`
	DomainName   string          `json:"domainName"`
	DomainPrefix string          `json:"domainPrefix"`
	HTTP         httpRequest     `json:"http"`
	RequestID    string          `json:"requestId"`
	RouteKey     string          `json:"routeKey"`
	Stage        string          `json:"stage"`
	Time         string          `json:"time"`
	TimeEpoch    int64           `json:"timeEpoch"`
}

type httpAuthorizer struct {
	IAM httpIdentity `json:"iam"`
}

type httpIdentity struct {
	AccessKey    string  `json:"accessKey"`
	AccountID    string  `json:"accountId"`
	CallerID     string  `json:"callerId"`
	Cognito      *string `json:"cognitoIdentity"`
	Organization *string `json:"principalOrgId"`
	UserARN      string  `json:"userArn"`
	UserID       string  `json:"userId"`
}

type httpRequest struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Protocol  string `json:"protocol"`
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

// urlEvent makes an event of a request.
func urlEvent(c *call.Call, u *urlRecord, v *door.Visit) ([]byte, error) {
	e := httpEvent{
		Version: "2.0", RouteKey: "$default", RawPath: v.Path, RawQuery: v.RawQuery, Headers: map[string]string{"host": v.Host},
		RequestContext: httpContext{
			AccountID: "anonymous", APIID: u.ID, DomainName: v.Host, DomainPrefix: u.ID, RequestID: c.RequestID, RouteKey: "$default", Stage: "$default",
			Time: c.Time.UTC().Format("02/Jan/2006:15:04:05 -0700"), TimeEpoch: c.Time.UnixMilli(),
			HTTP: httpRequest{Method: v.Method, Path: v.Path, Protocol: v.Protocol, UserAgent: c.Source.UserAgent, SourceIP: address(c.Source.IP)},
		},
	}
	if host, _, ok := strings.Cut(v.Host, ":"); ok {
		e.RequestContext.DomainName = host
	}
	signed := u.AuthType == string(lambda.FunctionUrlAuthTypeAwsIam)
	for k, values := range v.Header {
		switch k = strings.ToLower(k); {
		case k == "cookie":
			for _, line := range values {
				for one := range strings.SplitSeq(line, ";") {
					e.Cookies = append(e.Cookies, strings.TrimSpace(one))
				}
			}
		case signed && (k == "authorization" || k == "x-amz-security-token"): // which are none of the function's business
		default:
			e.Headers[k] = strings.Join(values, ",")
		}
	}
	e.Headers["x-forwarded-for"], e.Headers["x-forwarded-proto"] = e.RequestContext.HTTP.SourceIP, "http"
	if c.Source.TLS != nil {
		e.Headers["x-forwarded-proto"] = "https"
	}
	if query, err := url.ParseQuery(v.RawQuery); err == nil && len(query) > 0 {
		e.Query = make(map[string]string)
		for k, values := range query {
			e.Query[k] = strings.Join(values, ",")
		}
	}
	if signed {
		e.RequestContext.AccountID = c.Caller.Account
		e.RequestContext.Authorizer = &httpAuthorizer{httpIdentity{
			AccessKey: c.Caller.AccessKeyID, AccountID: c.Caller.Account, CallerID: c.Caller.ID, UserARN: c.Caller.ARN, UserID: c.Caller.ID,
		}}
	}
	if e.Base64 = len(v.Body) > 0 && !isText(e.Headers["content-type"]); e.Base64 {
		e.Body = base64.StdEncoding.EncodeToString(v.Body)
	} else {
		e.Body = string(v.Body)
	}
	return plainJSON(e)
}

func address(ip netip.Addr) string {
	if !ip.IsValid() {
		return ""
	}
	return ip.String()
}

// isText reports whether a body of a content type comes to functions as it is.
func isText(contentType string) bool {
	t, _, _ := strings.Cut(contentType, ";")
	t = strings.ToLower(strings.TrimSpace(t))
	return strings.HasPrefix(t, "text/") || t == "application/json" || t == "application/javascript" || t == "application/xml" || strings.HasSuffix(t, "+json") || strings.HasSuffix(t, "+xml")
}

// answer runs the function and makes an answer of what it returns.
func (s *Service) answer(ctx context.Context, o *order, u *urlRecord) (*door.Reply, error) {
	if u.Mode == string(lambda.InvokeModeResponseStream) {
		f := s.flow(ctx, o)
		if f.body != nil {
			return f.reply()
		}
		x := <-f.end
		return replyOf(x.result), x.err
	}
	r, err := s.run(ctx, o)
	if err != nil {
		return nil, err
	}
	return replyOf(r), nil
}

// badGateway is the answer of a function that failed. What went wrong stands in its log.
func badGateway() *door.Reply {
	return &door.Reply{Status: 502, Header: map[string][]string{"Content-Type": {"text/plain"}}, Body: []byte("Internal Server Error")}
}

// httpResponse is what a function returns that wants to say more than a body.
type httpResponse struct {
	StatusCode *int           `json:"statusCode"`
	Headers    map[string]any `json:"headers"`
	Cookies    []string       `json:"cookies"`
	Body       *string        `json:"body"`
	Base64     bool           `json:"isBase64Encoded"`
}

// replyOf makes an answer of a result: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-response-payload
func replyOf(r *result) *door.Reply {
	if r == nil || r.Failure != "" {
		return badGateway()
	}
	var said httpResponse
	text := bytes.TrimSpace(r.Payload)
	if !bytes.HasPrefix(text, []byte("{")) || json.Unmarshal(text, &said) != nil || said.StatusCode == nil {
		var body string
		if json.Unmarshal(text, &body) == nil { // a string is told without its quotes
			text = []byte(body)
		}
		return &door.Reply{Status: 200, Header: map[string][]string{"Content-Type": {"application/json"}}, Body: text}
	}
	reply := said.reply()
	if said.Body != nil {
		reply.Body = []byte(*said.Body)
	}
	if said.Base64 {
		body, err := base64.StdEncoding.DecodeString(optional.Value(said.Body))
		if err != nil {
			return badGateway()
		}
		reply.Body = body
	}
	return reply
}

// reply is the answer but for its body.
func (h *httpResponse) reply() *door.Reply {
	r := &door.Reply{Status: 200, Header: map[string][]string{}}
	if h.StatusCode != nil {
		r.Status = *h.StatusCode
	}
	if r.Status < 200 || r.Status > 599 {
		return badGateway()
	}
	for name, v := range h.Headers {
		if name = canonical(name); name != "" {
			r.Header[name] = []string{headerValue(v)}
		}
	}
	for _, cookie := range h.Cookies {
		r.Header["Set-Cookie"] = append(r.Header["Set-Cookie"], headerValue(cookie))
	}
	if r.Header["Content-Type"] == nil {
		r.Header["Content-Type"] = []string{"application/json"}
	}
	return r
}

// canonical is a header's name as HTTP spells it, or "" for one that a function must not set, or that is no name.
func canonical(name string) string {
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!#$%&'*+^`|~") != "" {
		return ""
	}
	parts := strings.Split(strings.ToLower(name), "-")
	for i, p := range parts {
		if p != "" {
			parts[i] = strings.ToUpper(p[:1]) + p[1:]
		}
	}
	name = strings.Join(parts, "-")
	switch name {
	case "Connection", "Content-Length", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return ""
	}
	return name
}

// headerValue is a value that ends where it should.
func headerValue(v any) string {
	text, ok := v.(string)
	if !ok {
		b, err := json.Marshal(v)
		if err != nil {
			return ""
		}
		text = string(b)
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
}

// A function that streams may say status and headers first, as JSON, and then eight zero bytes.
const (
	integrated = "application/vnd.awslambda.http-integration-response"
	maxPrelude = 64 << 10
)

var preludeEnd = make([]byte, 8)

// reply is the answer of a function that has begun to respond.
func (f *flowing) reply() (*door.Reply, error) {
	rest := io.NopCloser(f.body)
	if closer, ok := f.body.(io.ReadCloser); ok {
		rest = closer
	}
	if f.contentType != integrated {
		contentType := f.contentType
		if contentType == "" {
			contentType = "application/octet-stream"
		}
		return &door.Reply{Status: 200, Header: map[string][]string{"Content-Type": {headerValue(contentType)}}, Rest: rest}, nil
	}
	var head []byte
	buf := make([]byte, 4<<10)
	for {
		n, err := f.body.Read(buf)
		head = append(head, buf[:n]...)
		if prelude, body, ok := bytes.Cut(head, preludeEnd); ok {
			var said httpResponse
			if json.Unmarshal(prelude, &said) != nil {
				break
			}
			reply := said.reply()
			reply.Body, reply.Rest = body, rest
			return reply, nil
		}
		if err != nil || len(head) > maxPrelude {
			break
		}
	}
	_ = rest.Close()
	return badGateway(), nil
}

// corsPreflight answers a browser that asks what a page of another origin may do, if the URL has a word on that.
func corsPreflight(cors *lambda.Cors, v *door.Visit) *door.Reply {
	if cors == nil || v.Method != "OPTIONS" || first(v.Header["Origin"]) == "" || first(v.Header["Access-Control-Request-Method"]) == "" {
		return nil
	}
	r := &door.Reply{Status: 200, Header: map[string][]string{}}
	if !allowOrigin(cors, v, r.Header) {
		return r
	}
	list := func(name string, values []string) {
		if len(values) > 0 {
			r.Header[name] = []string{headerValue(strings.Join(values, ","))}
		}
	}
	list("Access-Control-Allow-Methods", cors.AllowMethods)
	list("Access-Control-Allow-Headers", cors.AllowHeaders)
	if cors.MaxAge != nil {
		r.Header["Access-Control-Max-Age"] = []string{strconv.Itoa(int(*cors.MaxAge))}
	}
	return r
}

// allowOrigin says whether a page of another origin may read an answer. What the URL says wins over what the function says.
func allowOrigin(cors *lambda.Cors, v *door.Visit, header map[string][]string) bool {
	origin := first(v.Header["Origin"])
	if cors == nil || origin == "" {
		return false
	}
	for name := range header {
		if strings.HasPrefix(name, "Access-Control-") {
			delete(header, name)
		}
	}
	if !slices.Contains(cors.AllowOrigins, "*") && !slices.Contains(cors.AllowOrigins, origin) {
		return false
	}
	header["Access-Control-Allow-Origin"], header["Vary"] = []string{headerValue(origin)}, append(header["Vary"], "Origin")
	if optional.Value(cors.AllowCredentials) {
		header["Access-Control-Allow-Credentials"] = []string{"true"}
	}
	if len(cors.ExposeHeaders) > 0 {
		header["Access-Control-Expose-Headers"] = []string{headerValue(strings.Join(cors.ExposeHeaders, ","))}
	}
	return true
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// countVisit counts a request to a URL.
func (s *Service) countVisit(o *order, r *door.Reply, err error) {
	status := 500
	if _, busy := errors.AsType[*lambda.TooManyRequestsException](err); busy {
		status = 429
	} else if err == nil {
		status = r.Status
	}
	s.measure(o, "UrlRequestCount", 1)
	switch {
	case status >= 500:
		s.measure(o, "Url5xxCount", 1)
	case status >= 400:
		s.measure(o, "Url4xxCount", 1)
	}
}

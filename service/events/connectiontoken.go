package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/holdfast-cloud/holdfast/api/events"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/outbound"
)

const (
	// authorizeLane is the kind of the lanes in which connections wait for their first token.
	authorizeLane = "authorize"
	// maxAuthorize is how often a token is asked for until the connection is given up.
	maxAuthorize = 5
	// invokeTime is how long a server may take: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html
	invokeTime = 5 * time.Second
	// refreshBefore is how long before its end a token is replaced.
	refreshBefore = time.Minute
)

// authorizing is the payload of a parcel in an authorize lane.
type authorizing struct {
	Name       string
	Generation int
}

// authorizeLater has a token fetched for a connection.
func (s *Service) authorizeLater(c *call.Call, n *connectionRecord) error {
	payload, err := json.Marshal(authorizing{n.Name, n.Generation})
	if err != nil {
		return err
	}
	return c.Post(&delivery.Parcel{
		Lane: delivery.Lane{Account: n.Account, Region: n.Region, Kind: authorizeLane, Subject: n.ID}, Payload: payload, MaxAttempts: maxAuthorize,
	})
}

// authorizer is the Carrier of the authorize lanes.
type authorizer struct{ s *Service }

// find is the connection that a parcel is about, or nil if it has become another one.
func (a authorizer) find(c *call.Call, p *delivery.Parcel) (*connectionRecord, error) {
	var x authorizing
	if err := json.Unmarshal(p.Payload, &x); err != nil {
		return nil, delivery.Permanent(err)
	}
	n, err := connectionTable.In(p.Account, p.Region).Get(c.Tx(), x.Name)
	if missing(err) || err == nil && (n.ID != p.Subject || n.Generation != x.Generation) {
		return nil, nil
	}
	return n, err
}

// Deliver implements door.Carrier.
func (a authorizer) Deliver(c *call.Call, p *delivery.Parcel) (func(context.Context) error, error) {
	n, err := a.find(c, p)
	if n == nil || err != nil {
		return nil, err
	}
	secrets, lost, err := a.s.unlock(c, n)
	if lost != nil || err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		_, err := a.s.fetchToken(ctx, n, secrets)
		return err
	}, nil
}

// GiveUp implements door.Carrier: nobody is sent anything with the connection.
func (a authorizer) GiveUp(c *call.Call, p *delivery.Parcel, cause error) error {
	n, err := a.find(c, p)
	if n == nil || err != nil {
		return err
	}
	n.State, n.Reason = events.ConnectionStateDeauthorized, shorten(cause.Error())
	return connectionTable.In(n.Account, n.Region).Put(c.Tx(), n)
}

// shorten makes a text the reason of a state, which the model bounds.
func shorten(text string) string { return text[:min(len(text), 512)] }

// granted is what an authorization server answers with: RFC 6749, section 5.1.
type granted struct {
	AccessToken string      `json:"access_token"`
	ExpiresIn   json.Number `json:"expires_in"`
}

// fetchToken asks the connection's authorization server for a token, and puts it into the connection.
func (s *Service) fetchToken(ctx context.Context, n *connectionRecord, secrets *connectionSecrets) (string, error) {
	request, err := secrets.tokenRequest()
	if err != nil {
		return "", ofOutbound(err)
	}
	bounded, cancel := context.WithTimeout(ctx, invokeTime)
	defer cancel()
	answer, err := s.cfg.Outbound.Do(bounded, request)
	if err != nil {
		return "", authorizationFailed(ofOutbound(err))
	}
	if answer.Status < 200 || answer.Status > 299 {
		return "", authorizationFailed(fmt.Errorf("it answers with status %d", answer.Status))
	}
	var g granted
	if answer.Truncated || json.Unmarshal(answer.Body, &g) != nil || g.AccessToken == "" || !validHeader(g.AccessToken) {
		return "", authorizationFailed(errors.New("it does not answer with an access token"))
	}
	return g.AccessToken, s.cfg.Perform(ctx, "events", n.Account, n.Region, func(c *call.Call) error { return s.haveToken(c, n, &g) })
}

// authorizationFailed is the error of not getting a token.
func authorizationFailed(err error) error {
	if f, ok := errors.AsType[*failure](err); ok {
		return &failure{code: f.code, message: "Authorization: " + f.message, permanent: f.permanent}
	}
	return &failure{code: "AUTHORIZATION_FAILURE", message: "The authorization server is of no use: " + err.Error() + "."}
}

// haveToken puts a token into a connection, if it is the one still that the token is for.
func (s *Service) haveToken(c *call.Call, of *connectionRecord, g *granted) error {
	n, err := connectionTable.In(of.Account, of.Region).Get(c.Tx(), of.Name)
	if missing(err) || err == nil && (n.ID != of.ID || n.Generation != of.Generation) {
		return nil
	}
	if err != nil {
		return err
	}
	if n.Token, err = s.box.Wrap(n.place()+"/token", []byte(g.AccessToken)); err != nil {
		return err
	}
	n.TokenUntil = time.Time{}
	if seconds, err := g.ExpiresIn.Int64(); err == nil && seconds > 0 && seconds < int64(100*365*24*time.Hour/time.Second) {
		n.TokenUntil = c.Time.Add(time.Duration(seconds)*time.Second - refreshBefore).UTC()
	}
	n.State, n.Reason, n.Authorized = events.ConnectionStateAuthorized, "", c.Time.UTC()
	return connectionTable.In(n.Account, n.Region).Put(c.Tx(), n)
}

// token is the connection's token if it can be used at a time, or "".
func (s *Service) token(n *connectionRecord, now time.Time) (string, error) {
	if n.Token == nil || !n.TokenUntil.IsZero() && !now.Before(n.TokenUntil) {
		return "", nil
	}
	text, err := s.box.Unwrap(n.place()+"/token", n.Token)
	return string(text), err
}

// forgetToken takes a token from a connection that is not taken any more.
func (s *Service) forgetToken(ctx context.Context, of *connectionRecord) error {
	return s.cfg.Perform(ctx, "events", of.Account, of.Region, func(c *call.Call) error {
		n, err := connectionTable.In(of.Account, of.Region).Get(c.Tx(), of.Name)
		if missing(err) || err == nil && (n.ID != of.ID || n.Generation != of.Generation || string(n.Token) != string(of.Token)) {
			return nil
		}
		if err != nil {
			return err
		}
		n.Token, n.TokenUntil = nil, time.Time{}
		return connectionTable.In(n.Account, n.Region).Put(c.Tx(), n)
	})
}

// tokenRequest asks for a token with the client's credentials: RFC 6749, section 4.4.2.
func (x *connectionSecrets) tokenRequest() (*outbound.Request, error) {
	u, err := url.Parse(x.AuthorizationEndpoint)
	if err != nil {
		return nil, outbound.ErrURL
	}
	query, form := u.Query(), url.Values{}
	r := &outbound.Request{Method: string(x.AuthorizationMethod), Header: map[string]string{}}
	fields := form
	if x.AuthorizationMethod == events.ConnectionOAuthHttpMethodGet {
		fields = query
	}
	fields.Set("grant_type", "client_credentials")
	fields.Set("client_id", x.ClientID)
	fields.Set("client_secret", x.ClientSecret)
	if p := x.AuthorizationRequest; p != nil {
		for _, h := range p.Header {
			r.Header[h.Key] = h.Value
		}
		for _, q := range p.Query {
			query.Set(q.Key, q.Value)
		}
		for _, b := range p.Body {
			fields.Set(b.Key, b.Value)
		}
	}
	u.RawQuery = query.Encode()
	r.URL = u.String()
	if len(form) > 0 {
		r.Body = []byte(form.Encode())
		r.Header["Content-Type"] = "application/x-www-form-urlencoded; charset=UTF-8"
	}
	r.Header["User-Agent"] = userAgent
	return r, nil
}

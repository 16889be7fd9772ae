package events

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/holdfast-cloud/holdfast/api/events"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/outbound"
	"github.com/holdfast-cloud/holdfast/store"
)

// Stored as (see store.Table): events / account / region / connection / name → connectionRecord.
var connectionTable = store.NewTable("events", "connection", func(n *connectionRecord) store.Key { return store.Key{n.Name} })

// connectionRecord is a connection: how requests to API destinations say who sends them.
type connectionRecord struct {
	Name, Account, Region string
	ID                    string // in its ARN
	Description           string `json:",omitempty"`
	Created, Modified     time.Time
	Authorized            time.Time `json:",omitzero"` // last
	Type                  events.ConnectionAuthorizationType
	State                 events.ConnectionState
	Reason                string    `json:",omitempty"` // of the state
	Sealed                []byte    `json:",omitempty"` // connectionSecrets; none once it was deauthorized
	Token                 []byte    `json:",omitempty"` // access token of OAuth, sealed
	TokenUntil            time.Time `json:",omitzero"`  // when it has to be replaced; zero is when it is not taken any more
	Generation            int       // of what Sealed holds: a token is for one alone
}

// connectionSecrets is what a connection knows, and tells only in part.
type connectionSecrets struct {
	Username, Password               string `json:",omitempty"` // BASIC
	KeyName, KeyValue                string `json:",omitempty"` // API_KEY
	ClientID, ClientSecret           string `json:",omitempty"` // OAUTH_CLIENT_CREDENTIALS
	AuthorizationEndpoint            string `json:",omitempty"`
	AuthorizationMethod              events.ConnectionOAuthHttpMethod
	AuthorizationRequest, Invocation *connectionParameters `json:",omitempty"` // what requests for tokens, and to API destinations, get beside
}

// connectionParameters are added to requests.
type connectionParameters struct {
	Header, Query, Body []connectionParameter `json:",omitempty"`
}

type connectionParameter struct {
	Key, Value string
	Secret     bool `json:",omitempty"`
}

const (
	connectionType = "AWS::Events::Connection"
	// maxConnections is how many connections an account may have in a region: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
	maxConnections = 3000
)

// connectionARN is what permission is asked for, which does not know the connection's ID.
func connectionARN(s call.Scope, name string) string { return s.ARN("events", "connection/"+name) }

func (n *connectionRecord) arn(partition string) string {
	return connectionARN(call.Scope{Partition: partition, Account: n.Account, Region: n.Region}, n.Name+"/"+n.ID)
}

func (n *connectionRecord) authorized() *time.Time {
	if n.Authorized.IsZero() {
		return nil
	}
	return &n.Authorized
}

// place is what a connection's secrets are bound to.
func (n *connectionRecord) place() string {
	return "connection/" + n.Account + "/" + n.Region + "/" + n.ID
}

// unseal opens the connection's secrets.
func (s *Service) unseal(n *connectionRecord) (*connectionSecrets, error) {
	secrets := new(connectionSecrets)
	if n.Sealed == nil {
		return secrets, nil
	}
	text, err := s.box.Unwrap(n.place(), n.Sealed)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	if json.Unmarshal(text, secrets) != nil {
		return nil, errors.New("the secrets of a connection do not decode") // without a word of them
	}
	return secrets, nil
}

// establish gives a connection its secrets. One with OAuth is authorized when there is a token.
func (s *Service) establish(c *call.Call, n *connectionRecord, secrets *connectionSecrets) error {
	text, err := json.Marshal(secrets)
	if err != nil {
		return err
	}
	defer clear(text)
	if n.Sealed, err = s.box.Wrap(n.place(), text); err != nil {
		return err
	}
	n.Token, n.TokenUntil, n.Reason, n.Authorized = nil, time.Time{}, "", c.Time.UTC()
	n.Generation++
	if n.Type != events.ConnectionAuthorizationTypeOauthClientCredentials {
		n.State = events.ConnectionStateAuthorized
		return nil
	}
	n.State = events.ConnectionStateAuthorizing
	return s.authorizeLater(c, n)
}

// CreateConnection makes a connection.
func (s *Service) CreateConnection(c *call.Call, in *events.CreateConnectionRequest) (*events.CreateConnectionResponse, error) {
	n := &connectionRecord{
		Name: *in.Name, Account: c.Scope.Account, Region: c.Scope.Region, ID: c.UUID(), Description: deref(in.Description), Created: c.Time.UTC(), Modified: c.Time.UTC(),
		Type: in.AuthorizationType,
	}
	if err := c.Authorize(&call.Resource{ARN: connectionARN(c.Scope, n.Name), Type: connectionType}); err != nil {
		return nil, err
	}
	if in.InvocationConnectivityParameters != nil || in.AuthParameters.ConnectivityParameters != nil {
		return nil, notDelivered("ConnectivityParameters")
	}
	if in.KmsKeyIdentifier != nil {
		return nil, notDelivered("KmsKeyIdentifier of connections")
	}
	secrets := new(connectionSecrets)
	secrets.take(in.AuthParameters)
	if err := secrets.check(n.Type); err != nil {
		return nil, err
	}
	rows := connectionTable.In(n.Account, n.Region)
	count, err := rows.Count(c.Tx(), store.Query{Limit: maxConnections})
	if err != nil {
		return nil, err
	}
	if count == maxConnections {
		return nil, limitExceeded()
	}
	if err := s.establish(c, n, secrets); err != nil {
		return nil, err
	}
	err = rows.Insert(c.Tx(), n)
	if errors.Is(err, store.ErrExists) {
		return nil, &events.ResourceAlreadyExistsException{Message: "Connection " + n.Name + " already exists."}
	}
	if err != nil {
		return nil, err
	}
	return &events.CreateConnectionResponse{ConnectionArn: new(n.arn(c.Scope.Partition)), ConnectionState: n.State, CreationTime: &n.Created, LastModifiedTime: &n.Modified}, nil
}

// take sets what the parameters of a request say.
func (x *connectionSecrets) take(in *events.CreateConnectionAuthRequestParameters) {
	if b := in.BasicAuthParameters; b != nil {
		x.Username, x.Password = deref(b.Username), deref(b.Password)
	}
	if k := in.ApiKeyAuthParameters; k != nil {
		x.KeyName, x.KeyValue = deref(k.ApiKeyName), deref(k.ApiKeyValue)
	}
	if o := in.OAuthParameters; o != nil {
		x.AuthorizationEndpoint, x.AuthorizationMethod = deref(o.AuthorizationEndpoint), o.HttpMethod
		if o.ClientParameters != nil {
			x.ClientID, x.ClientSecret = deref(o.ClientParameters.ClientID), deref(o.ClientParameters.ClientSecret)
		}
		if o.OAuthHttpParameters != nil {
			x.AuthorizationRequest = parametersOf(o.OAuthHttpParameters)
		}
	}
	if in.InvocationHttpParameters != nil {
		x.Invocation = parametersOf(in.InvocationHttpParameters)
	}
}

// change sets what the parameters of a request say, and leaves the rest.
func (x *connectionSecrets) change(in *events.UpdateConnectionAuthRequestParameters) {
	set := func(to *string, from *string) {
		if from != nil {
			*to = *from
		}
	}
	if b := in.BasicAuthParameters; b != nil {
		set(&x.Username, b.Username)
		set(&x.Password, b.Password)
	}
	if k := in.ApiKeyAuthParameters; k != nil {
		set(&x.KeyName, k.ApiKeyName)
		set(&x.KeyValue, k.ApiKeyValue)
	}
	if o := in.OAuthParameters; o != nil {
		set(&x.AuthorizationEndpoint, o.AuthorizationEndpoint)
		if o.HttpMethod != "" {
			x.AuthorizationMethod = o.HttpMethod
		}
		if o.ClientParameters != nil {
			set(&x.ClientID, o.ClientParameters.ClientID)
			set(&x.ClientSecret, o.ClientParameters.ClientSecret)
		}
		if o.OAuthHttpParameters != nil {
			x.AuthorizationRequest = parametersOf(o.OAuthHttpParameters)
		}
	}
	if in.InvocationHttpParameters != nil {
		x.Invocation = parametersOf(in.InvocationHttpParameters)
	}
}

// check refuses what is not enough for a type of authorization, and forgets what belongs to others.
func (x *connectionSecrets) check(kind events.ConnectionAuthorizationType) error {
	switch kind {
	case events.ConnectionAuthorizationTypeBasic:
		if x.Username == "" || x.Password == "" {
			return badParameter("AuthParameters", "BasicAuthParameters are required for authorization type BASIC.")
		}
		*x = connectionSecrets{Username: x.Username, Password: x.Password, Invocation: x.Invocation}
	case events.ConnectionAuthorizationTypeApiKey:
		if x.KeyName == "" || x.KeyValue == "" {
			return badParameter("AuthParameters", "ApiKeyAuthParameters are required for authorization type API_KEY.")
		}
		*x = connectionSecrets{KeyName: x.KeyName, KeyValue: x.KeyValue, Invocation: x.Invocation}
	case events.ConnectionAuthorizationTypeOauthClientCredentials:
		if x.ClientID == "" || x.ClientSecret == "" || x.AuthorizationEndpoint == "" || x.AuthorizationMethod == "" {
			return badParameter("AuthParameters", "OAuthParameters are required for authorization type OAUTH_CLIENT_CREDENTIALS.")
		}
		if outbound.CheckURL(x.AuthorizationEndpoint) != nil {
			return badParameter("AuthorizationEndpoint", "Must be a valid URL.")
		}
		x.Username, x.Password, x.KeyName, x.KeyValue = "", "", "", ""
	}
	return nil
}

func parametersOf(in *events.ConnectionHttpParameters) *connectionParameters {
	p := &connectionParameters{}
	for _, h := range in.HeaderParameters {
		p.Header = append(p.Header, connectionParameter{deref(h.Key), deref(h.Value), deref(h.IsValueSecret)})
	}
	for _, q := range in.QueryStringParameters {
		p.Query = append(p.Query, connectionParameter{deref(q.Key), deref(q.Value), deref(q.IsValueSecret)})
	}
	for _, b := range in.BodyParameters {
		p.Body = append(p.Body, connectionParameter{deref(b.Key), deref(b.Value), deref(b.IsValueSecret)})
	}
	return p
}

// show is the parameters without the values that are secret.
func (p *connectionParameters) show() *events.ConnectionHttpParameters {
	if p == nil {
		return nil
	}
	out := &events.ConnectionHttpParameters{}
	value := func(x connectionParameter) *string {
		if x.Secret {
			return nil
		}
		return &x.Value
	}
	for _, x := range p.Header {
		out.HeaderParameters = append(out.HeaderParameters, events.ConnectionHeaderParameter{Key: &x.Key, Value: value(x), IsValueSecret: &x.Secret})
	}
	for _, x := range p.Query {
		out.QueryStringParameters = append(out.QueryStringParameters, events.ConnectionQueryStringParameter{Key: &x.Key, Value: value(x), IsValueSecret: &x.Secret})
	}
	for _, x := range p.Body {
		out.BodyParameters = append(out.BodyParameters, events.ConnectionBodyParameter{Key: &x.Key, Value: value(x), IsValueSecret: &x.Secret})
	}
	return out
}

// show is what is told of the secrets.
func (x *connectionSecrets) show() *events.ConnectionAuthResponseParameters {
	out := &events.ConnectionAuthResponseParameters{InvocationHttpParameters: x.Invocation.show()}
	switch {
	case x.Username != "":
		out.BasicAuthParameters = &events.ConnectionBasicAuthResponseParameters{Username: &x.Username}
	case x.KeyName != "":
		out.ApiKeyAuthParameters = &events.ConnectionApiKeyAuthResponseParameters{ApiKeyName: &x.KeyName}
	case x.ClientID != "":
		out.OAuthParameters = &events.ConnectionOAuthResponseParameters{
			ClientParameters:      &events.ConnectionOAuthClientResponseParameters{ClientID: &x.ClientID},
			AuthorizationEndpoint: &x.AuthorizationEndpoint, HttpMethod: x.AuthorizationMethod, OAuthHttpParameters: x.AuthorizationRequest.show(),
		}
	}
	return out
}

// connection asks for the operation's own action on a connection, and finds it. verb is what the operation does, for its error.
func (s *Service) connection(c *call.Call, name, verb string) (*connectionRecord, error) {
	if err := c.Authorize(&call.Resource{ARN: connectionARN(c.Scope, name), Type: connectionType}); err != nil {
		return nil, err
	}
	n, err := connectionTable.In(c.Scope.Account, c.Scope.Region).Get(c.Tx(), name)
	if missing(err) {
		return nil, &events.ResourceNotFoundException{Message: "Failed to " + verb + " the connection(s). Connection '" + name + "' does not exist."}
	}
	return n, err
}

// UpdateConnection changes what is given of a connection.
func (s *Service) UpdateConnection(c *call.Call, in *events.UpdateConnectionRequest) (*events.UpdateConnectionResponse, error) {
	n, err := s.connection(c, *in.Name, "update")
	if err != nil {
		return nil, err
	}
	if in.InvocationConnectivityParameters != nil || in.AuthParameters != nil && in.AuthParameters.ConnectivityParameters != nil {
		return nil, notDelivered("ConnectivityParameters")
	}
	if in.KmsKeyIdentifier != nil {
		return nil, notDelivered("KmsKeyIdentifier of connections")
	}
	if in.Description != nil {
		n.Description = *in.Description
	}
	n.Modified = c.Time.UTC()
	if in.AuthParameters != nil || in.AuthorizationType != "" && in.AuthorizationType != n.Type {
		secrets, err := s.unseal(n)
		if err != nil {
			return nil, err
		}
		if in.AuthorizationType != "" {
			n.Type = in.AuthorizationType
		}
		if in.AuthParameters != nil {
			secrets.change(in.AuthParameters)
		}
		if err := secrets.check(n.Type); err != nil {
			return nil, err
		}
		if err := s.establish(c, n, secrets); err != nil {
			return nil, err
		}
	}
	return &events.UpdateConnectionResponse{
		ConnectionArn: new(n.arn(c.Scope.Partition)), ConnectionState: n.State, CreationTime: &n.Created, LastModifiedTime: &n.Modified, LastAuthorizedTime: n.authorized(),
	}, connectionTable.In(n.Account, n.Region).Put(c.Tx(), n)
}

// DescribeConnection tells of a connection what is not secret.
func (s *Service) DescribeConnection(c *call.Call, in *events.DescribeConnectionRequest) (*events.DescribeConnectionResponse, error) {
	n, err := s.connection(c, *in.Name, "describe")
	if err != nil {
		return nil, err
	}
	secrets, err := s.unseal(n)
	if err != nil {
		return nil, err
	}
	out := &events.DescribeConnectionResponse{
		ConnectionArn: new(n.arn(c.Scope.Partition)), Name: &n.Name, Description: some(n.Description), ConnectionState: n.State, StateReason: some(n.Reason),
		AuthorizationType: n.Type, CreationTime: &n.Created, LastModifiedTime: &n.Modified, LastAuthorizedTime: n.authorized(),
	}
	if n.Sealed != nil {
		out.AuthParameters = secrets.show()
	}
	return out, nil
}

// ListConnections lists the connections of the account and region by name.
func (s *Service) ListConnections(c *call.Call, in *events.ListConnectionsRequest) (*events.ListConnectionsResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	keep := func(n *connectionRecord) bool { return in.ConnectionState == "" || in.ConnectionState == n.State }
	page, next, err := connectionTable.In(c.Scope.Account, c.Scope.Region).Page(c.Tx(), byName(in.NamePrefix, in.Limit), deref(in.NextToken), string(in.ConnectionState), keep)
	if err != nil {
		return nil, badToken(err)
	}
	out := &events.ListConnectionsResponse{Connections: []events.Connection{}, NextToken: some(next)}
	for _, n := range page {
		out.Connections = append(out.Connections, events.Connection{
			ConnectionArn: new(n.arn(c.Scope.Partition)), Name: &n.Name, ConnectionState: n.State, StateReason: some(n.Reason), AuthorizationType: n.Type,
			CreationTime: &n.Created, LastModifiedTime: &n.Modified, LastAuthorizedTime: n.authorized(),
		})
	}
	return out, nil
}

// DeauthorizeConnection forgets the secrets of a connection.
func (s *Service) DeauthorizeConnection(c *call.Call, in *events.DeauthorizeConnectionRequest) (*events.DeauthorizeConnectionResponse, error) {
	n, err := s.connection(c, *in.Name, "deauthorize")
	if err != nil {
		return nil, err
	}
	n.Sealed, n.Token, n.TokenUntil, n.State, n.Reason, n.Modified = nil, nil, time.Time{}, events.ConnectionStateDeauthorized, "", c.Time.UTC()
	n.Generation++
	return &events.DeauthorizeConnectionResponse{
		ConnectionArn: new(n.arn(c.Scope.Partition)), ConnectionState: events.ConnectionStateDeauthorizing, CreationTime: &n.Created, LastModifiedTime: &n.Modified,
		LastAuthorizedTime: n.authorized(),
	}, connectionTable.In(n.Account, n.Region).Put(c.Tx(), n)
}

// DeleteConnection removes a connection. API destinations that have it stay, and are inactive.
func (s *Service) DeleteConnection(c *call.Call, in *events.DeleteConnectionRequest) (*events.DeleteConnectionResponse, error) {
	n, err := s.connection(c, *in.Name, "delete")
	if err != nil {
		return nil, err
	}
	return &events.DeleteConnectionResponse{
		ConnectionArn: new(n.arn(c.Scope.Partition)), ConnectionState: events.ConnectionStateDeleting, CreationTime: &n.Created, LastModifiedTime: &n.Modified,
		LastAuthorizedTime: n.authorized(),
	}, connectionTable.In(n.Account, n.Region).Delete(c.Tx(), n.Name)
}

// findConnection finds a connection of an account and region by its ARN, or returns nil.
func findConnection(r store.Reader, s call.Scope, connectionARN string) (*connectionRecord, error) {
	name, ok := secondName(connectionARN)
	if !ok {
		return nil, nil
	}
	n, err := connectionTable.In(s.Account, s.Region).Get(r, name)
	if missing(err) || err == nil && n.arn(s.Partition) != connectionARN {
		return nil, nil
	}
	return n, err
}

// hidden are headers that requests to API destinations have from EventBridge alone:
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html#eb-api-destination-target-headers
var hidden = []string{
	"a-im", "accept-charset", "accept-datetime", "accept-encoding", "cache-control", "connection", "content-encoding", "content-length", "content-md5", "date", "expect", "forwarded",
	"from", "host", "http2-settings", "if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "max-forwards", "origin", "pragma", "proxy-authorization",
	"range", "referer", "te", "trailer", "transfer-encoding", "user-agent", "upgrade", "via", "warning",
}

func hides(name string) bool { return slices.Contains(hidden, name) }

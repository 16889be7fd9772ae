package events

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/holdfast-cloud/holdfast/api/events"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
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
	Secret                string    `json:",omitempty"` // ARN of the secret with the connection's credentials; none once it was deauthorized
	Key                   string    `json:",omitempty"` // KmsKeyIdentifier as it was given; "" is the key of Secrets Manager
	Sealed                []byte    `json:",omitempty"` // connectionSecrets as they may be told; without a secret, see olderSecrets
	Token                 []byte    `json:",omitempty"` // access token of OAuth, sealed
	TokenUntil            time.Time `json:",omitzero"`  // when it has to be replaced; zero is when it is not taken any more
	Generation            int       // of the credentials: a token is for one alone
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

// establish gives a connection its credentials. One with OAuth is authorized when there is a token.
func (s *Service) establish(c *call.Call, n *connectionRecord, secrets *connectionSecrets, rekeyed bool) error {
	if err := s.deposit(c, n, secrets, rekeyed); err != nil {
		return err
	}
	text, err := json.Marshal(secrets.public())
	if err != nil {
		return err
	}
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
		Name: *in.Name, Account: c.Scope.Account, Region: c.Scope.Region, ID: c.UUID(), Description: optional.Value(in.Description), Created: c.Time.UTC(), Modified: c.Time.UTC(),
		Type: in.AuthorizationType, Key: optional.Value(in.KmsKeyIdentifier),
	}
	if err := c.Authorize(&call.Resource{ARN: connectionARN(c.Scope, n.Name), Type: connectionType}); err != nil {
		return nil, err
	}
	if in.InvocationConnectivityParameters != nil || in.AuthParameters.ConnectivityParameters != nil {
		return nil, notDelivered("ConnectivityParameters")
	}
	secrets := new(connectionSecrets)
	secrets.take(in.AuthParameters)
	if err := secrets.check(n.Type); err != nil {
		return nil, err
	}
	rows := connectionTable.In(n.Account, n.Region)
	if _, err := rows.Get(c.Tx(), n.Name); err == nil {
		return nil, &events.ResourceAlreadyExistsException{Message: "Connection " + n.Name + " already exists."}
	} else if !missing(err) {
		return nil, err
	}
	count, err := rows.Count(c.Tx(), store.Query{Limit: maxConnections})
	if err != nil {
		return nil, err
	}
	if count == maxConnections {
		return nil, limitExceeded()
	}
	if err := s.establish(c, n, secrets, false); err != nil {
		return nil, err
	}
	return &events.CreateConnectionResponse{
		ConnectionArn: new(n.arn(c.Scope.Partition)), ConnectionState: n.State, CreationTime: &n.Created, LastModifiedTime: &n.Modified,
	}, rows.Put(c.Tx(), n)
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
	if in.Description != nil {
		n.Description = *in.Description
	}
	n.Modified = c.Time.UTC()
	if err := s.reestablish(c, n, in); err != nil {
		return nil, err
	}
	return &events.UpdateConnectionResponse{
		ConnectionArn: new(n.arn(c.Scope.Partition)), ConnectionState: n.State, CreationTime: &n.Created, LastModifiedTime: &n.Modified, LastAuthorizedTime: n.authorized(),
	}, connectionTable.In(n.Account, n.Region).Put(c.Tx(), n)
}

// reestablish gives a connection the credentials, and their key, that a request changes.
func (s *Service) reestablish(c *call.Call, n *connectionRecord, in *events.UpdateConnectionRequest) error {
	older, rekeyed := n.Secret == "" && n.Sealed != nil, false
	if key := in.KmsKeyIdentifier; key != nil {
		rekeyed = n.Secret != "" && *key != n.Key
		n.Key = *key
	}
	retyped := in.AuthorizationType != "" && in.AuthorizationType != n.Type
	if in.AuthParameters == nil && !retyped && !rekeyed && !older {
		return nil
	}
	secrets, err := s.known(c, n)
	if err != nil {
		return err
	}
	if retyped {
		n.Type = in.AuthorizationType
	}
	if in.AuthParameters != nil {
		secrets.change(in.AuthParameters)
	}
	if err := secrets.check(n.Type); err != nil {
		return err
	}
	return s.establish(c, n, secrets, rekeyed)
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
		ConnectionArn: new(n.arn(c.Scope.Partition)), Name: &n.Name, Description: optional.NonZero(n.Description), ConnectionState: n.State, StateReason: optional.NonZero(n.Reason),
		AuthorizationType: n.Type, SecretArn: optional.NonZero(n.Secret), KmsKeyIdentifier: optional.NonZero(n.Key),
		CreationTime: &n.Created, LastModifiedTime: &n.Modified, LastAuthorizedTime: n.authorized(),
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
	page, next, err := connectionTable.In(c.Scope.Account, c.Scope.Region).Page(c.Tx(), byName(in.NamePrefix, in.Limit), optional.Value(in.NextToken), string(in.ConnectionState), keep)
	if err != nil {
		return nil, badToken(err)
	}
	out := &events.ListConnectionsResponse{Connections: []events.Connection{}, NextToken: optional.NonZero(next)}
	for _, n := range page {
		out.Connections = append(out.Connections, events.Connection{
			ConnectionArn: new(n.arn(c.Scope.Partition)), Name: &n.Name, ConnectionState: n.State, StateReason: optional.NonZero(n.Reason), AuthorizationType: n.Type,
			CreationTime: &n.Created, LastModifiedTime: &n.Modified, LastAuthorizedTime: n.authorized(),
		})
	}
	return out, nil
}

// DeauthorizeConnection deletes the credentials of a connection.
func (s *Service) DeauthorizeConnection(c *call.Call, in *events.DeauthorizeConnectionRequest) (*events.DeauthorizeConnectionResponse, error) {
	n, err := s.connection(c, *in.Name, "deauthorize")
	if err != nil {
		return nil, err
	}
	if err := s.drop(c, n); err != nil {
		return nil, err
	}
	n.Sealed, n.Token, n.TokenUntil, n.State, n.Reason, n.Modified = nil, nil, time.Time{}, events.ConnectionStateDeauthorized, "", c.Time.UTC()
	n.Generation++
	return &events.DeauthorizeConnectionResponse{
		ConnectionArn: new(n.arn(c.Scope.Partition)), ConnectionState: events.ConnectionStateDeauthorizing, CreationTime: &n.Created, LastModifiedTime: &n.Modified,
		LastAuthorizedTime: n.authorized(),
	}, connectionTable.In(n.Account, n.Region).Put(c.Tx(), n)
}

// DeleteConnection removes a connection and its secret. API destinations that have it stay, and are inactive.
func (s *Service) DeleteConnection(c *call.Call, in *events.DeleteConnectionRequest) (*events.DeleteConnectionResponse, error) {
	n, err := s.connection(c, *in.Name, "delete")
	if err != nil {
		return nil, err
	}
	if err := s.drop(c, n); err != nil {
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

package events

import (
	"errors"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/events"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/outbound"
	"github.com/holdfast-cloud/holdfast/store"
)

// Stored as (see store.Table): events / account / region / destination / name → destinationRecord.
var destinationTable = store.NewTable("events", "destination", func(d *destinationRecord) store.Key { return store.Key{d.Name} })

// destinationRecord is an API destination: a server that gets events as HTTP requests.
type destinationRecord struct {
	Name, Account, Region string
	ID                    string // in its ARN
	Description           string `json:",omitempty"`
	Created, Modified     time.Time
	Connection            string // ARN
	Endpoint              string // URL; each * in it is for a value of the target
	Method                events.ApiDestinationHttpMethod
	Rate                  int32 // requests a second
}

const (
	destinationType = "AWS::Events::ApiDestination"
	// maxDestinations is how many API destinations an account may have in a region: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
	maxDestinations = 3000
	// defaultRate is how many requests a second an API destination gets unless its owner says less.
	defaultRate = 300
)

// destinationARN is what permission is asked for, which does not know the destination's ID.
func destinationARN(s call.Scope, name string) string {
	return s.ARN("events", "api-destination/"+name)
}

func (d *destinationRecord) arn(partition string) string {
	return destinationARN(call.Scope{Partition: partition, Account: d.Account, Region: d.Region}, d.Name+"/"+d.ID)
}

// secondName is the name in an ARN of a kind of thing, a name and an ID.
func secondName(text string) (string, bool) {
	a, err := arn.Parse(text)
	if err != nil || a.Service != "events" {
		return "", false
	}
	parts := strings.Split(a.Resource, "/")
	if len(parts) != 3 {
		return "", false
	}
	return parts[1], true
}

// state is ACTIVE while the destination's connection can be used.
func (d *destinationRecord) state(r store.Reader, s call.Scope) (events.ApiDestinationState, error) {
	n, err := findConnection(r, s, d.Connection)
	if err != nil {
		return "", err
	}
	if n == nil || n.State != events.ConnectionStateAuthorized {
		return events.ApiDestinationStateInactive, nil
	}
	return events.ApiDestinationStateActive, nil
}

// askConnection asks for the operation's own action on the destination's connection.
func (d *destinationRecord) askConnection(c *call.Call) error {
	name, _ := secondName(d.Connection)
	return c.Authorize(&call.Resource{ARN: connectionARN(c.Scope, name), Type: connectionType})
}

// check refuses what a destination cannot have.
func (d *destinationRecord) check(c *call.Call) error {
	n, err := findConnection(c.Tx(), c.Scope, d.Connection)
	if err != nil {
		return err
	}
	if n == nil {
		name, _ := secondName(d.Connection)
		return &events.ResourceNotFoundException{Message: "Connection '" + name + "' does not exist."}
	}
	// A server is not chosen by what a rule's author gives.
	host, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(d.Endpoint, "https://"), "http://"), "/")
	if outbound.CheckURL(strings.ReplaceAll(d.Endpoint, "*", "x")) != nil || strings.Contains(host, "*") {
		return badParameter("InvocationEndpoint", "Must be a valid URL.")
	}
	return nil
}

// CreateApiDestination makes an API destination.
func (s *Service) CreateApiDestination(c *call.Call, in *events.CreateApiDestinationRequest) (*events.CreateApiDestinationResponse, error) {
	d := &destinationRecord{
		Name: *in.Name, Account: c.Scope.Account, Region: c.Scope.Region, ID: c.UUID(), Description: optional.Value(in.Description), Created: c.Time.UTC(), Modified: c.Time.UTC(),
		Connection: *in.ConnectionArn, Endpoint: *in.InvocationEndpoint, Method: in.HttpMethod, Rate: defaultRate,
	}
	if in.InvocationRateLimitPerSecond != nil {
		d.Rate = *in.InvocationRateLimitPerSecond
	}
	if err := c.Authorize(&call.Resource{ARN: destinationARN(c.Scope, d.Name), Type: destinationType}); err != nil {
		return nil, err
	}
	if err := d.askConnection(c); err != nil {
		return nil, err
	}
	if err := d.check(c); err != nil {
		return nil, err
	}
	rows := destinationTable.In(d.Account, d.Region)
	count, err := rows.Count(c.Tx(), store.Query{Limit: maxDestinations})
	if err != nil {
		return nil, err
	}
	if count == maxDestinations {
		return nil, limitExceeded()
	}
	err = rows.Insert(c.Tx(), d)
	if errors.Is(err, store.ErrExists) {
		return nil, &events.ResourceAlreadyExistsException{Message: "An api-destination '" + d.Name + "' already exists."}
	}
	if err != nil {
		return nil, err
	}
	state, err := d.state(c.Tx(), c.Scope)
	if err != nil {
		return nil, err
	}
	return &events.CreateApiDestinationResponse{ApiDestinationArn: new(d.arn(c.Scope.Partition)), ApiDestinationState: state, CreationTime: &d.Created, LastModifiedTime: &d.Modified}, nil
}

// destination asks for the operation's own action on an API destination, and finds it. verb is what the operation does, for its error.
func (s *Service) destination(c *call.Call, name, verb string) (*destinationRecord, error) {
	if err := c.Authorize(&call.Resource{ARN: destinationARN(c.Scope, name), Type: destinationType}); err != nil {
		return nil, err
	}
	d, err := destinationTable.In(c.Scope.Account, c.Scope.Region).Get(c.Tx(), name)
	if missing(err) {
		return nil, &events.ResourceNotFoundException{Message: "Failed to " + verb + " the api-destination(s). An api-destination '" + name + "' does not exist."}
	}
	return d, err
}

// UpdateApiDestination changes what is given of an API destination.
func (s *Service) UpdateApiDestination(c *call.Call, in *events.UpdateApiDestinationRequest) (*events.UpdateApiDestinationResponse, error) {
	d, err := s.destination(c, *in.Name, "update")
	if err != nil {
		return nil, err
	}
	if in.Description != nil {
		d.Description = *in.Description
	}
	if in.ConnectionArn != nil {
		d.Connection = *in.ConnectionArn
	}
	if in.InvocationEndpoint != nil {
		d.Endpoint = *in.InvocationEndpoint
	}
	if in.HttpMethod != "" {
		d.Method = in.HttpMethod
	}
	if in.InvocationRateLimitPerSecond != nil {
		d.Rate = *in.InvocationRateLimitPerSecond
	}
	d.Modified = c.Time.UTC()
	if err := d.check(c); err != nil {
		return nil, err
	}
	state, err := d.state(c.Tx(), c.Scope)
	if err != nil {
		return nil, err
	}
	return &events.UpdateApiDestinationResponse{
		ApiDestinationArn: new(d.arn(c.Scope.Partition)), ApiDestinationState: state, CreationTime: &d.Created, LastModifiedTime: &d.Modified,
	}, destinationTable.In(d.Account, d.Region).Put(c.Tx(), d)
}

// DescribeApiDestination tells of an API destination.
func (s *Service) DescribeApiDestination(c *call.Call, in *events.DescribeApiDestinationRequest) (*events.DescribeApiDestinationResponse, error) {
	d, err := s.destination(c, *in.Name, "describe")
	if err != nil {
		return nil, err
	}
	if err := d.askConnection(c); err != nil {
		return nil, err
	}
	state, err := d.state(c.Tx(), c.Scope)
	if err != nil {
		return nil, err
	}
	return &events.DescribeApiDestinationResponse{
		ApiDestinationArn: new(d.arn(c.Scope.Partition)), Name: &d.Name, Description: optional.NonZero(d.Description), ApiDestinationState: state, ConnectionArn: &d.Connection,
		InvocationEndpoint: &d.Endpoint, HttpMethod: d.Method, InvocationRateLimitPerSecond: &d.Rate, CreationTime: &d.Created, LastModifiedTime: &d.Modified,
	}, nil
}

// ListApiDestinations lists the API destinations of the account and region by name.
func (s *Service) ListApiDestinations(c *call.Call, in *events.ListApiDestinationsRequest) (*events.ListApiDestinationsResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	connection := optional.Value(in.ConnectionArn)
	keep := func(d *destinationRecord) bool { return connection == "" || d.Connection == connection }
	page, next, err := destinationTable.In(c.Scope.Account, c.Scope.Region).Page(c.Tx(), byName(in.NamePrefix, in.Limit), optional.Value(in.NextToken), connection, keep)
	if err != nil {
		return nil, badToken(err)
	}
	out := &events.ListApiDestinationsResponse{ApiDestinations: []events.ApiDestination{}, NextToken: optional.NonZero(next)}
	for _, d := range page {
		state, err := d.state(c.Tx(), c.Scope)
		if err != nil {
			return nil, err
		}
		out.ApiDestinations = append(out.ApiDestinations, events.ApiDestination{
			ApiDestinationArn: new(d.arn(c.Scope.Partition)), Name: &d.Name, ApiDestinationState: state, ConnectionArn: &d.Connection, InvocationEndpoint: &d.Endpoint,
			HttpMethod: d.Method, InvocationRateLimitPerSecond: &d.Rate, CreationTime: &d.Created, LastModifiedTime: &d.Modified,
		})
	}
	return out, nil
}

// DeleteApiDestination removes an API destination. What is on its way to it fails.
func (s *Service) DeleteApiDestination(c *call.Call, in *events.DeleteApiDestinationRequest) (*events.DeleteApiDestinationResponse, error) {
	d, err := s.destination(c, *in.Name, "delete")
	if err != nil {
		return nil, err
	}
	return &events.DeleteApiDestinationResponse{}, destinationTable.In(d.Account, d.Region).Delete(c.Tx(), d.Name)
}

// findDestination finds an API destination of an account and region by its ARN, or returns nil.
func findDestination(r store.Reader, s call.Scope, destinationARN string) (*destinationRecord, error) {
	name, ok := secondName(destinationARN)
	if !ok {
		return nil, nil
	}
	d, err := destinationTable.In(s.Account, s.Region).Get(r, name)
	if missing(err) || err == nil && d.arn(s.Partition) != destinationARN {
		return nil, nil
	}
	return d, err
}

// checkDestination refuses the ARN of an API destination that is not there, when a target is put.
func (s *Service) checkDestination(c *call.Call, arn string) error {
	d, err := findDestination(c.Tx(), c.Scope, arn)
	if err != nil {
		return err
	}
	if d == nil {
		name, _ := secondName(arn)
		return &events.ResourceNotFoundException{Message: "An api-destination '" + name + "' does not exist."}
	}
	return nil
}

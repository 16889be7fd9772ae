package events

import (
	"errors"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/events"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

const (
	busType = "AWS::Events::EventBus"
	// maxBuses is how many buses an account may have in a region: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
	maxBuses = 100
	// maxPage is how many things a page of a listing has unless less is asked for.
	maxPage = 100
)

// bus is a bus that a call is about.
type bus struct {
	*busRecord
	there  bool
	policy *policy.Policy // nil if there is none
}

// resource is the bus as permission is asked for it.
func (b *bus) resource(partition string) *call.Resource {
	return &call.Resource{ARN: b.arn(partition), Account: b.Account, Type: busType, Policy: b.policy, Tags: b.Tags}
}

// scope is where the bus lies.
func (b *bus) scope(c *call.Call) call.Scope {
	return call.Scope{Partition: c.Scope.Partition, Account: b.Account, Region: b.Region}
}

// keyOf is the bus that a request names, by its name, by its ARN, or not at all. Nil is the default one.
func keyOf(c *call.Call, name *string) (busKey, error) {
	k := busKey{c.Scope.Account, c.Scope.Region, defaultBus}
	switch {
	case name == nil:
	case !arn.Is(*name):
		k.Name = *name
	default:
		a, err := arn.Parse(*name)
		bus, ok := strings.CutPrefix(a.Resource, "event-bus/")
		if err != nil || !ok || a.Service != "events" || a.Partition != c.Scope.Partition || a.Region == "" || a.Account == "" || bus == "" {
			return busKey{}, invalid("Parameter " + *name + " is not valid. Reason: Provided Arn is not in correct format.")
		}
		k = busKey{a.Account, a.Region, bus}
	}
	return k, nil
}

// load finds a bus. One that is not there has there unset.
func (s *Service) load(c *call.Call, k busKey) (*bus, error) {
	r, err := readBus(c.Tx(), k)
	if missing(err) {
		return &bus{busRecord: &busRecord{Name: k.Name, Account: k.Account, Region: k.Region}}, nil
	}
	if err != nil {
		return nil, err
	}
	b := &bus{busRecord: r, there: true}
	if r.Policy != "" {
		if b.policy, err = s.policies.Get(c.Context, r.Policy, r.Pins); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// readBus reads the record of a bus. The default one is always there.
func readBus(r store.Reader, k busKey) (*busRecord, error) {
	b, err := busTable.In(k.Account, k.Region).Get(r, k.Name)
	if missing(err) && k.Name == defaultBus {
		return &busRecord{Name: k.Name, Account: k.Account, Region: k.Region}, nil
	}
	return b, err
}

// named finds the bus that a request names.
func (s *Service) named(c *call.Call, name *string) (*bus, error) {
	k, err := keyOf(c, name)
	if err != nil {
		return nil, err
	}
	return s.load(c, k)
}

// about finds the bus that a request names, and asks for the operation's own action on it.
func (s *Service) about(c *call.Call, name *string) (*bus, error) {
	b, err := s.named(c, name)
	if err != nil {
		return nil, err
	}
	if err := c.Authorize(b.resource(c.Scope.Partition)); err != nil {
		return nil, err
	}
	if !b.there || b.Region != c.Scope.Region {
		return nil, noBus(b.Name)
	}
	return b, nil
}

// ownBus finds a bus of the caller's own account and region by its name or ARN, for those who do something with its events. It asks for nothing.
func (s *Service) ownBus(c *call.Call, name string) (*busRecord, error) {
	k, err := keyOf(c, &name)
	if err != nil {
		return nil, err
	}
	if k.Account != c.Scope.Account || k.Region != c.Scope.Region {
		return nil, noBus(k.Name)
	}
	b, err := readBus(c.Tx(), k)
	if missing(err) {
		return nil, noBus(k.Name)
	}
	return b, err
}

// CreateEventBus makes a custom bus, or one for the events of a partner.
func (s *Service) CreateEventBus(c *call.Call, in *events.CreateEventBusRequest) (*events.CreateEventBusResponse, error) {
	r := &busRecord{
		Name: *in.Name, Account: c.Scope.Account, Region: c.Scope.Region, Created: c.Time.UTC(), Modified: c.Time.UTC(),
		Description: optional.Value(in.Description), KMSKey: optional.Value(in.KmsKeyIdentifier), EventSource: optional.Value(in.EventSourceName), Tags: tagMap(in.Tags),
	}
	b := &bus{busRecord: r}
	resource := b.resource(c.Scope.Partition)
	resource.Tags, resource.RequestTags = nil, r.Tags
	if err := s.authorizeTagged(c, resource); err != nil {
		return nil, err
	}
	if err := r.set(in.DeadLetterConfig, in.LogConfig); err != nil {
		return nil, err
	}
	if err := checkTags(r.Tags); err != nil {
		return nil, err
	}
	switch {
	case r.EventSource == "" && strings.Contains(r.Name, "/"):
		return nil, invalid("Event bus name must not contain '/'.")
	case r.EventSource != "" && r.EventSource != r.Name:
		return nil, invalid("The name of a partner event bus must be that of its event source.")
	case r.Name == defaultBus:
		return nil, busExists(r.Name)
	}
	rows := busTable.In(r.Account, r.Region)
	if n, err := rows.Count(c.Tx(), store.Query{Limit: maxBuses}); err != nil {
		return nil, err
	} else if n >= maxBuses {
		return nil, limitExceeded()
	}
	if r.EventSource != "" {
		if err := s.takeEventSource(c, r.EventSource); err != nil {
			return nil, err
		}
	}
	if err := s.probeKey(c, r); err != nil {
		return nil, err
	}
	if err := rows.Insert(c.Tx(), r); errors.Is(err, store.ErrExists) {
		return nil, busExists(r.Name)
	} else if err != nil {
		return nil, err
	}
	return &events.CreateEventBusResponse{
		EventBusArn: new(r.arn(c.Scope.Partition)), Description: in.Description, KmsKeyIdentifier: in.KmsKeyIdentifier, DeadLetterConfig: in.DeadLetterConfig, LogConfig: in.LogConfig,
	}, nil
}

func busExists(name string) error {
	return &events.ResourceAlreadyExistsException{Message: "Event bus " + name + " already exists."}
}

// set gives the bus its dead-letter queue and its logs.
func (r *busRecord) set(dead *events.DeadLetterConfig, log *events.LogConfig) error {
	if dead != nil {
		if err := checkQueue(optional.Value(dead.Arn)); err != nil {
			return err
		}
		r.DeadLetter = optional.Value(dead.Arn)
	}
	if log != nil {
		r.LogLevel, r.LogDetail = string(log.Level), string(log.IncludeDetail)
	}
	return nil
}

// checkQueue refuses what cannot be a dead-letter queue.
func checkQueue(queue string) error {
	if queue == "" {
		return nil
	}
	a, err := arn.Parse(queue)
	if err != nil || a.Service != "sqs" {
		return invalid("Parameter " + queue + " is not valid. Reason: Provided Arn is not in correct format.")
	}
	if strings.HasSuffix(a.Resource, ".fifo") {
		return invalid("Parameter " + queue + " is not valid. Reason: FIFO queues are not supported as dead-letter queues.")
	}
	return nil
}

// UpdateEventBus replaces what is said of a bus. Members that are left out stay as they are.
func (s *Service) UpdateEventBus(c *call.Call, in *events.UpdateEventBusRequest) (*events.UpdateEventBusResponse, error) {
	b, err := s.about(c, in.Name)
	if err != nil {
		return nil, err
	}
	if in.Description != nil {
		b.Description = *in.Description
	}
	if err := b.set(in.DeadLetterConfig, in.LogConfig); err != nil {
		return nil, err
	}
	if in.KmsKeyIdentifier != nil {
		b.KMSKey = *in.KmsKeyIdentifier
		if err := s.probeKey(c, b.busRecord); err != nil {
			return nil, err
		}
	}
	if err := b.save(c); err != nil {
		return nil, err
	}
	return &events.UpdateEventBusResponse{
		Arn: new(b.arn(c.Scope.Partition)), Name: &b.Name, KmsKeyIdentifier: optional.NonZero(b.KMSKey), Description: optional.NonZero(b.Description),
		DeadLetterConfig: b.deadLetterConfig(), LogConfig: b.logConfig(),
	}, nil
}

// save writes the bus.
func (b *bus) save(c *call.Call) error {
	b.Modified = c.Time.UTC()
	if b.Created.IsZero() {
		b.Created = b.Modified
	}
	return busTable.In(b.Account, b.Region).Put(c.Tx(), b.busRecord)
}

func (r *busRecord) deadLetterConfig() *events.DeadLetterConfig {
	if r.DeadLetter == "" {
		return nil
	}
	return &events.DeadLetterConfig{Arn: &r.DeadLetter}
}

func (r *busRecord) logConfig() *events.LogConfig {
	if r.LogLevel == "" && r.LogDetail == "" {
		return nil
	}
	return &events.LogConfig{Level: events.Level(r.LogLevel), IncludeDetail: events.IncludeDetail(r.LogDetail)}
}

// DescribeEventBus tells of a bus.
func (s *Service) DescribeEventBus(c *call.Call, in *events.DescribeEventBusRequest) (*events.DescribeEventBusResponse, error) {
	b, err := s.about(c, in.Name)
	if err != nil {
		return nil, err
	}
	text, err := s.shownPolicy(c, b)
	if err != nil {
		return nil, err
	}
	return &events.DescribeEventBusResponse{
		Name: &b.Name, Arn: new(b.arn(c.Scope.Partition)), Description: optional.NonZero(b.Description), KmsKeyIdentifier: optional.NonZero(b.KMSKey), DeadLetterConfig: b.deadLetterConfig(),
		Policy: optional.NonZero(text), LogConfig: b.logConfig(), CreationTime: optional.NonZero(b.Created), LastModifiedTime: optional.NonZero(b.Modified),
	}, nil
}

// DeleteEventBus deletes a bus with all that listens on it but rules, which have to go first. That there is none is no error.
func (s *Service) DeleteEventBus(c *call.Call, in *events.DeleteEventBusRequest) (*events.DeleteEventBusResponse, error) {
	b, err := s.named(c, in.Name)
	if err != nil {
		return nil, err
	}
	if err := c.Authorize(b.resource(c.Scope.Partition)); err != nil {
		return nil, err
	}
	if b.Name == defaultBus {
		return nil, invalid("Cannot delete event bus default.")
	}
	if !b.there {
		return &events.DeleteEventBusResponse{}, nil
	}
	n, err := ruleTable.In(b.Account, b.Region).Count(c.Tx(), store.Query{Prefix: store.Key{b.Name}, Limit: 1})
	if err != nil {
		return nil, err
	}
	if n > 0 {
		return nil, invalid("Cannot delete event bus " + b.Name + ": it has rules.")
	}
	if b.EventSource != "" {
		if err := s.dropEventSource(c, b.EventSource); err != nil {
			return nil, err
		}
	}
	if err := s.removeArchives(c, b.Account, b.Region, b.Name); err != nil {
		return nil, err
	}
	return &events.DeleteEventBusResponse{}, busTable.In(b.Account, b.Region).Delete(c.Tx(), b.Name)
}

// ListEventBuses lists the buses of the account and region by name.
func (s *Service) ListEventBuses(c *call.Call, in *events.ListEventBusesRequest) (*events.ListEventBusesResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	rows := busTable.In(c.Scope.Account, c.Scope.Region)
	q := byName(in.NamePrefix, in.Limit)
	var found []*busRecord
	if in.NextToken == nil && strings.HasPrefix(defaultBus, optional.Value(in.NamePrefix)) {
		// The default bus may have no record. It comes first then.
		if _, err := rows.Get(c.Tx(), defaultBus); missing(err) {
			found = append(found, &busRecord{Name: defaultBus, Account: c.Scope.Account, Region: c.Scope.Region})
			q.Limit = max(1, q.Limit-1)
		} else if err != nil {
			return nil, err
		}
	}
	page, next, err := rows.Page(c.Tx(), q, optional.Value(in.NextToken), "", nil)
	if err != nil {
		return nil, badToken(err)
	}
	found = append(found, page...)
	out := &events.ListEventBusesResponse{EventBuses: []events.EventBus{}, NextToken: optional.NonZero(next)}
	for _, r := range found {
		text, err := s.shownPolicy(c, &bus{busRecord: r})
		if err != nil {
			return nil, err
		}
		out.EventBuses = append(out.EventBuses, events.EventBus{
			Name: &r.Name, Arn: new(r.arn(c.Scope.Partition)), Description: optional.NonZero(r.Description), Policy: optional.NonZero(text), CreationTime: optional.NonZero(r.Created), LastModifiedTime: optional.NonZero(r.Modified),
		})
	}
	return out, nil
}

// byName is a listing by name, of those that begin with a prefix.
func byName(prefix *string, limit *int32) store.Query {
	q := store.Query{Limit: maxPage}
	if prefix != nil {
		q.Prefix = store.Key{store.Begin(*prefix)}
	}
	if limit != nil {
		q.Limit = int(*limit)
	}
	return q
}

package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"github.com/holdfast-cloud/holdfast/api/events"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/outbox"
	"github.com/holdfast-cloud/holdfast/store"
)

// A partner offers an event source to an account, which takes it by making a bus of the same name. Stored as (see store.Table):
//
//	events / account / region / source / NAME                             the event source that an account was offered
//	events / / / source.partner / PARTNER / REGION / NAME / account        those that a partner offers, and to whom
//
// Any account can be a partner.
var sourceTable = store.NewTable("events", "source", func(x *sourceRecord) store.Key { return store.Key{x.Name} },
	store.Index[sourceRecord]{Name: "partner", Unique: true, Global: true, Entries: func(x *sourceRecord) []store.Key {
		return []store.Key{{x.Partner, x.Region, x.Name, x.Account}}
	}})

// sourceRecord is a partner event source as an account has it.
type sourceRecord struct {
	Name, Account, Region string
	Partner               string // account
	Created               time.Time
	Expires               time.Time `json:",omitzero"` // while it is pending
	State                 events.EventSourceState
}

const (
	sourceType = "AWS::Events::EventSource"
	// sourcePending is how long an offer stands: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_EventSource.html
	sourcePending = 14 * 24 * time.Hour

	timerSourceExpire = "source-expire"
)

// sourceARN names an event source, which belongs to no account.
func sourceARN(s call.Scope, name string) string {
	s.Account = ""
	return s.ARN("events", "event-source/"+name)
}

func (x *sourceRecord) expires() *time.Time {
	if x.Expires.IsZero() {
		return nil
	}
	return &x.Expires
}

func (x *sourceRecord) scope(c *call.Call) call.Scope {
	return call.Scope{Partition: c.Scope.Partition, Account: x.Account, Region: x.Region}
}

func (x *sourceRecord) save(c *call.Call) error {
	return sourceTable.In(x.Account, x.Region).Put(c.Tx(), x)
}

// offer lets an event source stand as pending for a while.
func (x *sourceRecord) offer(c *call.Call) error {
	x.State, x.Expires = events.EventSourceStatePending, c.Time.Add(sourcePending).UTC()
	if err := x.save(c); err != nil {
		return err
	}
	return c.At(x.Expires, x.scope(c), timerSourceExpire, x.Name, nil)
}

// take makes an event source active.
func (x *sourceRecord) take(c *call.Call) error {
	x.State, x.Expires = events.EventSourceStateActive, time.Time{}
	if err := x.save(c); err != nil {
		return err
	}
	return c.Cancel(x.scope(c), timerSourceExpire, x.Name)
}

// remove removes an event source.
func (x *sourceRecord) remove(c *call.Call) error {
	if err := sourceTable.In(x.Account, x.Region).Delete(c.Tx(), x.Name); err != nil {
		return err
	}
	return c.Cancel(x.scope(c), timerSourceExpire, x.Name)
}

// expireSource removes an event source that nobody has taken.
func (s *Service) expireSource(c *call.Call, name string, _ []byte) error {
	x, err := sourceTable.In(c.Scope.Account, c.Scope.Region).Get(c.Tx(), name)
	if missing(err) || err == nil && x.State != events.EventSourceStatePending {
		return nil
	}
	if err != nil {
		return err
	}
	return x.remove(c)
}

func noSource(name string) error {
	return &events.ResourceNotFoundException{Message: "Event source " + name + " does not exist."}
}

// askSource asks for the operation's own action on an event source.
func askSource(c *call.Call, name string) error {
	return c.Authorize(&call.Resource{ARN: sourceARN(c.Scope, name), Type: sourceType})
}

// source finds an event source of the account, after asking.
func (s *Service) source(c *call.Call, name string) (*sourceRecord, error) {
	if err := askSource(c, name); err != nil {
		return nil, err
	}
	return offered(c, name)
}

func offered(c *call.Call, name string) (*sourceRecord, error) {
	x, err := sourceTable.In(c.Scope.Account, c.Scope.Region).Get(c.Tx(), name)
	if missing(err) {
		return nil, noSource(name)
	}
	return x, err
}

// takeEventSource makes an event source active, for which a bus is made.
func (s *Service) takeEventSource(c *call.Call, name string) error {
	x, err := offered(c, name)
	if err != nil {
		return err
	}
	if x.State != events.EventSourceStatePending {
		return &events.InvalidStateException{Message: "Event source " + name + " is not in state PENDING."}
	}
	return x.take(c)
}

// dropEventSource lets an event source be pending again whose bus is removed. One that its partner has removed goes.
func (s *Service) dropEventSource(c *call.Call, name string) error {
	x, err := offered(c, name)
	if _, gone := errors.AsType[*events.ResourceNotFoundException](err); gone {
		return nil
	}
	if err != nil {
		return err
	}
	if x.State == events.EventSourceStateDeleted {
		return x.remove(c)
	}
	return x.offer(c)
}

// ActivateEventSource lets the events of a partner event source come to its bus again.
func (s *Service) ActivateEventSource(c *call.Call, in *events.ActivateEventSourceRequest) (*events.ActivateEventSourceResponse, error) {
	x, err := s.source(c, *in.Name)
	if err != nil {
		return nil, err
	}
	if x.State == events.EventSourceStateDeleted {
		return nil, &events.InvalidStateException{Message: "Event source " + x.Name + " is in state DELETED."}
	}
	b, err := busTable.In(x.Account, x.Region).Get(c.Tx(), x.Name)
	if missing(err) || err == nil && b.EventSource != x.Name {
		return nil, &events.InvalidStateException{Message: "Event source " + x.Name + " has no event bus."}
	}
	if err != nil {
		return nil, err
	}
	return &events.ActivateEventSourceResponse{}, x.take(c)
}

// DeactivateEventSource keeps the events of a partner event source from its bus. After two weeks it is removed.
func (s *Service) DeactivateEventSource(c *call.Call, in *events.DeactivateEventSourceRequest) (*events.DeactivateEventSourceResponse, error) {
	x, err := s.source(c, *in.Name)
	if err != nil {
		return nil, err
	}
	if x.State != events.EventSourceStateActive {
		return nil, &events.InvalidStateException{Message: "Event source " + x.Name + " is not in state ACTIVE."}
	}
	return &events.DeactivateEventSourceResponse{}, x.offer(c)
}

// DescribeEventSource tells of a partner event source that the account was offered.
func (s *Service) DescribeEventSource(c *call.Call, in *events.DescribeEventSourceRequest) (*events.DescribeEventSourceResponse, error) {
	x, err := s.source(c, *in.Name)
	if err != nil {
		return nil, err
	}
	return &events.DescribeEventSourceResponse{
		Arn: new(sourceARN(c.Scope, x.Name)), CreatedBy: new(createdBy(x.Name)), CreationTime: &x.Created, ExpirationTime: x.expires(), Name: &x.Name, State: x.State,
	}, nil
}

// createdBy is the partner in the name of an event source.
func createdBy(name string) string {
	parts := bytes.SplitN([]byte(name), []byte("/"), 3)
	if len(parts) < 3 {
		return name
	}
	return string(parts[0]) + "/" + string(parts[1])
}

// ListEventSources lists the partner event sources that the account was offered.
func (s *Service) ListEventSources(c *call.Call, in *events.ListEventSourcesRequest) (*events.ListEventSourcesResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	page, next, err := sourceTable.In(c.Scope.Account, c.Scope.Region).Page(c.Tx(), byName(in.NamePrefix, in.Limit), optional.Value(in.NextToken), "", nil)
	if err != nil {
		return nil, badToken(err)
	}
	out := &events.ListEventSourcesResponse{EventSources: []events.EventSource{}, NextToken: optional.NonZero(next)}
	for _, x := range page {
		out.EventSources = append(out.EventSources, events.EventSource{
			Arn: new(sourceARN(c.Scope, x.Name)), CreatedBy: new(createdBy(x.Name)), CreationTime: &x.Created, ExpirationTime: x.expires(), Name: &x.Name, State: x.State,
		})
	}
	return out, nil
}

// offers are the accounts that the caller offers an event source to.
func offers(c *call.Call, name string) (all []*sourceRecord, err error) {
	for x, err := range sourceTable.In("", "").Scan(c.Tx(), store.Query{Index: "partner", Prefix: store.Key{c.Scope.Account, c.Scope.Region, name}}) {
		if err != nil {
			return nil, err
		}
		all = append(all, x)
	}
	return all, nil
}

// CreatePartnerEventSource offers an account an event source.
func (s *Service) CreatePartnerEventSource(c *call.Call, in *events.CreatePartnerEventSourceRequest) (*events.CreatePartnerEventSourceResponse, error) {
	if err := askSource(c, *in.Name); err != nil {
		return nil, err
	}
	x := &sourceRecord{Name: *in.Name, Account: *in.Account, Region: c.Scope.Region, Partner: c.Scope.Account, Created: c.Time.UTC()}
	_, err := sourceTable.In(x.Account, x.Region).Get(c.Tx(), x.Name)
	if err == nil {
		return nil, &events.ResourceAlreadyExistsException{Message: "Event source " + x.Name + " already exists."}
	}
	if !missing(err) {
		return nil, err
	}
	return &events.CreatePartnerEventSourceResponse{EventSourceArn: new(sourceARN(c.Scope, x.Name))}, x.offer(c)
}

// DeletePartnerEventSource takes an offer back. An account that has taken it keeps its bus, which gets no more events.
func (s *Service) DeletePartnerEventSource(c *call.Call, in *events.DeletePartnerEventSourceRequest) (*events.DeletePartnerEventSourceResponse, error) {
	if err := askSource(c, *in.Name); err != nil {
		return nil, err
	}
	out := &events.DeletePartnerEventSourceResponse{}
	x, err := sourceTable.In(*in.Account, c.Scope.Region).Get(c.Tx(), *in.Name)
	if missing(err) || err == nil && x.Partner != c.Scope.Account {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	_, err = busTable.In(x.Account, x.Region).Get(c.Tx(), x.Name)
	if missing(err) {
		return out, x.remove(c)
	}
	if err != nil {
		return nil, err
	}
	x.State, x.Expires = events.EventSourceStateDeleted, time.Time{}
	if err := c.Cancel(x.scope(c), timerSourceExpire, x.Name); err != nil {
		return nil, err
	}
	return out, x.save(c)
}

// DescribePartnerEventSource tells a partner of an event source.
func (s *Service) DescribePartnerEventSource(c *call.Call, in *events.DescribePartnerEventSourceRequest) (*events.DescribePartnerEventSourceResponse, error) {
	if err := askSource(c, *in.Name); err != nil {
		return nil, err
	}
	all, err := offers(c, *in.Name)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, noSource(*in.Name)
	}
	return &events.DescribePartnerEventSourceResponse{Arn: new(sourceARN(c.Scope, *in.Name)), Name: in.Name}, nil
}

// ListPartnerEventSources lists the event sources that the caller offers, by name.
func (s *Service) ListPartnerEventSources(c *call.Call, in *events.ListPartnerEventSourcesRequest) (*events.ListPartnerEventSourcesResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	q := byName(in.NamePrefix, in.Limit)
	q.Index, q.Prefix = "partner", append(store.Key{c.Scope.Account, c.Scope.Region}, q.Prefix...)
	last := ""
	// Those of one name follow each other, so that a name is listed with its first account. A page that begins amid them would list it again: all of a name count as one.
	keep := func(x *sourceRecord) bool {
		first := x.Name != last
		last = x.Name
		return first
	}
	page, next, err := sourceTable.In("", "").Page(c.Tx(), q, optional.Value(in.NextToken), "", keep)
	if err != nil {
		return nil, badToken(err)
	}
	out := &events.ListPartnerEventSourcesResponse{PartnerEventSources: []events.PartnerEventSource{}, NextToken: optional.NonZero(next)}
	for _, x := range page {
		out.PartnerEventSources = append(out.PartnerEventSources, events.PartnerEventSource{Arn: new(sourceARN(c.Scope, x.Name)), Name: &x.Name})
	}
	return out, nil
}

// ListPartnerEventSourceAccounts lists the accounts that an event source is offered to.
func (s *Service) ListPartnerEventSourceAccounts(c *call.Call, in *events.ListPartnerEventSourceAccountsRequest) (*events.ListPartnerEventSourceAccountsResponse, error) {
	if err := askSource(c, *in.EventSourceName); err != nil {
		return nil, err
	}
	q := byName(nil, in.Limit)
	q.Index, q.Prefix = "partner", store.Key{c.Scope.Account, c.Scope.Region, *in.EventSourceName}
	page, next, err := sourceTable.In("", "").Page(c.Tx(), q, optional.Value(in.NextToken), "", nil)
	if err != nil {
		return nil, badToken(err)
	}
	if len(page) == 0 && in.NextToken == nil {
		return nil, noSource(*in.EventSourceName)
	}
	out := &events.ListPartnerEventSourceAccountsResponse{NextToken: optional.NonZero(next)}
	for _, x := range page {
		out.PartnerEventSourceAccounts = append(out.PartnerEventSourceAccounts, events.PartnerEventSourceAccount{
			Account: &x.Account, CreationTime: &x.Created, ExpirationTime: x.expires(), State: x.State,
		})
	}
	return out, nil
}

// PutPartnerEvents puts events on the buses of the accounts that have taken the caller's event sources. Those that have not get none.
func (s *Service) PutPartnerEvents(c *call.Call, in *events.PutPartnerEventsRequest) (*events.PutPartnerEventsResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	size := 0
	for i := range in.Entries {
		size += entrySize(putEntry(&in.Entries[i]))
	}
	if size > maxPut {
		return nil, invalid("Total size of the entries in the request is over the limit.")
	}
	out := &events.PutPartnerEventsResponse{Entries: make([]events.PutPartnerEventsResultEntry, len(in.Entries))}
	failed := int32(0)
	for i := range in.Entries {
		id, code, message, err := s.putPartnerEvent(c, putEntry(&in.Entries[i]))
		if err != nil {
			return nil, err
		}
		if code != "" {
			out.Entries[i] = events.PutPartnerEventsResultEntry{ErrorCode: &code, ErrorMessage: &message}
			failed++
			continue
		}
		out.Entries[i] = events.PutPartnerEventsResultEntry{EventId: &id}
	}
	out.FailedEntryCount = &failed
	return out, nil
}

// putEntry is an entry of a partner as one of anybody.
func putEntry(e *events.PutPartnerEventsRequestEntry) *events.PutEventsRequestEntry {
	return &events.PutEventsRequestEntry{Time: e.Time, Source: e.Source, Resources: e.Resources, DetailType: e.DetailType, Detail: e.Detail}
}

// putPartnerEvent puts one event on the buses that get it.
func (s *Service) putPartnerEvent(c *call.Call, entry *events.PutEventsRequestEntry) (id, code, message string, err error) {
	checked := *entry
	if entry.Source != nil {
		checked.Source = new("partner") // whose name begins as those of AWS's services do
	}
	if code, message := refused(&checked); code != "" {
		return "", code, message, nil
	}
	all, err := offers(c, *entry.Source)
	if err != nil {
		return "", "", "", err
	}
	if len(all) == 0 {
		return "", "NotAuthorizedForSourceException", "Not authorized for the source.", nil
	}
	id = c.UUID()
	for _, x := range all {
		if x.State != events.EventSourceStateActive {
			continue
		}
		e := &outbox.Event{
			ID: id, DetailType: *entry.DetailType, Source: *entry.Source, Account: x.Account, Time: c.Time, Region: x.Region, Resources: entry.Resources,
			Detail: json.RawMessage(*entry.Detail),
		}
		if entry.Time != nil {
			e.Time = *entry.Time
		}
		if err := s.publish(c, &heard{Event: e, Bus: busKey{x.Account, x.Region, x.Name}}); err != nil {
			return "", "", "", err
		}
	}
	return id, "", "", nil
}

package cloudtrail

import (
	"encoding/json"
	"errors"
	"slices"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/tuple"
)

const (
	maxChannels   = 25 // of an account in a region
	channelPage   = 1000
	channelSource = "Custom" // of the sources of AWS, the one that is no partner's
	channelPrefix = "channel/"
)

// channelID takes the ID out of an ARN or an ID suffix, and the account out of the ARN.
func channelID(c *call.Call, name string) (account, id string, ok bool) {
	account, id = c.Scope.Account, name
	if arn.Is(name) {
		a, err := arn.Parse(name)
		if err != nil || a.Partition != c.Scope.Partition || a.Service != "cloudtrail" || a.Region != c.Scope.Region || a.ResourceType() != "channel" {
			return "", "", false
		}
		account, id = a.Account, a.ResourceID()
	}
	return account, id, uuidPattern.MatchString(id)
}

func noChannel(name string) error {
	return &cloudtrail.ChannelNotFoundException{Message: "The channel " + name + " was not found."}
}

// channelOf reads a channel, which is nil if there is none.
func channelOf(c *call.Call, account, id string) (*channelRecord, error) {
	ch, err := channelTable.In(account, c.Scope.Region).Get(c.Tx(), id)
	return ch, store.IgnoreNotFound(err)
}

// channel finds a channel of the caller's by its ARN or ID, and asks for permission to do the call's operation on it.
func (s *Service) channel(c *call.Call, name string) (*channelRecord, error) {
	account, id, ok := channelID(c, name)
	if !ok {
		return nil, &cloudtrail.ChannelARNInvalidException{Message: "The channel ARN " + name + " is not valid."}
	}
	scope := c.Scope
	scope.Account = account
	r, err := s.resource(c, account, scope.ARN("cloudtrail", channelPrefix+id), aChannel)
	if err != nil {
		return nil, err
	}
	if err := c.Authorize(r); err != nil {
		return nil, err
	}
	if account != c.Scope.Account {
		return nil, noChannel(name)
	}
	ch, err := channelOf(c, account, id)
	if err != nil {
		return nil, err
	}
	if ch == nil {
		return nil, noChannel(name)
	}
	return ch, nil
}

// CreateChannel makes a channel for events from outside.
func (s *Service) CreateChannel(c *call.Call, in *cloudtrail.CreateChannelRequest) (*cloudtrail.CreateChannelResponse, error) {
	ch := &channelRecord{Account: c.Scope.Account, Region: c.Scope.Region, ID: c.UUID(), Name: *in.Name, Source: *in.Source}
	tags, err := tagMap(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	name := ch.arn(c.Scope.Partition)
	if err := s.ask(c, aChannel.audited(), ch.Account, name, nil, tags, nil); err != nil {
		return nil, err
	}
	if ch.Source != channelSource {
		return nil, &cloudtrail.InvalidSourceException{Message: "The source " + ch.Source + " is not valid: only Custom is."}
	}
	if err := s.direct(c, ch, in.Destinations, true); err != nil {
		return nil, err
	}
	rows := channelTable.In(ch.Account, ch.Region)
	if n, err := rows.Count(c.Tx(), store.Query{}); err != nil {
		return nil, err
	} else if n >= maxChannels {
		return nil, &cloudtrail.ChannelMaxLimitExceededException{Message: "The account has the maximum number of channels in this Region."}
	}
	if err := putNamedChannel(rows, c.Tx(), ch); err != nil {
		return nil, err
	}
	if err := putTags(c.Tx(), ch.Account, ch.Region, name, tags); err != nil {
		return nil, err
	}
	return &cloudtrail.CreateChannelResponse{ChannelArn: &name, Name: &ch.Name, Source: &ch.Source, Destinations: in.Destinations, Tags: in.Tags}, nil
}

func putNamedChannel(rows store.Rows[channelRecord], tx store.Tx, ch *channelRecord) error {
	err := rows.Put(tx, ch)
	if errors.Is(err, store.ErrExists) {
		return &cloudtrail.ChannelAlreadyExistsException{Message: "A channel with the name " + ch.Name + " already exists."}
	}
	return err
}

// direct sets where a channel's events go: into event data stores of its owner that are for events from outside. To make a channel its caller needs permission on them, too.
func (s *Service) direct(c *call.Call, ch *channelRecord, destinations []cloudtrail.Destination, ask bool) error {
	ch.Stores = nil
	for _, to := range destinations {
		if to.Type != cloudtrail.DestinationTypeEventDataStore {
			return &cloudtrail.InvalidParameterException{Message: "Destinations of channels have to be event data stores."}
		}
		account, id, err := eventStoreID(c, *to.Location)
		if err != nil {
			return err
		}
		var d *eventStoreRecord
		if ask {
			d, err = s.eventStoreOf(c, account, id)
		} else if d, err = eventStoreTable.In(account, c.Scope.Region).Get(c.Tx(), id); errors.Is(err, store.ErrNotFound) {
			err = noEventStore(*to.Location)
		}
		if err != nil {
			return err
		}
		if account != ch.Account {
			return noEventStore(*to.Location)
		}
		if err := d.takesOutside(); err != nil {
			return err
		}
		name := d.arn(c.Scope.Partition)
		if slices.Contains(ch.Stores, name) {
			return &cloudtrail.InvalidParameterException{Message: "The event data store " + d.ID + " is a destination twice."}
		}
		ch.Stores = append(ch.Stores, name)
	}
	return nil
}

// UpdateChannel renames a channel, or directs it elsewhere.
func (s *Service) UpdateChannel(c *call.Call, in *cloudtrail.UpdateChannelRequest) (*cloudtrail.UpdateChannelResponse, error) {
	ch, err := s.channel(c, *in.Channel)
	if err != nil {
		return nil, err
	}
	if in.Name != nil {
		ch.Name = *in.Name
	}
	if in.Destinations != nil {
		if err := s.direct(c, ch, in.Destinations, false); err != nil {
			return nil, err
		}
	}
	if err := putNamedChannel(channelTable.In(ch.Account, ch.Region), c.Tx(), ch); err != nil {
		return nil, err
	}
	return &cloudtrail.UpdateChannelResponse{ChannelArn: new(ch.arn(c.Scope.Partition)), Name: &ch.Name, Source: &ch.Source, Destinations: ch.destinations()}, nil
}

func (r *channelRecord) destinations() []cloudtrail.Destination {
	out := make([]cloudtrail.Destination, len(r.Stores))
	for i := range r.Stores {
		out[i] = cloudtrail.Destination{Type: cloudtrail.DestinationTypeEventDataStore, Location: &r.Stores[i]}
	}
	return out
}

// GetChannel shows a channel and how its events do.
func (s *Service) GetChannel(c *call.Call, in *cloudtrail.GetChannelRequest) (*cloudtrail.GetChannelResponse, error) {
	ch, err := s.channel(c, *in.Channel)
	if err != nil {
		return nil, err
	}
	out := &cloudtrail.GetChannelResponse{
		ChannelArn: new(ch.arn(c.Scope.Partition)), Name: &ch.Name, Source: &ch.Source, Destinations: ch.destinations(), IngestionStatus: &cloudtrail.IngestionStatus{},
	}
	attempt, err := channelStatus(c, ch, lastAttempt)
	if err != nil {
		return nil, err
	}
	success, err := channelStatus(c, ch, lastSuccess)
	if err != nil {
		return nil, err
	}
	if attempt != nil {
		out.IngestionStatus.LatestIngestionAttemptTime, out.IngestionStatus.LatestIngestionAttemptEventID = &attempt.At, &attempt.EventID
		out.IngestionStatus.LatestIngestionErrorCode = some(attempt.Error)
	}
	if success != nil {
		out.IngestionStatus.LatestIngestionSuccessTime, out.IngestionStatus.LatestIngestionSuccessEventID = &success.At, &success.EventID
	}
	return out, nil
}

// ListChannels lists the account's channels in the region.
func (s *Service) ListChannels(c *call.Call, in *cloudtrail.ListChannelsRequest) (*cloudtrail.ListChannelsResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	q := store.Query{Index: "name", Limit: pageLimit(in.MaxResults, channelPage)}
	found, next, err := channelTable.In(c.Scope.Account, c.Scope.Region).Page(c.Tx(), q, optional.Value(in.NextToken), "", nil)
	if err != nil {
		return nil, badPage(err)
	}
	out := &cloudtrail.ListChannelsResponse{Channels: make([]cloudtrail.Channel, len(found)), NextToken: some(next)}
	for i, ch := range found {
		out.Channels[i] = cloudtrail.Channel{ChannelArn: new(ch.arn(c.Scope.Partition)), Name: &ch.Name}
	}
	return out, nil
}

// DeleteChannel deletes a channel. The events that came through it stay.
func (s *Service) DeleteChannel(c *call.Call, in *cloudtrail.DeleteChannelRequest) (*cloudtrail.DeleteChannelResponse, error) {
	ch, err := s.channel(c, *in.Channel)
	if err != nil {
		return nil, err
	}
	if err := dropTrimmings(c, ch.Account, ch.Region, ch.arn(c.Scope.Partition)); err != nil {
		return nil, err
	}
	c.Tx().Delete(channelStatusKey(ch, lastAttempt))
	c.Tx().Delete(channelStatusKey(ch, lastSuccess))
	return &cloudtrail.DeleteChannelResponse{}, channelTable.In(ch.Account, ch.Region).Delete(c.Tx(), ch.ID)
}

// The two parts of a channel's status.
const (
	lastAttempt = "attempt"
	lastSuccess = "success"
)

// channelStatusKey is where a part of a channel's status is. Every PutAuditEvents writes it and none reads it, so that those at the same time do not conflict.
func channelStatusKey(ch *channelRecord, part string) []byte {
	return tuple.Encode("cloudtrail", ch.Account, ch.Region, "channelstatus", ch.ID, part)
}

// channelStatus reads a part of a channel's status, which is nil if there was nothing of the kind.
func channelStatus(c *call.Call, ch *channelRecord, part string) (*channelStatusRecord, error) {
	b, err := c.Tx().Get(channelStatusKey(ch, part))
	if err != nil {
		return nil, store.IgnoreNotFound(err)
	}
	st := new(channelStatusRecord)
	return st, json.Unmarshal(b, st)
}

func putChannelStatus(c *call.Call, ch *channelRecord, part string, st *channelStatusRecord) error {
	b, err := json.Marshal(st)
	if err != nil {
		return err
	}
	c.Tx().Set(channelStatusKey(ch, part), b)
	return nil
}

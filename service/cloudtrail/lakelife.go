package cloudtrail

import (
	"fmt"
	"time"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/eventselect"
	"github.com/holdfast-cloud/holdfast/store"
)

// Timers of an event data store, in its account and region.
const (
	retentionTimer = "lakeretention" // forgets old events, once a day
	deletionTimer  = "lakedeletion"  // deletes a store whose time has come
)

// deletionDelay is how long a deleted event data store can be restored.
const deletionDelay = 7 * day

func (d *eventStoreRecord) scope() call.Scope {
	return call.Scope{Account: d.Account, Region: d.Region}
}

// DeleteEventDataStore has an event data store end in seven days.
func (s *Service) DeleteEventDataStore(c *call.Call, in *cloudtrail.DeleteEventDataStoreRequest) (*cloudtrail.DeleteEventDataStoreResponse, error) {
	d, err := s.eventStore(c, *in.EventDataStore)
	if err != nil {
		return nil, err
	}
	switch {
	case d.Status == cloudtrail.EventDataStoreStatusPendingDeletion:
		return nil, inactive(d)
	case d.Protected:
		return nil, &cloudtrail.EventDataStoreTerminationProtectedException{
			Message: "The event data store " + d.ID + " cannot be deleted because termination protection is enabled for it.",
		}
	}
	if busy, err := importing(c, d); err != nil {
		return nil, err
	} else if busy {
		return nil, hasImport(d)
	}
	n, err := channelTable.In(d.Account, d.Region).Count(c.Tx(), store.Query{Index: "store", Prefix: store.Key{d.arn(c.Scope.Partition)}})
	if err != nil {
		return nil, err
	}
	if n > 0 {
		return nil, &cloudtrail.ChannelExistsForEDSException{Message: "The event data store " + d.ID + " is the destination of a channel."}
	}
	d.Resume = d.reads()
	d.shut(c.Time)
	d.Status, d.Deleted, d.Updated = cloudtrail.EventDataStoreStatusPendingDeletion, c.Time.Add(deletionDelay), c.Time
	if err := c.At(d.Deleted, d.scope(), deletionTimer, d.ID, nil); err != nil {
		return nil, err
	}
	return &cloudtrail.DeleteEventDataStoreResponse{}, eventStoreTable.In(d.Account, d.Region).Put(c.Tx(), d)
}

// RestoreEventDataStore takes a deletion back. What happened meanwhile is not in the store.
func (s *Service) RestoreEventDataStore(c *call.Call, in *cloudtrail.RestoreEventDataStoreRequest) (*cloudtrail.RestoreEventDataStoreResponse, error) {
	d, err := s.eventStore(c, *in.EventDataStore)
	if err != nil {
		return nil, err
	}
	if d.Status != cloudtrail.EventDataStoreStatusPendingDeletion {
		return nil, wrongStatus(d)
	}
	if d.Organization != "" {
		if err := d.organize(c); err != nil {
			return nil, err
		}
	}
	d.Status = cloudtrail.EventDataStoreStatusEnabled
	if d.Resume {
		if err := s.begin(c, d); err != nil {
			return nil, err
		}
	} else if d.fromTrail() {
		d.Status = cloudtrail.EventDataStoreStatusStoppedIngestion
	}
	d.Resume, d.Deleted, d.Updated = false, time.Time{}, c.Time
	if err := c.Cancel(d.scope(), deletionTimer, d.ID); err != nil {
		return nil, err
	}
	if err := eventStoreTable.In(d.Account, d.Region).Put(c.Tx(), d); err != nil {
		return nil, err
	}
	show := d.show(c.Scope.Partition)
	return &cloudtrail.RestoreEventDataStoreResponse{
		EventDataStoreArn: show.EventDataStoreArn, Name: show.Name, Status: show.Status, AdvancedEventSelectors: show.AdvancedEventSelectors,
		MultiRegionEnabled: show.MultiRegionEnabled, OrganizationEnabled: show.OrganizationEnabled, RetentionPeriod: show.RetentionPeriod,
		TerminationProtectionEnabled: show.TerminationProtectionEnabled, CreatedTimestamp: &d.Created, UpdatedTimestamp: &d.Updated,
		KmsKeyId: show.KmsKeyId, BillingMode: d.Billing,
	}, nil
}

func wrongStatus(d *eventStoreRecord) error {
	return &cloudtrail.InvalidEventDataStoreStatusException{Message: "The event data store " + d.ID + " has the status " + string(d.Status) + ", in which this cannot be done."}
}

// ingesting finds an event data store whose ingestion is about to begin or to end.
func (s *Service) ingesting(c *call.Call, name string, from cloudtrail.EventDataStoreStatus) (*eventStoreRecord, error) {
	d, err := s.eventStore(c, name)
	switch {
	case err != nil:
		return nil, err
	case !d.fromTrail():
		return nil, &cloudtrail.InvalidEventDataStoreCategoryException{
			Message: "The event data store " + d.ID + " is for events of the category " + d.Category + ", of which ingestion cannot be started or stopped.",
		}
	case d.Status != from:
		return nil, wrongStatus(d)
	}
	return d, nil
}

// StartEventDataStoreIngestion has a store take events again.
func (s *Service) StartEventDataStoreIngestion(c *call.Call, in *cloudtrail.StartEventDataStoreIngestionRequest) (*cloudtrail.StartEventDataStoreIngestionResponse, error) {
	d, err := s.ingesting(c, *in.EventDataStore, cloudtrail.EventDataStoreStatusStoppedIngestion)
	if err != nil {
		return nil, err
	}
	if err := s.begin(c, d); err != nil {
		return nil, err
	}
	d.Status, d.Updated = cloudtrail.EventDataStoreStatusEnabled, c.Time
	return &cloudtrail.StartEventDataStoreIngestionResponse{}, eventStoreTable.In(d.Account, d.Region).Put(c.Tx(), d)
}

// StopEventDataStoreIngestion has a store take no more events. Those until now are still taken.
func (s *Service) StopEventDataStoreIngestion(c *call.Call, in *cloudtrail.StopEventDataStoreIngestionRequest) (*cloudtrail.StopEventDataStoreIngestionResponse, error) {
	d, err := s.ingesting(c, *in.EventDataStore, cloudtrail.EventDataStoreStatusEnabled)
	if err != nil {
		return nil, err
	}
	d.shut(c.Time)
	d.Status, d.Updated = cloudtrail.EventDataStoreStatusStoppedIngestion, c.Time
	return &cloudtrail.StopEventDataStoreIngestionResponse{}, eventStoreTable.In(d.Account, d.Region).Put(c.Tx(), d)
}

// A transaction deletes so many records at most. What is left is for the timer's next time, which is at once.
const deleteBatch = 2000

// retentionDue forgets the segments whose last event is older than the store keeps it, and merges those of the days before.
func (s *Service) retentionDue(c *call.Call, id string, _ []byte) error {
	d, err := eventStoreTable.In(c.Scope.Account, c.Scope.Region).Get(c.Tx(), id)
	if err != nil {
		return store.IgnoreNotFound(err)
	}
	more, err := s.deleteSegments(c, d, store.Key{d.oldest(c.Time)})
	if err != nil {
		return err
	}
	if !more {
		if more, err = s.mergeDay(c, d); err != nil {
			return err
		}
	}
	next := c.Time.Add(day)
	if more {
		next = c.Time
	}
	return c.At(next, d.scope(), retentionTimer, id, nil)
}

// deleteSegments deletes segments of a store up to a key, the oldest first.
func (s *Service) deleteSegments(c *call.Call, d *eventStoreRecord, to store.Key) (more bool, err error) {
	n := 0
	for seg, err := range segmentTable.In(d.Account, d.Region).Scan(c.Tx(), store.Query{Prefix: store.Key{d.ID}, To: to, Limit: deleteBatch}) {
		if err != nil {
			return false, err
		}
		if err := s.deleteSegment(c, d, seg); err != nil {
			return false, err
		}
		n++
	}
	return n == deleteBatch, nil
}

// deleteSegment deletes a segment's record, and after the commit its object. Should a crash leave the object, the sweeper of blob removes it.
func (s *Service) deleteSegment(c *call.Call, d *eventStoreRecord, seg *segmentRecord) error {
	if err := segmentTable.In(d.Account, d.Region).Delete(c.Tx(), seg.Store, seg.End, seg.Blob); err != nil {
		return err
	}
	s.dropObject(c, seg.Blob)
	return nil
}

// dropObject deletes an object of blob once the transaction is committed.
func (s *Service) dropObject(c *call.Call, key string) {
	ctx := c.Context
	c.Tx().OnCommitted(func() {
		if err := s.cfg.Blob.Delete(ctx, key); err != nil {
			s.cfg.Report(fmt.Errorf("deleting what nothing needs any more: %w", err))
		}
	})
}

// deletionDue deletes an event data store, and all that belongs to it.
func (s *Service) deletionDue(c *call.Call, id string, _ []byte) error {
	rows := eventStoreTable.In(c.Scope.Account, c.Scope.Region)
	d, err := rows.Get(c.Tx(), id)
	if err != nil {
		return store.IgnoreNotFound(err)
	}
	if d.Status != cloudtrail.EventDataStoreStatusPendingDeletion {
		return nil
	}
	more, err := s.deleteSegments(c, d, nil)
	if err != nil {
		return err
	}
	pending := pendingTable.In(d.Account, d.Region)
	n := 0
	for p, err := range pending.Scan(c.Tx(), store.Query{Prefix: store.Key{id}, Limit: deleteBatch}) {
		if err != nil {
			return err
		}
		if err := pending.Delete(c.Tx(), p.Store, p.Received, p.ID); err != nil {
			return err
		}
		n++
	}
	if more || n == deleteBatch {
		return c.At(c.Time, d.scope(), deletionTimer, id, nil)
	}
	if err := c.Cancel(d.scope(), retentionTimer, id); err != nil {
		return err
	}
	if err := s.stopReading(c, d); err != nil {
		return err
	}
	if err := dropTrimmings(c, d.Account, d.Region, d.arn(c.Scope.Partition)); err != nil {
		return err
	}
	return rows.Delete(c.Tx(), id)
}

// takesOutside returns an error unless the store is for events from outside and active.
func (d *eventStoreRecord) takesOutside() error {
	if d.Status == cloudtrail.EventDataStoreStatusPendingDeletion {
		return inactive(d)
	}
	if d.Category != eventselect.ActivityAudit {
		return &cloudtrail.InvalidEventDataStoreCategoryException{Message: "The event data store " + d.ID + " is not for events of the category " + eventselect.ActivityAudit + "."}
	}
	return nil
}

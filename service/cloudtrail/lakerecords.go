package cloudtrail

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/eventselect"
	"github.com/holdfast-cloud/holdfast/store"
)

// eventStoreRecord is an event data store. It lives in the account that owns it, in the region where it was made.
type eventStoreRecord struct {
	Account, Region  string // where it lives
	ID, Name         string
	Created, Updated time.Time

	Status    cloudtrail.EventDataStoreStatus
	Selectors []eventselect.Selector
	Category  string // of its events, as in package eventselect; Management stands for data events, too

	MultiRegion  bool   `json:",omitempty"`
	Organization string `json:",omitempty"` // ID of the organization whose events it takes, or empty
	Protected    bool   `json:",omitempty"`
	Retention    int    // days
	Billing      cloudtrail.BillingMode

	Key     string `json:",omitempty"` // ARN of the KMS key
	DataKey []byte `json:",omitempty"` // what the events are encrypted under, as KMS gave it under Key

	// Windows are the times at which the store took or takes events of the trail that were not all read yet.
	Windows []span    `json:",omitempty"`
	Resume  bool      `json:",omitempty"` // it took events when it was deleted
	Deleted time.Time `json:",omitzero"`  // when it ends, once it was deleted
}

// segmentRecord is a batch of events in blob that never changes: JSON records, each with a line break behind it, compressed with zstd, and encrypted under the
// event data store's key, if it had one.
type segmentRecord struct {
	Store    string
	From, To time.Time // of the first and the last event
	End      time.Time // To, but not after the time at which it was written: where retention counts from
	Count    int64
	Bytes    int64  // of the records
	Blob     string // key of the object
	Level    int    // how often it was merged
	Keyed    bool   `json:",omitempty"` // it is encrypted under the event data store's key, which the store may have got later
}

// pendingRecord is an event that is not in a segment yet, because it came one by one: from PutAuditEvents.
type pendingRecord struct {
	Store    string
	Received time.Time
	ID       string
	Time     time.Time       // of the event
	Event    json.RawMessage `json:",omitempty"`
	Sealed   []byte          `json:",omitempty"` // in place of Event, for a store with a KMS key: wrapped by the keyring
}

// pendingMark says when the pending events of a store go into a segment; without it there are none.
type pendingMark struct {
	Store string
	Due   time.Time
}

// cursorRecord says how far an event data store has read the trail.
type cursorRecord struct {
	Store  string
	Cursor audit.Cursor
}

// readingRecord says when the event data stores of a region read the trail next; without it none does.
type readingRecord struct{ Due time.Time }

// channelRecord is a channel for events from outside.
type channelRecord struct {
	Account, Region string // where it lives
	ID, Name        string
	Source          string
	Stores          []string // ARNs of the event data stores that get its events
}

// channelStatusRecord tells of the last event that a channel was sent, or that it took.
type channelStatusRecord struct {
	At      time.Time
	EventID string
	Error   string `json:",omitempty"` // code
}

// queryRecord is a query. It lives with the event data store that it asks.
type queryRecord struct {
	Account, Region string // of the event data store
	ID              string
	Store           string   // ID of the event data store
	Others          []string `json:",omitempty"` // IDs of those that it asks besides
	Owner           string   // the account that asked
	Statement       string
	Status          cloudtrail.QueryStatus
	Error           string `json:",omitempty"`
	Created         time.Time
	Millis          int64 `json:",omitempty"`

	Matched, Scanned, Bytes, Rows int64 `json:",omitempty"`

	Columns []string `json:",omitempty"`
	Blob    string   `json:",omitempty"` // of the rows, each a JSON array of its fields in a line
	Keyed   string   `json:",omitempty"` // ID of the event data store under whose key they are
}

// Stored as (see store.Table), in the account and region of the event data store or channel:
//
//	cloudtrail / account / region / lake / id                   → eventStoreRecord  (indexes: lake.name, unique: name; lake.reading, global: region)
//	cloudtrail / account / region / segment / store, end, blob  → segmentRecord     (indexes: segment.blob, global)
//	cloudtrail / account / region / pending / store, time, id   → pendingRecord
//	cloudtrail / account / region / pendingmark / store         → pendingMark
//	cloudtrail / account / region / lakecursor / store          → cursorRecord
//	cloudtrail / account / region / channel / id                → channelRecord     (indexes: channel.name, unique: name; channel.store: the ARN of one)
//	cloudtrail / account / region / channelstatus / id, part    → channelStatusRecord
//	cloudtrail / account / region / query / id                  → queryRecord       (indexes: query.store: store, time; query.active, global: owner; query.blob, global)
//
// and in the services' own account:
//
//	cloudtrail / aws / region / lakereading                     → readingRecord
var (
	eventStoreTable = store.NewTable("cloudtrail", "lake", func(r *eventStoreRecord) store.Key { return store.Key{r.ID} },
		store.Index[eventStoreRecord]{Name: "name", Unique: true, Entries: func(r *eventStoreRecord) []store.Key { return []store.Key{{r.Name}} }},
		store.Index[eventStoreRecord]{Name: "reading", Global: true, Entries: func(r *eventStoreRecord) []store.Key {
			if len(r.Windows) == 0 {
				return nil
			}
			return []store.Key{{r.Region}}
		}})
	segmentTable = store.NewTable("cloudtrail", "segment", func(r *segmentRecord) store.Key { return store.Key{r.Store, r.End, r.Blob} },
		store.Index[segmentRecord]{Name: "blob", Global: true, Entries: func(r *segmentRecord) []store.Key { return []store.Key{{r.Blob}} }})
	pendingTable = store.NewTable("cloudtrail", "pending", func(r *pendingRecord) store.Key { return store.Key{r.Store, r.Received, r.ID} })
	markTable    = store.NewTable("cloudtrail", "pendingmark", func(r *pendingMark) store.Key { return store.Key{r.Store} })
	cursorTable  = store.NewTable("cloudtrail", "lakecursor", func(r *cursorRecord) store.Key { return store.Key{r.Store} })
	readingTable = store.NewTable("cloudtrail", "lakereading", func(*readingRecord) store.Key { return store.Key{} })
	channelTable = store.NewTable("cloudtrail", "channel", func(r *channelRecord) store.Key { return store.Key{r.ID} },
		store.Index[channelRecord]{Name: "name", Unique: true, Entries: func(r *channelRecord) []store.Key { return []store.Key{{r.Name}} }},
		store.Index[channelRecord]{Name: "store", Entries: func(r *channelRecord) (entries []store.Key) {
			for _, s := range r.Stores {
				entries = append(entries, store.Key{s})
			}
			return entries
		}})
	queryTable = store.NewTable("cloudtrail", "query", func(r *queryRecord) store.Key { return store.Key{r.ID} },
		store.Index[queryRecord]{Name: "store", Entries: func(r *queryRecord) []store.Key { return []store.Key{{r.Store, r.Created}} }},
		store.Index[queryRecord]{Name: "active", Global: true, Entries: func(r *queryRecord) []store.Key {
			if !r.active() {
				return nil
			}
			return []store.Key{{r.Owner}}
		}},
		store.Index[queryRecord]{Name: "blob", Global: true, Entries: func(r *queryRecord) []store.Key {
			if r.Blob == "" {
				return nil
			}
			return []store.Key{{r.Blob}}
		}})
)

// arn names the event data store.
func (r *eventStoreRecord) arn(partition string) string {
	return call.Scope{Partition: partition, Account: r.Account, Region: r.Region}.ARN("cloudtrail", "eventdatastore/"+r.ID)
}

// reads reports whether the store takes events of the trail.
func (r *eventStoreRecord) reads() bool {
	return len(r.Windows) > 0 && r.Windows[len(r.Windows)-1].To.IsZero()
}

// open begins to take events, and shut ends it; what came before is still taken.
func (r *eventStoreRecord) open(at time.Time) {
	if !r.reads() {
		r.Windows = append(r.Windows, span{From: at})
	}
}

func (r *eventStoreRecord) shut(at time.Time) {
	if r.reads() {
		r.Windows[len(r.Windows)-1].To = at
	}
}

// took reports whether an event of a time is one that the store takes.
func (r *eventStoreRecord) took(at time.Time) bool {
	return slices.ContainsFunc(r.Windows, func(w span) bool { return w.has(at) })
}

// oldest is the time before which events are forgotten.
func (r *eventStoreRecord) oldest(now time.Time) time.Time { return now.AddDate(0, 0, -r.Retention) }

func (r *channelRecord) arn(partition string) string {
	return call.Scope{Partition: partition, Account: r.Account, Region: r.Region}.ARN("cloudtrail", "channel/"+r.ID)
}

// active reports whether the query has not ended.
func (r *queryRecord) active() bool {
	return r.Status == cloudtrail.QueryStatusQueued || r.Status == cloudtrail.QueryStatusRunning
}

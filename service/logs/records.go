package logs

import (
	"time"

	"github.com/holdfast-cloud/holdfast/api/logs"
	"github.com/holdfast-cloud/holdfast/store"
)

// groupRecord is a log group. What belongs to it is found by its ID, so a group that is deleted and made again under its name begins empty, at once.
type groupRecord struct {
	Name    string
	ID      string // random
	Created time.Time
	Class   logs.LogGroupClass

	Retention int               `json:",omitempty"` // days; 0 is for ever
	Protected bool              `json:",omitempty"` // from deletion
	Key       string            `json:",omitempty"` // ARN of the KMS key that encrypts what comes in; empty is the cloud's own key
	DataKey   string            `json:",omitempty"` // ID of the dataKeyRecord that Key encrypts
	Tags      map[string]string `json:",omitempty"`

	Metrics       int `json:",omitempty"` // metric filters
	Subscriptions int `json:",omitempty"` // subscription filters
}

// streamRecord is a log stream.
type streamRecord struct {
	Group, Name string
	ID          string // random
	Created     time.Time

	Next     uint64 `json:",omitempty"` // number of the next event
	First    int64  `json:",omitempty"` // timestamp of the oldest event
	Last     int64  `json:",omitempty"` // timestamp of the newest event
	Ingested int64  `json:",omitempty"` // when the last batch came
	Held     int64  `json:",omitempty"` // bytes as AWS counts them
	Span     int64  `json:",omitempty"` // milliseconds that a chunk in chunkTable is long at most

	Loose      int   `json:",omitempty"` // chunks in looseTable
	LooseBytes int64 `json:",omitempty"` // that those hold
}

// chunkRecord tells what a chunk holds. Times are milliseconds since 1970. Its bytes are beside it, see chunkKey.
type chunkRecord struct {
	Group, Stream string // IDs
	From, To      int64  // timestamps of the first and the last event
	First         uint64 // the lowest number of its events
	Count         int
	Bytes         int64  // of messages and overhead, as AWS counts them
	Parts         int    // values that its bytes lie in
	Key           string `json:",omitempty"` // ID of the data key; empty is the cloud's own key
}

// dataKeyRecord is a data key of a log group, as KMS encrypted it.
type dataKeyRecord struct {
	Group, ID string
	Key       string // ARN of the KMS key
	Encrypted []byte
}

// sizeRecord is a part of what a log group holds. A group has several, so that batches for different streams do not meet in one record.
type sizeRecord struct {
	Group string
	Part  int
	Bytes int64
}

// policyRecord is a resource policy.
type policyRecord struct {
	Name     string // or the group's ARN, if it is of one group
	Resource string `json:",omitempty"`
	Document string // as it was given
	Updated  time.Time
	Revision string `json:",omitempty"`
}

// metricRecord is a metric filter.
type metricRecord struct {
	Group, Name   string // the group's ID
	LogGroup      string // its name
	Created       time.Time
	Pattern       string
	Metric        transformation
	OnTransformed bool `json:",omitempty"`
}

// transformation is the metric that a filter makes of events.
type transformation struct {
	Name, Namespace, Value string
	Default                *float64          `json:",omitempty"`
	Dimensions             map[string]string `json:",omitempty"`
	Unit                   logs.StandardUnit `json:",omitempty"`
}

// subscriptionRecord is a subscription filter.
type subscriptionRecord struct {
	Group, Name   string
	LogGroup      string
	ID            string // random: a lane of its own for each filter that is made
	Created       time.Time
	Pattern       string
	Destination   string
	Role          string            `json:",omitempty"`
	Distribution  logs.Distribution `json:",omitempty"`
	OnTransformed bool              `json:",omitempty"`
}

// Stored as (see store.Table):
//
//	logs / account / region / group  / name                        → groupRecord
//	logs / account / region / stream / group ID / name             → streamRecord (indexes: recent: by the last event; oldest: by the first)
//	logs / account / region / loose  / group ID / stream ID / First          → chunkRecord of a small batch, until it is merged with others
//	logs / account / region / chunk  / group ID / stream ID / From / First   → chunkRecord
//	logs / account / region / data   / group ID / stream ID / First / part   → the bytes of a chunk
//	logs / account / region / datakey / group ID / ID              → dataKeyRecord
//	logs / account / region / size   / group ID / part             → sizeRecord
//	logs / account / region / policy / name                        → policyRecord
//	logs / account / region / metric / group ID / name             → metricRecord (index: name)
//	logs / account / region / subscription / group ID / name       → subscriptionRecord
var (
	groupTable  = store.NewTable("logs", "group", func(g *groupRecord) store.Key { return store.Key{g.Name} })
	streamTable = store.NewTable("logs", "stream", func(s *streamRecord) store.Key { return store.Key{s.Group, s.Name} },
		store.Index[streamRecord]{Name: "recent", Entries: func(s *streamRecord) []store.Key { return []store.Key{{s.Group, s.Last}} }},
		store.Index[streamRecord]{Name: "oldest", Entries: func(s *streamRecord) []store.Key {
			if s.Last == 0 {
				return nil
			}
			return []store.Key{{s.Group, s.First}}
		}})
	looseTable   = store.NewTable("logs", "loose", func(c *chunkRecord) store.Key { return store.Key{c.Group, c.Stream, c.First} })
	chunkTable   = store.NewTable("logs", "chunk", func(c *chunkRecord) store.Key { return store.Key{c.Group, c.Stream, c.From, c.First} })
	dataKeyTable = store.NewTable("logs", "datakey", func(k *dataKeyRecord) store.Key { return store.Key{k.Group, k.ID} })
	sizeTable    = store.NewTable("logs", "size", func(s *sizeRecord) store.Key { return store.Key{s.Group, s.Part} })
	policyTable  = store.NewTable("logs", "policy", func(p *policyRecord) store.Key { return store.Key{p.Name} })
	metricTable  = store.NewTable("logs", "metric", func(m *metricRecord) store.Key { return store.Key{m.Group, m.Name} },
		store.Index[metricRecord]{Name: "name", Entries: func(m *metricRecord) []store.Key { return []store.Key{{m.Name}} }})
	subscriptionTable = store.NewTable("logs", "subscription", func(s *subscriptionRecord) store.Key { return store.Key{s.Group, s.Name} })
)

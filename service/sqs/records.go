package sqs

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/tuple"
)

// What is kept in the store:
//
//	sqs/ACCOUNT/REGION/queue/NAME                     the queue
//	sqs/ACCOUNT/REGION/queue.dead/ARN/NAME            the queues whose dead-letter queue has that ARN
//	sqs/ACCOUNT/REGION/gone/NAME                      a queue that was deleted less than a minute ago
//	sqs/ACCOUNT/REGION/task/QUEUE/STARTED             a redrive task
//	sqs/ACCOUNT/REGION/recent/QUEUE/KEY               what a FIFO queue remembers for five minutes: deduplication and receive attempts
//	sqs/ACCOUNT/REGION/recent.expires/QUEUE/EXPIRES   when it is to forget it
//
// The messages of a queue lie in a pile of their own, so that purging a queue is giving it a new pile:
//
//	sqs/ACCOUNT/REGION/message/PILE/SEQUENCE          the message, without what it says
//	sqs/ACCOUNT/REGION/body/PILE/SEQUENCE/N           what it says, encrypted, in pieces
//	sqs/ACCOUNT/REGION/due/PILE/VISIBLE/SEQUENCE      when it can be received, in a standard queue; the value says what keeps it until then
//	sqs/ACCOUNT/REGION/due/PILE/VISIBLE/GROUP         when something of a message group can be received, in a FIFO queue
//	sqs/ACCOUNT/REGION/group/PILE/GROUP               a message group that has messages
//	sqs/ACCOUNT/REGION/order/PILE/GROUP/SEQUENCE      the messages of a group
//
// A sequence is the time at which a message was sent, in nanoseconds, made unique: the oldest message is the first. Sending only adds keys, and
// reads none that another sender writes, so that senders do not conflict. What waits to be received is found by its due time, see front.
var (
	queueTable = store.NewTable("sqs", "queue", func(q *queueRecord) store.Key { return store.Key{q.Name} },
		store.Index[queueRecord]{Name: "dead", Entries: func(q *queueRecord) []store.Key {
			if q.Redrive == nil {
				return nil
			}
			return []store.Key{{q.Redrive.Target, q.Name}}
		}})

	goneTable = store.NewTable("sqs", "gone", func(g *goneRecord) store.Key { return store.Key{g.Name} })

	taskTable = store.NewTable("sqs", "task", func(t *taskRecord) store.Key { return store.Key{t.Queue, t.Started} })

	recentTable = store.NewTable("sqs", "recent", func(r *recentRecord) store.Key { return store.Key{r.Queue, r.Key} },
		store.Index[recentRecord]{Name: "expires", Entries: func(r *recentRecord) []store.Key { return []store.Key{{r.Queue, r.Expires}} }})
)

// queueRecord is a queue.
type queueRecord struct {
	Name, Account, Region string
	ID                    string // of the queue of that name that there is now
	Pile                  string // of its messages
	Created, Modified     time.Time
	Purged                time.Time `json:",omitzero"`
	FIFO                  bool      `json:",omitempty"`

	Settings settings
	Redrive  *redrivePolicy      `json:",omitempty"`
	Allow    *redriveAllowPolicy `json:",omitempty"`
	Policy   string              `json:",omitempty"` // as it was put
	Pins     identity.Pins       `json:",omitempty"` // whom Policy names
	Tags     map[string]string   `json:",omitempty"`
}

// settings are the attributes that are numbers and choices.
type settings struct {
	DelaySeconds, MaximumMessageSize, MessageRetentionPeriod, ReceiveMessageWaitTimeSeconds, VisibilityTimeout int

	ContentBasedDeduplication bool   `json:",omitempty"`
	DeduplicationScope        string `json:",omitempty"`
	FifoThroughputLimit       string `json:",omitempty"`

	KmsMasterKeyID               string `json:",omitempty"`
	KmsDataKeyReusePeriodSeconds int    `json:",omitempty"`
	NoManagedSSE                 bool   `json:",omitempty"` // SqsManagedSseEnabled is false
}

// goneRecord is a queue that was deleted.
type goneRecord struct {
	Name    string
	Deleted time.Time
}

// recentRecord is what a FIFO queue remembers for a while.
type recentRecord struct {
	Queue   string // its ID
	Key     string
	Expires time.Time

	ID       string   `json:",omitempty"` // of the message that was sent
	Sequence uint64   `json:",omitempty"`
	Handles  []string `json:",omitempty"` // of the messages that were received
}

// message is a message without what it says.
type message struct {
	ID       string
	Sender   string `json:",omitempty"`
	Sent     int64  // in milliseconds
	Visible  int64  // when it can be received, in nanoseconds
	Received int    `json:",omitempty"` // times
	First    int64  `json:",omitempty"` // time that it was received, in milliseconds
	Taken    int64  `json:",omitempty"` // the last time that it was, in nanoseconds
	Group    string `json:",omitempty"`
	Dedup    string `json:",omitempty"`
	Source   string `json:",omitempty"` // the ARN of the queue whose dead letter it is
	Bytes    int    // that it is charged for
	Pieces   int    // of its body

	seq uint64
}

// group is a message group that has messages.
type group struct {
	Last    uint64   // sequence that was given in it
	First   uint64   // there is no message before it
	Visible int64    // when the next messages can be received
	Flight  []flight `json:",omitempty"` // the messages in flight, which hold up the others

	name string
}

// flight is a message of a group that is in flight.
type flight struct {
	Sequence uint64
	Until    int64
}

// What keeps a message from being received, as the value of its due key.
const (
	delayed  = "d"
	inFlight = "f"
)

// pile is where messages of a queue lie.
type pile struct{ account, region, id string }

func (q *queueRecord) pile() pile { return pile{q.Account, q.Region, q.Pile} }

func (p pile) key(table string, parts ...any) []byte {
	return tuple.Append(p.begin(table, keyRoom), parts...)
}

// keyRoom is for two numbers behind the beginning of a key.
const keyRoom = 64

// begin is what all keys of a table of the pile begin with, with room for more.
func (p pile) begin(table string, room int) []byte {
	b := make([]byte, 0, len("sqs")+len(p.account)+len(p.region)+len(table)+len(p.id)+5+room)
	return tuple.Append(b, "sqs", p.account, p.region, table, p.id)
}

func (p pile) message(seq uint64) []byte         { return p.key("message", seq) }
func (p pile) body(seq uint64, piece int) []byte { return p.key("body", seq, piece) }
func (p pile) group(name string) []byte          { return p.key("group", name) }
func (p pile) order(group string, seq uint64) []byte {
	return p.key("order", group, seq)
}

// entry is the part of a due key that is behind the pile. Entries order by time.
type entry string

func entryAt(at int64, id any) entry { return entry(tuple.Encode(unix(at), id)) }

// until is the first entry that is not due at a time.
func until(t time.Time) entry { return entry(tuple.Encode(t.Add(1))) }

func (p pile) due(e entry) []byte { return append(p.begin("due", len(e)), e...) }

// id is the sequence or the group of an entry. Neither of them needs an escape.
func (e entry) id() string {
	_, rest, _ := strings.Cut(string(e), "\x00")
	id, rest, ended := strings.Cut(rest, "\x00")
	if !ended || rest != "" {
		return ""
	}
	return id
}

// time is when an entry is due.
func (e entry) time() time.Time {
	text, _, _ := strings.Cut(string(e), "\x00")
	t, _ := time.Parse(time.RFC3339Nano, text)
	return t
}

func unix(ns int64) time.Time { return time.Unix(0, ns).UTC() }

func get[R any](r store.Reader, key []byte) (*R, error) {
	value, err := r.Get(key)
	if err != nil {
		return nil, err
	}
	v := new(R)
	if err := json.Unmarshal(value, v); err != nil {
		return nil, fmt.Errorf("sqs: record %s does not decode", tuple.Format(key))
	}
	return v, nil
}

func set(tx store.Tx, key []byte, v any) error {
	value, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("sqs: encoding record %s: %w", tuple.Format(key), err)
	}
	tx.Set(key, value)
	return nil
}

// loadGroup returns a group, which is nil if it has no messages.
func (p pile) loadGroup(r store.Reader, name string) (*group, error) {
	g, err := get[group](r, p.group(name))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	g.name = name
	return g, nil
}

// free is a sequence that no message of the pile has, from one on. The ticket's own may have been given: by another process, or by the one before, when the clock was set back or stood
// still. It looks ever further ahead, as what was given lies close together.
func (p pile) free(r store.Reader, seq uint64) (uint64, error) {
	for step := uint64(1); ; step *= 2 {
		_, err := r.Get(p.message(seq))
		if errors.Is(err, store.ErrNotFound) {
			return seq, nil
		}
		if err != nil {
			return 0, err
		}
		seq += step
	}
}

// freeOf is the first of n sequences in a row that no message of the pile has. It looks once for all of them.
func (p pile) freeOf(r store.Reader, seq uint64, n int) (uint64, error) {
	if n == 1 {
		return p.free(r, seq)
	}
	for step := uint64(n); ; step *= 2 {
		taken := false
		for _, err := range r.Scan(p.message(seq), p.message(seq+uint64(n)), store.ScanOptions{Limit: 1}) {
			if err != nil {
				return 0, err
			}
			taken = true
		}
		if !taken {
			return seq, nil
		}
		seq += step
	}
}

// ticket gives sequences: the time, and in one process never the same twice nor a lower one after a higher one.
type ticket struct{ last atomic.Int64 }

func (t *ticket) next(now time.Time) uint64 { return t.nextOf(now, 1) }

// nextOf gives n sequences in a row, and returns the first.
func (t *ticket) nextOf(now time.Time, n int) uint64 {
	for {
		last := t.last.Load()
		seq := max(last+1, now.UnixNano())
		if t.last.CompareAndSwap(last, seq+int64(n)-1) {
			return uint64(seq)
		}
	}
}

package logs

import (
	"math"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/tuple"
)

const (
	retentionTimer = "retention" // of a group: deletes what is older than it keeps, once a day
	purgeTimer     = "purge"     // deletes what was in a group or a stream that is deleted

	day = 24 * time.Hour

	// deleteBatch is how many chunks a transaction deletes at most. What is left is for the timer's next time, which is at once.
	deleteBatch = 1000
)

// oldest is the timestamp from which on events show.
func (g *group) oldest() int64 {
	if g.Retention == 0 {
		return 0
	}
	return max(0, g.c.Time.Add(-time.Duration(g.Retention)*day).UnixMilli())
}

// retain has the group keep events for so many days, or for ever if 0. Events that are too old do not show before its timer fires. A timer that is set stays: who sets a policy again and
// again does not put off what is to be deleted.
func (g *group) retain(days int) error {
	before := g.Retention
	g.Retention = days
	switch {
	case days == 0:
		return g.c.Cancel(g.scope, retentionTimer, g.Name)
	case before != 0:
		return nil
	}
	return g.c.At(g.c.Time.Add(day), g.scope, retentionTimer, g.Name, nil)
}

// retentionDue deletes the chunks of a group whose last event is older than it keeps.
func (s *Service) retentionDue(c *call.Call, name string, _ []byte) error {
	g, err := look(c, name)
	if err != nil || !g.there || g.Retention == 0 {
		return err
	}
	oldest, left := g.oldest(), deleteBatch
	for st, err := range g.streams().Scan(c.Tx(), store.Query{Index: "oldest", Prefix: store.Key{g.ID}, To: store.Key{oldest}}) {
		if err != nil {
			return err
		}
		if left, err = g.expire(st, oldest, left); err != nil {
			return err
		}
		if left <= 0 {
			return c.At(c.Time, g.scope, retentionTimer, name, nil)
		}
	}
	return c.At(c.Time.Add(day), g.scope, retentionTimer, name, nil)
}

// expire deletes the chunks of a stream that end before a time, about so many at most. It returns how many more there may be.
func (g *group) expire(st *streamRecord, oldest int64, left int) (int, error) {
	first, freed := int64(math.MaxInt64), int64(0)
	stays := func(ch *chunkRecord) { first = min(first, max(ch.From, min(oldest, ch.To))) }
	goes := func(ch *chunkRecord) {
		g.erase(ch)
		freed += ch.Bytes
		left--
	}
	loose := looseTable.In(g.scope.Account, g.scope.Region)
	for ch, err := range loose.Scan(g.c.Tx(), store.Query{Prefix: store.Key{st.Group, st.ID}}) {
		if err != nil {
			return 0, err
		}
		if ch.To >= oldest {
			stays(ch)
			continue
		}
		if err := loose.Delete(g.c.Tx(), ch.Group, ch.Stream, ch.First); err != nil {
			return 0, err
		}
		st.Loose--
		st.LooseBytes -= ch.Bytes
		goes(ch)
	}
	chunks := chunkTable.In(g.scope.Account, g.scope.Region)
	for ch, err := range chunks.Scan(g.c.Tx(), store.Query{Prefix: store.Key{st.Group, st.ID}}) {
		if err != nil {
			return 0, err
		}
		if ch.To >= oldest || left <= 0 {
			stays(ch) // those behind it begin later: that some of them may be over, too, is for the next day
			break
		}
		if err := chunks.Delete(g.c.Tx(), ch.Group, ch.Stream, ch.From, ch.First); err != nil {
			return 0, err
		}
		goes(ch)
	}
	if st.First = first; first == math.MaxInt64 {
		st.First, st.Last = 0, 0
	}
	st.Held -= freed
	if err := g.grow(st.ID, -freed); err != nil {
		return 0, err
	}
	return left - 1, g.streams().Put(g.c.Tx(), st)
}

// purge has what is in the group's stream deleted, or in all of the group if none is named: it is deleted.
func (g *group) purge(stream string) error {
	return g.c.At(g.c.Time, g.scope, purgeTimer, g.ID+"/"+stream, nil)
}

// purgeDue deletes rows of a group that is no more, or of a stream.
func (s *Service) purgeDue(c *call.Call, subject string, _ []byte) error {
	id, stream, _ := strings.Cut(subject, "/")
	tables := []string{"data", "chunk", "loose"}
	if stream == "" {
		tables = append(tables, "stream", "stream.recent", "stream.oldest", "datakey", "size")
	}
	left := 2 * deleteBatch
	for _, table := range tables {
		from := tuple.Encode("logs", c.Scope.Account, c.Scope.Region, table, id)
		if stream != "" {
			from = tuple.Append(from, stream)
		}
		for kv, err := range c.Tx().Scan(from, store.PrefixEnd(from), store.ScanOptions{Limit: left}) {
			if err != nil {
				return err
			}
			c.Tx().Delete(kv.Key)
			left--
		}
		if left <= 0 {
			return c.At(c.Time, c.Scope, purgeTimer, subject, nil)
		}
	}
	return nil
}

package cloudtrail

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/blob"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/engine/lakesql"
	"github.com/holdfast-cloud/holdfast/store"
)

// What queries may use. Each worker answers one at a time.
const (
	queryWorkers = 2
	queryTime    = 10 * time.Minute
	queryMemory  = 256 << 20
	queryTries   = 3 // when segments were merged under it
)

// job is a query that is to be answered, with what StartQuery was allowed to read.
type job struct {
	account, region, id string // of its record
	owner               string // the account that asked
	keyed               string // the name of the event data store under whose key the results are, or empty
	query               *lakesql.Query
	stores              map[string]asked // by their names in the query
	now                 time.Time
}

// asked is an event data store of a query, with its key.
type asked struct {
	d *eventStoreRecord
	k storeKey
}

// queries are the jobs that wait and those that are under way.
type queries struct {
	mu      sync.Mutex // guards the rest
	jobs    []*job
	running map[string]running // by ID
	more    chan struct{}      // has one when there may be jobs
}

// running is a job that is under way.
type running struct {
	owner  string
	cancel context.CancelFunc
}

func newQueries() *queries {
	return &queries{running: make(map[string]running), more: make(chan struct{}, 1)}
}

func (q *queries) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.jobs)
}

func (q *queries) add(j *job) {
	q.mu.Lock()
	q.jobs = append(q.jobs, j)
	q.mu.Unlock()
	q.signal()
}

func (q *queries) signal() {
	select {
	case q.more <- struct{}{}:
	default:
	}
}

// take returns the next job, and nil when ctx ends.
func (q *queries) take(ctx context.Context) (*job, context.Context) {
	for {
		select {
		case <-ctx.Done():
			return nil, nil
		case <-q.more:
		}
		q.mu.Lock()
		if len(q.jobs) == 0 {
			q.mu.Unlock()
			continue
		}
		n := q.next()
		j := q.jobs[n]
		q.jobs = slices.Delete(q.jobs, n, n+1)
		of, cancel := context.WithCancel(ctx)
		q.running[j.id] = running{j.owner, cancel}
		q.mu.Unlock()
		q.signal()
		return j, of
	}
}

// next chooses among the jobs that wait: the first of an account of which the fewest are under way, so that the slow queries of one do not hold up all others.
func (q *queries) next() (best int) {
	busy := make(map[string]int)
	for _, r := range q.running {
		busy[r.owner]++
	}
	for n, j := range q.jobs {
		if busy[j.owner] < busy[q.jobs[best].owner] {
			best = n
		}
	}
	return best
}

// cancel ends a job, which waits or is under way.
func (q *queries) cancel(id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.jobs = slices.DeleteFunc(q.jobs, func(j *job) bool { return j.id == id })
	if r, ok := q.running[id]; ok {
		r.cancel()
		delete(q.running, id)
	}
}

// Run answers queries until ctx ends. Those that were under way when the process ended fail.
func (s *Service) Run(ctx context.Context) {
	if err := s.failInterrupted(ctx); err != nil && ctx.Err() == nil {
		s.cfg.Report(fmt.Errorf("ending the queries of before: %w", err))
	}
	var work sync.WaitGroup
	for range queryWorkers {
		work.Go(func() {
			for j, of := s.queries.take(ctx); j != nil; j, of = s.queries.take(ctx) {
				if err := s.answer(of, j); err != nil && of.Err() == nil {
					s.cfg.Report(fmt.Errorf("query %s: %w", j.id, err))
				}
				s.queries.cancel(j.id)
			}
		})
	}
	work.Wait()
}

// failInterrupted ends the queries that nobody answers any more.
func (s *Service) failInterrupted(ctx context.Context) error {
	return s.cfg.Store.Update(ctx, func(tx store.Tx) error {
		for r, err := range queryTable.In("", "").Scan(tx, store.Query{Index: "active"}) {
			if err != nil {
				return err
			}
			if s.queries.has(r.ID) {
				continue
			}
			r.Status, r.Error = cloudtrail.QueryStatusFailed, "The query was interrupted. Run it again."
			if err := queryTable.In(r.Account, r.Region).Put(tx, r); err != nil {
				return err
			}
		}
		return nil
	})
}

// has reports whether a query waits or is under way here.
func (q *queries) has(id string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, j := range q.jobs {
		if j.id == id {
			return true
		}
	}
	_, ok := q.running[id]
	return ok
}

var errEnded = errors.New("the query has ended already")

// note changes the record of a query that has not ended.
func (s *Service) note(ctx context.Context, j *job, fn func(*queryRecord)) error {
	return s.cfg.Store.Update(ctx, func(tx store.Tx) error {
		rows := queryTable.In(j.account, j.region)
		r, err := rows.Get(tx, j.id)
		if errors.Is(err, store.ErrNotFound) || err == nil && !r.active() {
			return errEnded
		}
		if err != nil {
			return err
		}
		fn(r)
		return rows.Put(tx, r)
	})
}

// answer carries out a job and keeps what comes of it.
func (s *Service) answer(ctx context.Context, j *job) error {
	err := s.note(ctx, j, func(r *queryRecord) { r.Status = cloudtrail.QueryStatusRunning })
	if errors.Is(err, errEnded) {
		return nil
	}
	if err != nil {
		return err
	}
	watch := clock.Start()
	result, err := s.run(ctx, j)
	if ctx.Err() != nil {
		return nil // cancelled, or the process ends
	}
	outcome := queryRecord{Status: cloudtrail.QueryStatusFinished, Millis: watch.Elapsed().Milliseconds()}
	if result != nil {
		outcome.Matched, outcome.Scanned, outcome.Bytes = result.Stats.Matched, result.Stats.Scanned, result.Stats.Bytes
	}
	if err == nil {
		outcome.Columns, outcome.Rows = result.Columns, int64(len(result.Rows))
		outcome.Blob, err = s.keep(ctx, j, result.Rows)
	}
	if err != nil {
		outcome.Status, outcome.Error = failed(err)
		if outcome.Error == internalFailure {
			s.cfg.Report(fmt.Errorf("query %s: %w", j.id, err))
		}
	}
	err = s.note(ctx, j, func(r *queryRecord) {
		r.Status, r.Error, r.Millis = outcome.Status, outcome.Error, outcome.Millis
		r.Matched, r.Scanned, r.Bytes, r.Rows = outcome.Matched, outcome.Scanned, outcome.Bytes, outcome.Rows
		r.Columns, r.Blob = outcome.Columns, outcome.Blob
	})
	if err != nil && outcome.Blob != "" {
		err = errors.Join(err, s.cfg.Blob.Delete(context.WithoutCancel(ctx), outcome.Blob))
	}
	if errors.Is(err, errEnded) {
		return nil
	}
	return err
}

const internalFailure = "The query failed because of an internal error. Run it again."

// failed is how a query ends that has an error, and what its caller hears of that.
func failed(err error) (cloudtrail.QueryStatus, string) {
	if errors.Is(err, context.DeadlineExceeded) {
		return cloudtrail.QueryStatusTimedOut, "The query took longer than a query may."
	}
	if _, ok := errors.AsType[*lakesql.Error](err); ok || errors.Is(err, lakesql.ErrLimit) {
		return cloudtrail.QueryStatusFailed, err.Error()
	}
	return cloudtrail.QueryStatusFailed, internalFailure
}

// run answers the query. When a segment that it was about to read has been merged into another, it begins again.
func (s *Service) run(ctx context.Context, j *job) (result *lakesql.Result, err error) {
	ctx, cancel := context.WithTimeout(ctx, queryTime)
	defer cancel()
	for range queryTries {
		result, err = j.query.Run(ctx, source{s, j}, lakesql.Limits{Time: queryTime, Memory: queryMemory, Now: j.now})
		if !errors.Is(err, blob.ErrNotFound) {
			break
		}
	}
	return result, err
}

// source gives a query the events that it asks for. It implements lakesql.Source.
type source struct {
	s *Service
	j *job
}

// Records yields what of an event data store may be in a time range: first what is in no segment yet, then the segments.
func (src source) Records(ctx context.Context, name string, from, to time.Time) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		of, ok := src.j.stores[name]
		if !ok {
			yield(nil, fmt.Errorf("event data store %s was not asked for", name))
			return
		}
		oldest := of.d.oldest(src.j.now)
		if from.Before(oldest) {
			from = oldest
		}
		segments, more, err := src.snapshot(ctx, of, from, to, yield)
		if err != nil {
			yield(nil, err)
			return
		}
		if !more {
			return
		}
		for _, seg := range segments {
			if !src.segment(ctx, of, seg, oldest, yield) {
				return
			}
		}
	}
}

// snapshot yields the pending events, and returns the segments that belong to them: an event is in one or the other.
func (src source) snapshot(ctx context.Context, of asked, from, to time.Time, yield func([]byte, error) bool) (segments []*segmentRecord, more bool, err error) {
	err = src.s.cfg.Store.View(ctx, func(r store.Reader) error {
		since := store.Key{from.Add(-day)} // events from outside may be a day ahead of the clock, and End is not
		for seg, err := range segmentTable.In(of.d.Account, of.d.Region).Scan(r, store.Query{Prefix: store.Key{of.d.ID}, From: since}) {
			if err != nil {
				return err
			}
			if !seg.To.Before(from) && (to.IsZero() || seg.From.Before(to)) {
				segments = append(segments, seg)
			}
		}
		for e, err := range pendingTable.In(of.d.Account, of.d.Region).Scan(r, store.Query{Prefix: store.Key{of.d.ID}}) {
			if err != nil {
				return err
			}
			if e.Time.Before(from) || !to.IsZero() && !e.Time.Before(to) {
				continue
			}
			event, err := src.s.event(e)
			if err != nil {
				return err
			}
			if !yield(event, nil) {
				return nil
			}
		}
		more = true
		return nil
	})
	return segments, more, err
}

// segment yields the events of a segment, but for those that are forgotten.
func (src source) segment(ctx context.Context, of asked, seg *segmentRecord, oldest time.Time, yield func([]byte, error) bool) (more bool) {
	for event, err := range src.s.events(ctx, of.k, seg) {
		if err == nil && seg.From.Before(oldest) && timeOf(event).Before(oldest) {
			continue
		}
		if !yield(event, err) || err != nil {
			return false
		}
	}
	return true
}

// timeOf is the eventTime of an event that this program put together, so that it is found without reading all of it.
func timeOf(event []byte) time.Time {
	_, rest, _ := bytes.Cut(event, []byte(`,"eventTime":"`))
	text, _, _ := bytes.Cut(rest, []byte{'"'})
	at, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return time.Time{}
	}
	return at
}

// keep writes the rows of a result: a line each, the JSON array of its fields.
func (s *Service) keep(ctx context.Context, j *job, rows [][]lakesql.Value) (key string, err error) {
	if key, err = objectKey(rand.Reader); err != nil {
		return "", err
	}
	k := j.stores[j.keyed].k
	content, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.CloseWithError(writeRows(w, rows))
	}()
	_, err = k.objects(s.cfg.Blob).Put(ctx, key, content)
	content.CloseWithError(err)
	<-done
	return key, err
}

func writeRows(w io.Writer, rows [][]lakesql.Value) error {
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for _, row := range rows {
		fields := make([]*string, len(row))
		for i := range row {
			if !row[i].Null {
				fields[i] = &row[i].String
			}
		}
		if err := enc.Encode(fields); err != nil {
			return err
		}
	}
	return out.Flush()
}

// Package meter is where services count what they publish as CloudWatch metrics. A number is added to what the process keeps in memory for its series and minute, which costs next
// to nothing; the CloudWatch service takes what has gathered and stores it, every few seconds. So a crash loses what was counted in the last seconds, and never anything that a
// customer was told is done: metrics count calls, they are not their outcome.
package meter

import (
	"context"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-cloud/holdfast/engine/histogram"
)

// The units that services use; CloudWatch knows more.
const (
	Count        = "Count"
	Bytes        = "Bytes"
	Seconds      = "Seconds"
	Milliseconds = "Milliseconds"
	None         = "None"
)

// Series names the numbers that belong together.
type Series struct {
	Account, Region string
	Namespace       string // e.g. AWS/SQS
	Name            string // e.g. NumberOfMessagesSent
	Unit            string // see the constants; "" is None
	Dimensions      []Dimension
}

// Dimension is a part of a series' name. Their order does not matter, but the same order each time is quicker.
type Dimension struct{ Name, Value string }

// Point is what came of a series in a minute.
type Point struct {
	Series Series
	Minute time.Time
	histogram.Histogram
}

// Adder takes a number that belongs to a time.
type Adder func(s Series, value float64)

// Gauge adds what can only be read at a time, such as how many messages a queue holds. It is called about once a minute of the domain clock, in no transaction.
type Gauge func(ctx context.Context, at time.Time, add Adder)

// Meter gathers numbers. All methods may be called concurrently, and do nothing on a nil Meter.
type Meter struct {
	seed    maphash.Seed
	shards  [shards]shard
	held    atomic.Int64  // series and minutes in memory
	dropped atomic.Uint64 // numbers for which there was no room

	mu     sync.Mutex // guards gauges
	gauges []Gauge
}

const (
	shards = 64

	// maxHeld is how many series and minutes are kept in memory. What does not fit is dropped, and counted: a service that publishes a series for each of a
	// million things must not take the process down. A full one is about 1 kB.
	maxHeld = 100_000
)

// shard is a part of the series, by their hash. Its lock is held for a map lookup and an addition.
type shard struct {
	mu     sync.Mutex
	points map[uint64]*entry

	_ [40]byte // so that two locks do not share a cache line
}

// entry is a point, and the next one with the same hash.
type entry struct {
	series Series
	minute int64 // since 1970
	sum    histogram.Histogram
	next   *entry
}

// New returns a meter.
func New() *Meter {
	m := &Meter{seed: maphash.MakeSeed()}
	for i := range m.shards {
		m.shards[i].points = make(map[uint64]*entry)
	}
	return m
}

// Add adds a number at a time. It keeps nothing of s.
func (m *Meter) Add(s Series, at time.Time, value float64) {
	if m == nil {
		return
	}
	minute := at.Unix() / 60
	h := m.hash(&s, minute)
	sh := &m.shards[h%shards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	first := sh.points[h]
	for e := first; e != nil; e = e.next {
		if e.minute == minute && e.series.is(&s) {
			e.sum.Add(value)
			return
		}
	}
	if m.held.Add(1) > maxHeld {
		m.held.Add(-1)
		m.dropped.Add(1)
		return
	}
	e := &entry{series: s.clone(), minute: minute, next: first}
	e.sum.Add(value)
	sh.points[h] = e
}

func (m *Meter) hash(s *Series, minute int64) uint64 {
	var h maphash.Hash
	h.SetSeed(m.seed)
	for _, part := range [...]string{s.Account, s.Region, s.Namespace, s.Name, s.Unit} {
		h.WriteString(part)
		h.WriteByte(0)
	}
	for i := range s.Dimensions {
		h.WriteString(s.Dimensions[i].Name)
		h.WriteByte(0)
		h.WriteString(s.Dimensions[i].Value)
		h.WriteByte(0)
	}
	for ; minute > 0; minute >>= 8 {
		h.WriteByte(byte(minute))
	}
	return h.Sum64()
}

func (s *Series) is(o *Series) bool {
	return s.Name == o.Name && s.Account == o.Account && s.Region == o.Region && s.Namespace == o.Namespace && s.Unit == o.Unit && slices.Equal(s.Dimensions, o.Dimensions)
}

// clone is a copy that does not keep larger strings in memory, of which those of s may be parts.
func (s *Series) clone() Series {
	out := Series{
		Account: strings.Clone(s.Account), Region: strings.Clone(s.Region), Namespace: strings.Clone(s.Namespace), Name: strings.Clone(s.Name), Unit: strings.Clone(s.Unit),
	}
	for _, d := range s.Dimensions {
		out.Dimensions = append(out.Dimensions, Dimension{strings.Clone(d.Name), strings.Clone(d.Value)})
	}
	return out
}

// Collect has g called before what was gathered is taken.
func (m *Meter) Collect(g Gauge) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gauges = append(m.gauges, g)
}

// Read calls the gauges. CloudWatch does, once a minute.
func (m *Meter) Read(ctx context.Context, at time.Time) {
	if m == nil {
		return
	}
	m.mu.Lock()
	gauges := slices.Clone(m.gauges)
	m.mu.Unlock()
	for _, g := range gauges {
		g(ctx, at, func(s Series, value float64) { m.Add(s, at, value) })
	}
}

// Take returns what was gathered since the last time, in no order, and forgets it: the caller stores it.
func (m *Meter) Take() []Point {
	if m == nil || m.held.Load() == 0 {
		return nil
	}
	var out []Point
	for i := range m.shards {
		sh := &m.shards[i]
		sh.mu.Lock()
		if len(sh.points) == 0 {
			sh.mu.Unlock()
			continue
		}
		points := sh.points
		sh.points = make(map[uint64]*entry)
		sh.mu.Unlock()
		for _, e := range points {
			for ; e != nil; e = e.next {
				out = append(out, Point{e.series, time.Unix(e.minute*60, 0).UTC(), e.sum})
			}
		}
	}
	m.held.Add(-int64(len(out)))
	return out
}

// Dropped is how many numbers there was no room for.
func (m *Meter) Dropped() uint64 {
	if m == nil {
		return 0
	}
	return m.dropped.Load()
}

// Package evidence keeps why calls were allowed or denied: for each time that permission was asked, which policies were considered, which
// statement decided, and which values they saw.
//
// A [Trace] collects that while a call runs, and goes into the call's audit record. It names policies by hashes of their text, and the
// [Recorder] sees to it that those texts are in the store before the call is answered. So a call can be explained later ([Recorder.Why]) by the policies as
// they were, also when they have been changed or deleted since.
//
// What was recorded leads further: to the encoded message that a denied caller may have decoded ([Encode], [Decode]), and to a policy
// that allows what was done and nothing else ([Usage]).
package evidence

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/store"
)

// ErrLost says that the texts of the policies that decided a call could not be kept, so the call must not be answered.
var ErrLost = errors.New("the policies that decided the call could not be kept")

// Config says how a Recorder works. Store is needed.
type Config struct {
	Store store.Store

	// Seal encrypts the messages that denied callers are given; nil gives none.
	Seal Sealer

	// KeepOn has calls go on when the policies that decided them cannot be kept. Otherwise they are refused.
	KeepOn bool

	// Failed is told of what could not be kept although the call went on; nil tells nobody.
	Failed func(error)
}

// Recorder keeps the texts of policies that decide. All methods may be called concurrently.
type Recorder struct {
	cfg Config

	// known holds the sets that were used, by a hash of their policies' fingerprints: uint64 to *entry. An entry is looked up twice for most
	// calls, without a lock.
	known sync.Map
	limit int // knownLimit

	growing sync.Mutex                  // guards the following, and is held while known gets more
	weight  int                         // of known, in bytes
	pinned  map[policy.Fingerprint]bool // the documents of known

	mu      sync.Mutex // guards waiting
	waiting *batch
	writing sync.Mutex // held while a batch is written: what comes meanwhile makes up the next
}

// New returns a recorder over a store.
func New(cfg Config) *Recorder {
	if cfg.Failed == nil {
		cfg.Failed = func(error) {}
	}
	return &Recorder{cfg: cfg, limit: knownLimit}
}

// binding is the policies that are considered together. One of a principal has the first four, one of the fences around account and
// network the next three, and a resource's the last.
type binding struct {
	identity, groups []*policy.Policy
	boundary         *policy.Policy
	session          []*policy.Policy
	rcp, scp         [][]*policy.Policy
	endpoint         *policy.Policy
	resource         *policy.Policy
}

func ofPrincipal(r *policy.Request) binding {
	return binding{identity: r.Identity, groups: r.Groups, boundary: r.Boundary, session: r.Session}
}

func ofFences(r *policy.Request) binding {
	return binding{rcp: r.RCP, scp: r.SCP, endpoint: r.Endpoint}
}

func (b *binding) empty() bool {
	return len(b.identity) == 0 && len(b.groups) == 0 && b.boundary == nil && len(b.session) == 0 &&
		len(b.rcp) == 0 && len(b.scp) == 0 && b.endpoint == nil && b.resource == nil
}

// hash is quick, and good enough to find an entry; whether it is the right one is for same to say.
func (b *binding) hash() uint64 {
	h := mixAll(1, b.identity)
	h = mixAll(h, b.groups)
	h = mix(h, b.boundary)
	h = mixAll(h, b.session)
	for _, level := range b.rcp {
		h = mixAll(h, level)
	}
	h = mix(h, nil)
	for _, level := range b.scp {
		h = mixAll(h, level)
	}
	h = mix(h, b.endpoint)
	return mix(h, b.resource)
}

func mixAll(h uint64, ps []*policy.Policy) uint64 {
	for _, p := range ps {
		h = mix(h, p)
	}
	return mix(h, nil)
}

func mix(h uint64, p *policy.Policy) uint64 {
	v := uint64(1)
	if p != nil {
		f := p.Fingerprint()
		v = binary.LittleEndian.Uint64(f[:])
	}
	h = (h ^ v) * 0x9e3779b97f4a7c15
	return h ^ h>>29
}

// same compares pointers: compiled policies do not change.
func (b *binding) same(o *binding) bool {
	return slices.Equal(b.identity, o.identity) && slices.Equal(b.groups, o.groups) && b.boundary == o.boundary && slices.Equal(b.session, o.session) &&
		slices.EqualFunc(b.rcp, o.rcp, slices.Equal[[]*policy.Policy]) && slices.EqualFunc(b.scp, o.scp, slices.Equal[[]*policy.Policy]) &&
		b.endpoint == o.endpoint && b.resource == o.resource
}

// parts lists the policies in the order in which position counts them.
func (b *binding) parts() (parts []part, policies []*policy.Policy) {
	add := func(group bool, level int, ps ...*policy.Policy) {
		for _, p := range ps {
			if p != nil {
				parts = append(parts, part{Kind: p.Kind(), Group: group, Level: level, Name: p.Name(), Policy: textID(p)})
				policies = append(policies, p)
			}
		}
	}
	add(false, 0, b.identity...)
	add(true, 0, b.groups...)
	add(false, 0, b.boundary)
	add(false, 0, b.session...)
	for i, level := range b.rcp {
		add(false, i, level...)
	}
	for i, level := range b.scp {
		add(false, i, level...)
	}
	add(false, 0, b.endpoint)
	return parts, policies
}

// position is where p stands in parts, or -1.
func (b *binding) position(p *policy.Policy) int {
	n := 0
	for _, list := range [...][]*policy.Policy{b.identity, b.groups} {
		if i := slices.Index(list, p); i >= 0 {
			return n + i
		}
		n += len(list)
	}
	if b.boundary != nil {
		if b.boundary == p {
			return n
		}
		n++
	}
	if i := slices.Index(b.session, p); i >= 0 {
		return n + i
	}
	n += len(b.session)
	for _, levels := range [...][][]*policy.Policy{b.rcp, b.scp} {
		for _, level := range levels {
			if i := slices.Index(level, p); i >= 0 {
				return n + i
			}
			n += len(level)
		}
	}
	if b.endpoint != nil && b.endpoint == p {
		return n
	}
	return -1
}

// entry is a binding with its name in traces.
type entry struct {
	binding
	id     string
	parts  []part // of a set
	texts  []*policy.Policy
	single bool         // a resource's policy, which is its own set
	kept   atomic.Int64 // the period in which it was last seen to be in the store, plus one
}

// knownLimit bounds what is known, in bytes: the compiled policies are held here, also those that are in force no more, and how large they are and how often
// they change is up to callers.
const knownLimit = 512 << 20

// find returns the entry of a binding that is not empty.
func (r *Recorder) find(b *binding) *entry {
	h := b.hash()
	v, ok := r.known.Load(h)
	if ok {
		if e := v.(*entry); b.same(&e.binding) {
			return e
		}
	}
	e := newEntry(*b)
	if ok {
		if old := v.(*entry); old.id == e.id { // compiled again
			e.kept.Store(old.kept.Load())
			r.known.Store(h, e)
			return e
		}
	}
	r.add(h, e)
	return e
}

func (r *Recorder) add(h uint64, e *entry) {
	r.growing.Lock()
	defer r.growing.Unlock()
	r.weight += r.pin(e)
	if r.weight > r.limit {
		r.known.Clear()
		r.pinned = nil
		r.weight = r.pin(e)
	}
	r.known.Store(h, e)
}

// pin returns about how much memory an entry takes beside what others have already: a compiled policy some twenty times its text.
func (r *Recorder) pin(e *entry) int {
	if r.pinned == nil {
		r.pinned = make(map[policy.Fingerprint]bool)
	}
	n := 1 << 10
	for _, p := range e.texts {
		n += 256
		if f := p.Fingerprint(); !r.pinned[f] {
			r.pinned[f] = true
			n += 20 * len(p.Text())
		}
	}
	return n
}

func newEntry(b binding) *entry {
	e := &entry{binding: b}
	if b.resource != nil {
		e.id, e.texts, e.single = textID(b.resource), []*policy.Policy{b.resource}, true
		return e
	}
	e.parts, e.texts = b.parts()
	e.id = setID(e.parts)
	return e
}

// textID names the text of a policy of a kind. An attacker who can write policies must not be able to pass one off as another, so it is as long as a
// hash must be that nobody finds two texts of.
func textID(p *policy.Policy) string {
	h := sha256.New()
	h.Write([]byte{'p', byte(p.Kind())})
	h.Write([]byte(p.Text()))
	return name(h.Sum(nil))
}

func setID(parts []part) string {
	b, _ := json.Marshal(parts) // numbers and strings
	sum := sha256.Sum256(append([]byte{'s'}, b...))
	return name(sum[:])
}

var digits = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// name is 160 bits of a hash, in 32 digits.
func name(sum []byte) string { return digits.EncodeToString(sum[:20]) }

// period is how long what was seen to be in the store is not looked for again. What has not been used for the time that audit records are kept,
// and a period more, is forgotten.
const period = 7 * 24 * time.Hour

func periodOf(t time.Time) int64 { return t.Unix()/int64(period/time.Second) + 1 }

// batch is the entries that one transaction writes.
type batch struct {
	entries []*entry
	done    bool
	err     error
}

// keep makes the entries durable. Those who come while others write wait for one transaction together.
func (r *Recorder) keep(ctx context.Context, now time.Time, entries []*entry) error {
	r.mu.Lock()
	if r.waiting == nil {
		r.waiting = new(batch)
	}
	b := r.waiting
	b.entries = append(b.entries, entries...)
	r.mu.Unlock()

	r.writing.Lock()
	if !b.done {
		r.mu.Lock()
		r.waiting = nil
		r.mu.Unlock()
		b.err = r.write(context.WithoutCancel(ctx), now, b.entries)
		b.done = true
	}
	r.writing.Unlock()
	if b.err == nil {
		return nil
	}
	if stale, ok := errors.AsType[*staleError](b.err); ok || r.cfg.KeepOn {
		if ok {
			r.cfg.Failed(fmt.Errorf("marking policies as used: %w", stale.cause))
		} else {
			r.cfg.Failed(fmt.Errorf("keeping the policies that decided a call: %w", b.err))
		}
		return nil
	}
	return fmt.Errorf("%w: %w", ErrLost, b.err)
}

// staleError says that everything is there, and could not be marked as used again.
type staleError struct{ cause error }

func (e *staleError) Error() string { return e.cause.Error() }

// chunk is how many sets one transaction writes: with the largest documents they stay below the store's limit.
const chunk = 16

func (r *Recorder) write(ctx context.Context, now time.Time, entries []*entry) error {
	current := periodOf(now)
	seen := make(map[*entry]bool)
	var fresh []*entry
	for _, e := range entries {
		if e.kept.Load() < current && !seen[e] {
			fresh = append(fresh, e)
		}
		seen[e] = true
	}
	for part := range slices.Chunk(fresh, chunk) {
		lacking := true
		err := r.cfg.Store.Update(ctx, func(tx store.Tx) (err error) {
			lacking, err = put(tx, now, part)
			return err
		})
		if err != nil {
			if !lacking {
				return &staleError{err}
			}
			return err
		}
		for _, e := range part {
			e.kept.Store(current)
		}
	}
	return nil
}

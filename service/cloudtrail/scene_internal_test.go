package cloudtrail

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/api/s3"
	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/engine/trailfile"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/organization"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
	"github.com/holdfast-cloud/holdfast/timer"
	"github.com/holdfast-cloud/holdfast/wire"
)

const (
	home  = "us-east-1"
	ours  = "111122223333"
	other = "444455556666"
)

// scene is the deliveries of a service over a store, with a log that the test writes and a bucket that can refuse.
type scene struct {
	t     *testing.T
	store store.Store
	clock *clock.Movable
	timer *timer.Scheduler
	s     *Service
	log   []audit.Entry
	id    int

	refuse   func(key string) string // the code of the error to refuse an object with
	meddle   func()                  // runs before a pass commits
	reported []error                 // by the service
	metadata map[string]map[string]string
}

func newScene(t *testing.T) *scene {
	w := &scene{t: t, store: memstore.New(), clock: clock.NewFrozen(time.Date(2027, 1, 1, 12, 2, 0, 0, time.UTC)), metadata: map[string]map[string]string{}}
	root, err := seal.NewKey(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	keyring, err := seal.Open(t.Context(), seal.Config{Provider: root, Storage: new(seal.Memory), Clock: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	w.s = &Service{failing: make(map[string]time.Time), cfg: Config{
		Feed: w, Store: w.store, Seal: keyring, Organizations: w, Partition: "aws", S3: s3.Client{Transport: w}, Report: func(err error) { w.reported = append(w.reported, err) },
	}}
	w.timer = timer.NewScheduler(w.store, w.clock, w.fire)
	return w
}

// Read, End and Settle make the scene a Feed.
func (w *scene) Read(_ context.Context, after audit.Cursor, fn func(audit.Cursor, audit.Entry) error) (audit.Cursor, error) {
	for int(after.Offset) < len(w.log) {
		next := audit.Cursor{Segment: 1, Offset: after.Offset + 1}
		err := fn(next, w.log[after.Offset])
		if err == nil || err == audit.ErrEnough {
			after = next
		}
		if err == audit.ErrEnough {
			return after, nil
		}
		if err != nil {
			return after, err
		}
	}
	return after, nil
}

func (w *scene) End(context.Context) (audit.Cursor, error) {
	return audit.Cursor{Segment: 1, Offset: int64(len(w.log))}, nil
}

func (w *scene) Settle(context.Context) error { return nil }

// Member makes the scene an organization of all accounts that begin with 4.
func (w *scene) Member(_ context.Context, account string) (*organization.Member, error) {
	if account[0] != '4' {
		return nil, nil
	}
	return &organization.Member{OrgID: "o-exampleorgid"}, nil
}

// Invoke makes the scene S3, which keeps objects in the transaction, and leaves an event of the delivery.
func (w *scene) Invoke(c *call.Call, op *wire.Operation, in wire.Shape) (wire.Shape, error) {
	put := in.(*s3.PutObjectRequest)
	if w.refuse != nil {
		if code := w.refuse(*put.Key); code != "" {
			return nil, &wire.Error{Code: code, Status: 400}
		}
	}
	body, err := io.ReadAll(put.Body)
	if err != nil {
		return nil, err
	}
	key := []byte("object/" + *put.Bucket + "/" + *put.Key)
	if _, err := c.Tx().Get(key); !errors.Is(err, store.ErrNotFound) {
		w.t.Errorf("%s is there already: %v", key, err)
	}
	if c.Source.ARN == "" || put.ACL != s3.ObjectCannedACLBucketOwnerFullControl {
		w.t.Errorf("PutObject for %q with the ACL %s", c.Source.ARN, put.ACL)
	}
	c.Tx().Set(key, body)
	w.metadata[*put.Key] = put.Metadata
	return new(s3.PutObjectOutput), nil
}

// do runs a handler as the door does.
func (w *scene) do(account, region string, fn func(*call.Call) error) error {
	for {
		tx, err := w.store.Begin(w.t.Context())
		if err != nil {
			return err
		}
		c := &call.Call{
			Context: w.t.Context(), Scope: call.Scope{Partition: "aws", Account: account, Region: region}, Caller: identity.Service("cloudtrail.amazonaws.com"), Time: w.clock.Now(), Rand: rand.Reader,
		}
		c.Bind("cloudtrail", nil, func() (store.Tx, error) { return tx, nil })
		if err := fn(c); err != nil {
			tx.Discard()
			return err
		}
		if w.meddle != nil {
			w.meddle()
			w.meddle = nil
		}
		if err := tx.Commit(w.t.Context()); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

func (w *scene) fire(_ context.Context, tm *timer.Timer) error {
	return w.do(tm.Account, tm.Region, func(c *call.Call) error {
		if taken, err := timer.Take(c.Tx(), tm); err != nil || !taken {
			return err
		}
		switch tm.Kind {
		case digestTimer:
			return w.s.digestDue(c, tm.Subject, tm.Payload)
		case insightsTimer:
			return w.s.insightsDue(c, tm.Subject, tm.Payload)
		}
		return w.s.deliverDue(c, tm.Subject, tm.Payload)
	})
}

func (w *scene) advance(d time.Duration) {
	w.t.Helper()
	if err := w.timer.MoveTo(w.t.Context(), w.clock, w.clock.Now().Add(d)); err != nil {
		w.t.Fatal(err)
	}
	for _, err := range w.reported {
		w.t.Errorf("reported: %v", err)
	}
	if n := w.timer.Stats().Failed; n > 0 {
		w.t.Fatalf("%d timers failed", n)
	}
}

// change does something to a trail, as an operation.
func (w *scene) change(t *trailRecord, fn func(*Service, *call.Call, *trailRecord) error) {
	w.t.Helper()
	err := w.do(t.Account, t.Region, func(c *call.Call) error {
		return errors.Join(trailTable.In(t.Account, t.Region).Put(c.Tx(), t), fn(w.s, c, t))
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *scene) trail(name string) *trailRecord {
	return &trailRecord{Account: ours, Region: home, Name: name, Bucket: "bucket-" + name, MultiRegion: true, GlobalEvents: true, Validation: true}
}

func (w *scene) start(t *trailRecord) *trailRecord {
	w.t.Helper()
	w.change(t, (*Service).startDelivery)
	return t
}

// call puts the record of a call into the log, and returns its event ID.
func (w *scene) call(account, region string) string {
	return w.record(account, region, []byte(`{"type":"Root"}`))
}

func (w *scene) record(account, region string, identity []byte) string {
	w.id++
	r := audit.Record{
		Time: w.clock.Now(), Identity: identity, Source: "kms.amazonaws.com", Name: "Encrypt", Region: region, EventID: fmt.Sprintf("event-%d", w.id), Type: audit.APICall, Management: true,
		Recipient: account,
	}
	w.log = append(w.log, audit.Entry{Time: r.Time, Record: r.AppendJSON(nil)})
	return r.EventID
}

// caused puts a record into the log of what CloudTrail itself has done.
func (w *scene) caused() string {
	return w.record(ours, home, identity.Service("cloudtrail.amazonaws.com").UserIdentity())
}

// objects returns what lies in a bucket, uncompressed, by key in order.
func (w *scene) objects(bucket, kind string) (keys []string, contents [][]byte) {
	w.t.Helper()
	err := w.store.View(w.t.Context(), func(r store.Reader) error {
		prefix := []byte("object/" + bucket + "/")
		for kv, err := range r.Scan(prefix, store.PrefixEnd(prefix), store.ScanOptions{}) {
			if err != nil {
				return err
			}
			key := strings.TrimPrefix(string(kv.Key), string(prefix))
			if !strings.Contains(key, "/"+kind+"/") {
				continue
			}
			z, err := gzip.NewReader(bytes.NewReader(kv.Value))
			if err != nil {
				return err
			}
			content, err := io.ReadAll(z)
			if err != nil {
				return err
			}
			keys, contents = append(keys, key), append(contents, content)
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return keys, contents
}

// events are the IDs of the events in a bucket, sorted.
func (w *scene) events(bucket string) (ids []string) {
	w.t.Helper()
	_, contents := w.objects(bucket, "CloudTrail")
	for _, content := range contents {
		var file struct{ Records []struct{ EventID string } }
		if err := json.Unmarshal(content, &file); err != nil {
			w.t.Fatal(err)
		}
		for _, r := range file.Records {
			ids = append(ids, r.EventID)
		}
	}
	slices.Sort(ids)
	return ids
}

func (w *scene) wantEvents(bucket string, want ...string) {
	w.t.Helper()
	slices.Sort(want)
	if got := w.events(bucket); !slices.Equal(got, want) {
		w.t.Errorf("in %s are %v, want %v", bucket, got, want)
	}
}

// digests reads a chain, and checks that its links fit.
func (w *scene) digests(bucket string) (all []trailfile.Digest) {
	w.t.Helper()
	keys, contents := w.objects(bucket, "CloudTrail-Digest")
	for i, content := range contents {
		var d trailfile.Digest
		if err := json.Unmarshal(content, &d); err != nil {
			w.t.Fatal(err)
		}
		if d.Object != keys[i] || w.metadata[keys[i]][trailfile.MetaSignature] == "" {
			w.t.Errorf("the digest %s says %s, metadata %v", keys[i], d.Object, w.metadata[keys[i]])
		}
		all = append(all, d)
	}
	return all
}

// nothingLeft checks that no delivery is kept, and that no timer is set.
func (w *scene) nothingLeft() {
	w.t.Helper()
	fired := w.timer.Stats().Fired
	w.advance(48 * time.Hour)
	if n := w.timer.Stats().Fired - fired; n > 0 {
		w.t.Errorf("%d timers fire when nothing logs", n)
	}
	err := w.store.View(w.t.Context(), func(r store.Reader) error {
		for d, err := range deliveryTable.In(call.OwnAccount, home).Scan(r, store.Query{}) {
			w.t.Errorf("a delivery is left: %+v, %v", d, err)
		}
		for d, err := range deliveredTable.In(call.OwnAccount, home).Scan(r, store.Query{}) {
			w.t.Errorf("no digest names %+v, %v", d, err)
		}
		for i, err := range insightTable.In(call.OwnAccount, home).Scan(r, store.Query{}) {
			w.t.Errorf("an Insights event was not delivered: %+v, %v", i, err)
		}
		for h, err := range chainTable.In(call.OwnAccount, home).Scan(r, store.Query{}) {
			w.t.Errorf("a chain is left: %+v, %v", h, err)
		}
		for d, err := range heldTable.In(call.OwnAccount, home).Scan(r, store.Query{}) {
			w.t.Errorf("held back are %+v, %v", d, err)
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *scene) status(t *trailRecord) (st *statusRecord) {
	w.t.Helper()
	err := w.store.View(w.t.Context(), func(r store.Reader) (err error) {
		st, err = statusTable.In(t.Account, t.Region).Get(r, t.Name)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return st
}

// touch changes a trail, so that what has read it conflicts.
func (w *scene) touch(t *trailRecord) {
	err := w.store.Update(w.t.Context(), func(tx store.Tx) error {
		changed := *t
		changed.Created = time.Unix(int64(mathrand.Int32()), 0)
		return trailTable.In(t.Account, t.Region).Put(tx, &changed)
	})
	if err != nil {
		w.t.Error(err)
	}
}

// delivery is the last delivery of a trail, or nil.
func (w *scene) delivery(t *trailRecord) (last *deliveryRecord) {
	w.t.Helper()
	err := w.store.View(w.t.Context(), func(r store.Reader) error {
		for d, err := range deliveryTable.In(call.OwnAccount, t.Region).Scan(r, store.Query{Prefix: store.Key{t.Account, t.Name}}) {
			if err != nil {
				return err
			}
			last = d
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return last
}

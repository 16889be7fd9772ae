package cloudtrail

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/holdfast-cloud/holdfast/api/s3"
	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/trailfile"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

const (
	maxHeld   = 256 << 10           // bytes of events that are held back for a place
	lastRetry = time.Hour           // between two tries of a delivery that fails
	lastTry   = 30 * 24 * time.Hour // after which the delivery of a deleted trail is given up
)

// deliver puts the files of a delivery into its bucket, and notes how far it has come. When one fails, so do those behind it, until the delivery is tried again; those that are too many
// for the pass are left to the next one.
func (p *pass) deliver(d *delivering, end audit.Cursor, full, finishing bool) error {
	tried, left, failure := false, false, ""
	for _, to := range d.places() {
		if left = p.written >= maxWritten; left {
			break
		}
		put, code, err := p.file(d, to)
		if err != nil {
			return err
		}
		tried = tried || put
		if failure = code; failure != "" {
			break
		}
		if to.kind == trailfile.Events {
			if d.Ahead == nil {
				d.Ahead = make(map[string]audit.Cursor)
			}
			d.Ahead[to.String()] = end
		}
	}
	if tried {
		if err := p.tell(d, failure); err != nil {
			return err
		}
	}
	was, spans := d.Cursor, len(d.Spans)
	switch {
	case failure != "":
		if d.failed(p.c.Time); d.Gone != nil && p.c.Time.Sub(d.Failing) > lastTry {
			return p.abandon(d, failure)
		}
	case left:
		d.Until, p.more = end, true
	default:
		p.more = p.more || full
		d.Cursor, d.Until, d.Failures, d.Failing, d.Retry = end, audit.Cursor{}, 0, time.Time{}, time.Time{}
		maps.DeleteFunc(d.Ahead, func(_ string, at audit.Cursor) bool { return before(at, end) })
		if !full {
			d.Spans = slices.DeleteFunc(d.Spans, func(s span) bool { return s.over(p.c.Time) })
		}
	}
	done := failure == "" && !left
	return p.keep(d, finishing && done, tried || left || was != d.Cursor || spans != len(d.Spans) || finishing)
}

// abandon gives up what was not delivered of a deleted trail: nobody can give it another bucket.
func (p *pass) abandon(d *delivering, failure string) error {
	p.s.cfg.Report(fmt.Errorf("giving up what %s logged before it was deleted: bucket %s answers %s since %s", d.arn, d.trail.Bucket, failure, d.Failing.Format(time.RFC3339)))
	of := store.Query{Prefix: store.Key{d.ID}}
	held, insights := heldTable.In(call.OwnAccount, p.home), insightTable.In(call.OwnAccount, p.home)
	for h, err := range held.Scan(p.c.Tx(), of) {
		if err == nil {
			err = held.Delete(p.c.Tx(), h.Delivery, h.Account, h.Region)
		}
		if err != nil {
			return err
		}
	}
	for i, err := range insights.Scan(p.c.Tx(), of) {
		if err == nil {
			err = insights.Delete(p.c.Tx(), i.Delivery, i.Account, i.Region, i.EventID)
		}
		if err != nil {
			return err
		}
	}
	return p.keep(d, true, true)
}

// failed puts a delivery off: longer each time, since what is wrong is the owner's to mend.
func (d *deliveryRecord) failed(now time.Time) {
	d.Retry = now.Add(min(deliverEvery<<min(d.Failures, 10), lastRetry))
	d.Failures++
	if d.Failing.IsZero() {
		d.Failing = now
	}
}

// keep stores a delivery if it has changed. One that is finished is forgotten, unless there are digests to come.
func (p *pass) keep(d *delivering, finished, changed bool) error {
	if finished {
		d.Spans = nil
		return p.s.finish(p.c, p.home, d.deliveryRecord)
	}
	p.late(d.deliveryRecord)
	if !changed {
		return nil
	}
	return deliveryTable.In(call.OwnAccount, p.home).Put(p.c.Tx(), d.deliveryRecord)
}

// finish forgets a delivery that has delivered everything, unless it has a chain that wants its last digest.
func (s *Service) finish(c *call.Call, home string, d *deliveryRecord) error {
	for _, err := range chainTable.In(call.OwnAccount, home).Scan(c.Tx(), store.Query{Prefix: store.Key{d.ID}, Limit: 1}) {
		if err != nil {
			return err
		}
		return deliveryTable.In(call.OwnAccount, home).Put(c.Tx(), d)
	}
	return store.IgnoreNotFound(deliveryTable.In(call.OwnAccount, home).Delete(c.Tx(), d.Account, d.Name, d.ID))
}

// file delivers the file of a place, or holds back what is only CloudTrail's own doing. failure is the code of the error that S3 answered.
func (p *pass) file(d *delivering, to place) (put bool, failure string, err error) {
	f := d.files[to]
	p.written += fileCost
	if to.kind == trailfile.Events {
		held, err := p.held(d, to)
		if err != nil {
			return false, "", err
		}
		if !f.others {
			if held.add(f.events); held.Size < maxHeld {
				p.written += held.Size
				return false, "", heldTable.In(call.OwnAccount, p.home).Put(p.c.Tx(), held)
			}
			f.events = held.Events
		} else {
			f.events = append(held.Events, f.events...)
		}
	}
	if len(f.events) == 0 {
		return false, "", nil
	}
	if failure, err = p.put(d, to, f.events); err != nil || failure != "" {
		return true, failure, err
	}
	return true, "", p.forget(d, to)
}

func (h *heldRecord) add(events []heldEvent) {
	h.Events = append(h.Events, events...)
	for _, e := range events {
		h.Size += len(e.Record) * 4 / 3 // as Base64
	}
}

func (p *pass) held(d *delivering, to place) (*heldRecord, error) {
	h, err := heldTable.In(call.OwnAccount, p.home).Get(p.c.Tx(), d.ID, to.account, to.region)
	if errors.Is(err, store.ErrNotFound) {
		return &heldRecord{Delivery: d.ID, Account: to.account, Region: to.region}, nil
	}
	return h, err
}

// forget drops what waited for the file that was delivered.
func (p *pass) forget(d *delivering, to place) error {
	if to.kind == trailfile.Events {
		return store.IgnoreNotFound(heldTable.In(call.OwnAccount, p.home).Delete(p.c.Tx(), d.ID, to.account, to.region))
	}
	rows := insightTable.In(call.OwnAccount, p.home)
	for i, err := range rows.Scan(p.c.Tx(), store.Query{Prefix: store.Key{d.ID, to.account, to.region}}) {
		if err != nil {
			return err
		}
		if err := rows.Delete(p.c.Tx(), i.Delivery, i.Account, i.Region, i.EventID); err != nil {
			return err
		}
	}
	return nil
}

// put delivers one log file.
func (p *pass) put(d *delivering, to place, events []heldEvent) (failure string, err error) {
	unique, err := fileName(p.c.Rand)
	if err != nil {
		return "", err
	}
	t := d.trail
	object := t.place(to.account, to.region).LogKey(to.kind, p.c.Time, unique)
	var body bytes.Buffer
	w := trailfile.NewLogWriter(&body)
	for _, e := range events {
		if err := w.Add(e.Time, e.Record); err != nil {
			return "", err
		}
	}
	file, err := w.Close(t.Bucket, object)
	if err != nil {
		return "", err
	}
	in := t.object(object, body.Bytes())
	if t.Key != "" {
		encryption, err := json.Marshal(map[string]string{"aws:cloudtrail:arn": d.arn})
		if err != nil {
			return "", err
		}
		in.ServerSideEncryption, in.SSEKMSKeyId = s3.ServerSideEncryptionAwsKms, new(t.Key)
		in.SSEKMSEncryptionContext = new(base64.StdEncoding.EncodeToString(encryption))
	}
	if failure, err = p.s.putObject(p.c, d.arn, in); err != nil || failure != "" {
		p.measured.Failures++
		return failure, err
	}
	p.measured.Files++
	p.measured.Events += uint64(len(events))
	if err := p.notify(d, object); err != nil {
		return "", err
	}
	if to.kind == trailfile.Events {
		if err := p.send(d, to, events); err != nil {
			return "", err
		}
	}
	p.written += len(file.RecordHashes) * 4 / 3 // as Base64
	if !t.Validation {
		return "", nil
	}
	err = deliveredTable.In(call.OwnAccount, p.home).Put(p.c.Tx(), &deliveredRecord{d.ID, to.account, to.region, file})
	return "", errors.Join(err, p.chain(d, to))
}

// place is where the trail's files of an account and region lie.
func (t *trailRecord) place(account, region string) trailfile.Place {
	return trailfile.Place{Prefix: t.Prefix, OrgID: t.Organization, Account: account, Region: region}
}

// object is a file as S3 gets it.
func (t *trailRecord) object(key string, body []byte) *s3.PutObjectRequest {
	return &s3.PutObjectRequest{
		ACL: s3.ObjectCannedACLBucketOwnerFullControl, Bucket: new(t.Bucket), Key: new(key), Body: io.NopCloser(bytes.NewReader(body)), ContentLength: new(int64(len(body))),
		ContentType: new("application/json"), ContentEncoding: new("gzip"),
	}
}

// putObject puts a file into a trail's bucket. What S3 refuses is a failure, with the code of its error; err is what has to end the pass.
func (s *Service) putObject(c *call.Call, trailARN string, in *s3.PutObjectRequest) (failure string, err error) {
	_, err = s.cfg.S3.PutObject(c.AsServiceFor(trailARN), in)
	switch {
	case err == nil:
		return "", nil
	case errors.Is(err, store.ErrConflict), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "", err
	}
	if _, ok := errors.AsType[*call.Denied](err); ok {
		return "AccessDenied", nil
	}
	if m, ok := errors.AsType[wire.ModeledError](err); ok {
		return m.Schema().Error.Code, nil
	}
	if e, ok := errors.AsType[*wire.Error](err); ok {
		return e.Code, nil
	}
	s.cfg.Report(fmt.Errorf("delivering to bucket %s: %w", *in.Bucket, err))
	return "InternalError", nil
}

// tell writes down how a try went, for GetTrailStatus.
func (p *pass) tell(d *delivering, failure string) error {
	return p.s.status(p.c, d.trail, d.deliveryRecord, func(st *statusRecord) {
		st.Attempt, st.Error = p.c.Time, failure
		if failure == "" {
			st.Succeeded, st.Delivered = p.c.Time, p.c.Time
		}
	})
}

// status changes the status of a trail that is still there.
func (s *Service) status(c *call.Call, t *trailRecord, d *deliveryRecord, change func(*statusRecord)) error {
	if d.Gone != nil {
		return nil
	}
	rows := statusTable.In(t.Account, t.Region)
	st, err := rows.Get(c.Tx(), t.Name)
	if errors.Is(err, store.ErrNotFound) {
		st, err = &statusRecord{Name: t.Name}, nil
	}
	if err != nil {
		return err
	}
	change(st)
	return rows.Put(c.Tx(), st)
}

// fileName tells apart the files of a minute: 16 letters and digits.
func fileName(random io.Reader) (string, error) {
	const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	name := make([]byte, 16)
	if _, err := io.ReadFull(random, name); err != nil {
		return "", err
	}
	for i := range name {
		name[i] = letters[int(name[i])%len(letters)]
	}
	return string(name), nil
}

// Stats are counts of deliveries since the start. Failing is since when the delivery fails that does so longest; zero if none does.
type Stats struct {
	Files, Events, Failures, Digests, DigestFailures uint64
	Failing                                          time.Time
}

// Stats returns how deliveries do.
func (s *Service) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	total := s.delivered
	for _, at := range s.failing {
		if total.Failing.IsZero() || at.Before(total.Failing) {
			total.Failing = at
		}
	}
	return total
}

// count adds what a pass did.
func (s *Service) count(m Stats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &s.delivered
	d.Files += m.Files
	d.Events += m.Events
	d.Failures += m.Failures
	d.Digests += m.Digests
	d.DigestFailures += m.DigestFailures
}

// fails notes since when deliveries of a home region fail; zero says that none does.
func (s *Service) fails(home string, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if since.IsZero() {
		delete(s.failing, home)
	} else {
		s.failing[home] = since
	}
}

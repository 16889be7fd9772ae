package cloudtrail

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/trailfile"
	"github.com/holdfast-cloud/holdfast/store"
)

// digestBatch is how many digests one pass makes at most, or fewer with many files, so that a transaction stays small.
const digestBatch = 100

// chain begins the chain of a place, when the first file is delivered there.
func (p *pass) chain(d *delivering, to place) error {
	rows := chainTable.In(call.OwnAccount, p.home)
	if _, err := rows.Get(p.c.Tx(), d.ID, to.account, to.region); !errors.Is(err, store.ErrNotFound) {
		return err
	}
	begin := p.c.Time.Add(-deliverEvery)
	if from := d.Spans[0].From; begin.Before(from) {
		begin = from
	}
	begin = begin.UTC().Truncate(time.Second)
	if err := rows.Insert(p.c.Tx(), &chainRecord{Delivery: d.ID, Account: to.account, Region: to.region, End: begin}); err != nil {
		return err
	}
	// The key is there from now on, for those who ask for it before they look at what it signed.
	if _, err := p.s.signer(p.c, to.region, begin); err != nil {
		return err
	}
	due := p.c.Time.UTC().Truncate(digestEvery)
	if due.Before(p.c.Time) {
		due = due.Add(digestEvery)
	}
	return p.c.At(due, own(p.c, p.home), digestTimer, "", nil)
}

// digests is one look at the chains of a home region.
type digests struct {
	s       *Service
	c       *call.Call
	home    string
	end     time.Time      // of the digests
	gone    map[string]int // deleted trails that were seen, by account and name
	signers map[string]*rsa.PrivateKey

	made     int
	more     bool // chains wait for another pass now
	going    bool // there are chains for the next hour
	measured Stats
}

// digestDue is what the timer does at each hour. A chain gets one digest: for the last hour, or for all the time since its last one where the server was down or the bucket refused it.
func (s *Service) digestDue(c *call.Call, _ string, _ []byte) error {
	g := &digests{s: s, c: c, home: c.Scope.Region, end: c.Time.UTC().Truncate(digestEvery), gone: make(map[string]int), signers: make(map[string]*rsa.PrivateKey)}
	for d, err := range deliveryTable.In(call.OwnAccount, g.home).Scan(c.Tx(), store.Query{}) {
		if err != nil {
			return err
		}
		if err := g.delivery(d); err != nil {
			return err
		}
		if g.more {
			break
		}
	}
	c.Tx().OnCommitted(func() { s.count(g.measured) })
	switch {
	case g.more:
		return c.At(c.Time, c.Scope, digestTimer, again, nil)
	case g.going:
		return c.At(nextMark(c.Time, digestEvery), c.Scope, digestTimer, "", nil)
	}
	return nil
}

// delivery makes the digests of a delivery.
func (g *digests) delivery(d *deliveryRecord) error {
	t, end := d.Gone, g.end
	if t != nil {
		// Another trail may have its name by now, and a digest that ends at the hour.
		g.gone[d.Account+"/"+d.Name]++
		end = end.Add(-time.Duration(g.gone[d.Account+"/"+d.Name]) * time.Second)
	} else {
		var err error
		if t, err = trailTable.In(d.Account, g.home).Get(g.c.Tx(), d.Name); err != nil {
			g.going = true
			g.s.cfg.Report(fmt.Errorf("making the digests of trail %s of account %s: %w", d.Name, d.Account, err))
			return nil
		}
	}
	rows := chainTable.In(call.OwnAccount, g.home)
	ending := len(d.Spans) == 0 || !t.Validation
	left := false
	for h, err := range rows.Scan(g.c.Tx(), store.Query{Prefix: store.Key{d.ID}}) {
		if err != nil {
			return err
		}
		if !h.End.Before(g.end) || h.Tried.Equal(g.end) {
			left = true
			continue
		}
		if g.made >= digestBatch {
			g.more = true
			return nil
		}
		g.made++
		ok, err := g.digest(d, t, h, end)
		if err != nil {
			return err
		}
		if over := ending && (ok || g.end.Sub(h.End) > kept); over {
			err = g.drop(h)
		} else {
			left = true
			err = rows.Put(g.c.Tx(), h)
		}
		if err != nil {
			return err
		}
	}
	g.going = g.going || left
	if !left && len(d.Spans) == 0 {
		return g.s.finish(g.c, g.home, d)
	}
	return nil
}

// drop ends a chain.
func (g *digests) drop(h *chainRecord) error {
	files, err := g.files(h)
	if err != nil {
		return err
	}
	return errors.Join(g.named(h, files), chainTable.In(call.OwnAccount, g.home).Delete(g.c.Tx(), h.Delivery, h.Account, h.Region))
}

// digest makes the next digest of a chain, up to a time, and delivers it. It reports whether the bucket took it.
func (g *digests) digest(d *deliveryRecord, t *trailRecord, h *chainRecord, end time.Time) (ok bool, err error) {
	files, err := g.files(h)
	if err != nil {
		return false, err
	}
	key, err := g.signer(h.Region)
	if err != nil {
		return false, err
	}
	digest := trailfile.Digest{
		Account: h.Account, Start: h.End, End: end, Bucket: t.Bucket, Object: t.place(h.Account, h.Region).DigestKey(t.Name, t.Region, end),
		Previous: h.Last, LogFiles: files,
	}
	signed, err := digest.Sign(key)
	if err != nil {
		return false, err
	}
	in := t.object(digest.Object, signed.Body)
	in.Metadata = map[string]string{trailfile.MetaSignature: signed.Signature, trailfile.MetaAlgorithm: trailfile.SHA256withRSA}
	failure, err := g.s.putObject(g.c, t.arn(g.c.Scope.Partition), in)
	if err != nil {
		return false, err
	}
	err = g.s.status(g.c, t, d, func(st *statusRecord) {
		if st.DigestError = failure; failure == "" {
			st.DigestDelivered = g.c.Time
		}
	})
	if failure != "" {
		g.measured.DigestFailures++
		h.Tried = g.end
		return false, err
	}
	g.measured.Digests++
	g.made += len(files) / digestBatch
	h.End, h.Last = end, signed.Next
	return true, errors.Join(err, g.named(h, files))
}

// files are the log files that no digest names yet, in the order of their delivery.
func (g *digests) files(h *chainRecord) (files []trailfile.LogFile, err error) {
	for f, err := range deliveredTable.In(call.OwnAccount, g.home).Scan(g.c.Tx(), store.Query{Prefix: store.Key{h.Delivery, h.Account, h.Region}}) {
		if err != nil {
			return nil, err
		}
		files = append(files, f.File)
	}
	slices.SortStableFunc(files, func(a, b trailfile.LogFile) int { return a.Newest.Compare(b.Newest) })
	return files, nil
}

// named forgets log files that a digest names.
func (g *digests) named(h *chainRecord, files []trailfile.LogFile) error {
	rows := deliveredTable.In(call.OwnAccount, g.home)
	for _, f := range files {
		if err := rows.Delete(g.c.Tx(), h.Delivery, h.Account, h.Region, f.Object); err != nil {
			return err
		}
	}
	return nil
}

func (g *digests) signer(region string) (key *rsa.PrivateKey, err error) {
	if key = g.signers[region]; key != nil {
		return key, nil
	}
	if key, err = g.s.signer(g.c, region, g.end); err == nil {
		g.signers[region] = key
	}
	return key, err
}

package verify

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// span is a time that a proven digest covers.
type span struct{ start, end time.Time }

// area is what is known of the log files of one account and region, after its chains were followed.
type area struct {
	named     map[[16]byte]struct{} // log files that digests name
	covered   []span                // by proven digests of any chain
	uncovered int                   // log files of another time
	from, to  time.Time             // of those
}

// link is what a digest says of the one before it.
type link struct {
	by              string // that digest
	hash, signature string
	proven          bool // the digest that says so is
}

// walk follows one chain.
type walk struct {
	*verifier
	ChainReport
	area   *area
	links  map[string]link // digests that are named, and not yet come to
	newer  *digest         // the digest behind the one that is looked at; nil if there is none, or it could not be read
	proven bool            // newer is
	bucket string          // of the chain, as proven digests say
}

// chain follows the digests of a chain back from the newest, and checks what each says.
func (v *verifier) chain(ctx context.Context, c Chain, all []digestFile) error {
	files := v.inTime(all)
	if len(files) == 0 {
		return nil
	}
	w := &walk{verifier: v, ChainReport: ChainReport{Chain: c}, links: map[string]link{}}
	if w.area = v.areas[c.folder()]; w.area == nil {
		w.area = &area{named: map[[16]byte]struct{}{}}
		v.areas[c.folder()] = w.area
	}
	if newest := files[0]; !v.End.IsZero() && newest.end.Before(v.End) {
		v.found(Finding{Kind: Removed, What: Digest, Key: newest.name, Detail: "this is the newest digest, and none covers the time from its end until " + written(v.End)})
	}
	for _, f := range files {
		if err := w.step(ctx, f); err != nil {
			return err
		}
	}
	w.missing(time.Time{})
	v.report.Chains = append(v.report.Chains, w.ChainReport)
	return nil
}

// step checks a digest.
func (w *walk) step(ctx context.Context, f digestFile) error {
	w.missing(f.end)
	said, named := w.links[f.name]
	delete(w.links, f.name)
	d, err := w.readDigest(ctx, f.name)
	why := reason(err)
	var bad Finding
	switch {
	case err == nil:
		bad, err = w.prove(ctx, f, d, said)
	case why != "" || notThere(err):
		bad, err = Finding{Kind: Changed, Key: f.name, Detail: cmp.Or(why, "it cannot be opened")}, nil
	}
	if err != nil {
		return err
	}
	if !named && w.stray(f.name) {
		w.found(Finding{Kind: Added, What: Digest, Key: f.name, Detail: "the digest behind it names another one before itself"})
		return nil
	}
	w.Digests++
	proven := bad.Kind == ""
	if proven {
		w.tellOrder(f, d, named)
		err = w.accept(ctx, f, d)
	} else {
		bad.What = Digest
		w.found(bad)
	}
	w.newer, w.proven = d, proven
	if d != nil {
		w.link(f.name, d)
	}
	return err
}

// stray tells whether a digest that none names lies between two others.
func (w *walk) stray(name string) bool {
	return w.proven && w.newer.PreviousObject != nil && optional.Value(w.newer.PreviousBucket) == w.newer.Bucket && *w.newer.PreviousObject < name
}

// prove says what is wrong with a digest; a finding without a kind is that nothing is.
func (w *walk) prove(ctx context.Context, f digestFile, d *digest, said link) (Finding, error) {
	beside, err := w.src.Signature(ctx, f.name)
	if err != nil {
		return Finding{}, err
	}
	is := func(k Kind, detail string) (Finding, error) {
		return Finding{Kind: k, Key: f.name, Detail: detail}, nil
	}
	hashed := said.proven && strings.EqualFold(said.hash, d.hash)
	problem := d.verifySignature(w.Keys, cmp.Or(beside, said.signature))
	switch {
	case d.Object != f.name && problem == nil:
		return is(Moved, "here is the digest that belongs to "+d.Object)
	case d.Object != f.name:
		return is(Moved, "what is here says that it belongs to "+d.Object+"; "+problem.Error())
	case said.proven && !hashed:
		return is(Changed, "its content is not the one whose hash is in the digest behind it, "+said.by)
	case problem == errBadSignature && beside != "" && (hashed || d.verifySignature(w.Keys, said.signature) == nil):
		return is(Changed, "its content is right, and the signature in its metadata is not")
	case problem == errBadSignature:
		return is(Changed, problem.Error())
	case problem != nil && (problem != errNoSignature || !hashed): // the hash in a proven digest proves it as well
		return is(Unproven, problem.Error())
	case d.Account != w.Chain.Account || !d.end.Equal(f.end):
		return is(Changed, "its name and its content are of different accounts or times")
	case w.bucket != "" && d.Bucket != w.bucket:
		return is(Moved, "it belongs to the bucket "+d.Bucket+", and the digests behind it to "+w.bucket)
	}
	return Finding{}, nil
}

// link notes what a digest says of the one before it. What one says that was changed may still be true: the signature proves that by itself, and the hash is not relied on.
func (w *walk) link(name string, d *digest) {
	if d.PreviousObject == nil {
		return
	}
	if optional.Value(d.PreviousBucket) != d.Bucket {
		if w.proven {
			w.note("%s: before %s the chain goes on in the bucket %s with %s. Check that bucket, too.", w.name(), name, optional.Value(d.PreviousBucket), *d.PreviousObject)
		}
		return
	}
	w.links[*d.PreviousObject] = link{name, optional.Value(d.PreviousHash), optional.Value(d.PreviousSignature), w.proven}
}

// missing tells of digests that are named and come after a time, so that they would have been seen.
func (w *walk) missing(after time.Time) {
	for name, l := range w.links {
		c, end, _ := parseDigestKey(name)
		if !end.After(after) && c == w.Chain {
			continue
		}
		delete(w.links, name)
		switch {
		case !l.proven: // who knows
		case !w.Start.IsZero() && !end.After(w.Start): // before what is asked for
		case slices.ContainsFunc(w.chains[c], func(f digestFile) bool { return f.name == name }):
			w.note("%s: before %s the chain goes on under another name, with %s.", w.name(), l.by, name)
		default:
			w.Digests++
			w.found(Finding{Kind: Removed, What: Digest, Key: name, Detail: "the digest behind it, " + l.by + ", names it; which log files it named is not known"})
		}
	}
}

// accept takes a digest that is proven.
func (w *walk) accept(ctx context.Context, f digestFile, d *digest) error {
	w.ValidDigests++
	w.bucket = d.Bucket
	if w.To.IsZero() {
		w.To = d.end
	}
	w.From = d.start
	w.area.covered = append(w.area.covered, span{d.start, d.end})
	for _, l := range d.LogFiles {
		if l.Bucket != d.Bucket {
			w.note("%s: %s is in another bucket, %s, and was not looked at.", f.name, l.Object, l.Bucket)
			continue
		}
		w.area.named[nameHash(l.Object)] = struct{}{}
		if err := w.logFile(ctx, f.name, l); err != nil {
			return err
		}
	}
	return nil
}

// tellOrder says where proven digests that follow each other leave time out, or have it twice.
func (w *walk) tellOrder(f digestFile, d *digest, named bool) {
	if d.end.Before(d.start) {
		w.note("%s ends before it begins.", f.name)
	}
	switch {
	case w.proven && w.newer.PreviousObject == nil:
		w.note("%s: logging, or validation, was off from %s to %s: the chain begins anew after %s.", w.name(), d.End, w.newer.Start, f.name)
	case !w.proven || !named: // another finding says why
	case w.newer.start.After(d.end):
		w.note("%s: no digest covers %s to %s.", w.name(), d.End, w.newer.Start)
	case w.newer.start.Before(d.end):
		w.note("%s: two digests cover %s to %s: the clock went back.", w.name(), w.newer.Start, d.End)
	}
}

// covers tells whether all of a time is covered.
func (a *area) covers(start, end time.Time) bool {
	i, found := slices.BinarySearchFunc(a.covered, start, func(s span, t time.Time) int { return s.start.Compare(t) })
	if !found {
		i--
	}
	return i >= 0 && !a.covered[i].end.Before(end)
}

// join sorts what is covered, and makes one of spans that touch.
func (a *area) join() {
	slices.SortFunc(a.covered, func(s, t span) int { return s.start.Compare(t.start) })
	joined := a.covered[:0]
	for _, s := range a.covered {
		if last := len(joined) - 1; last >= 0 && !s.start.After(joined[last].end) {
			if s.end.After(joined[last].end) {
				joined[last].end = s.end
			}
			continue
		}
		joined = append(joined, s)
	}
	a.covered = joined
}

// name is a chain in a sentence.
func (c Chain) name() string {
	name := "Trail " + c.Trail + " of " + c.Home + ", account " + c.Account + ", region " + c.Region
	if c.Backfill {
		name += " (backfill)"
	}
	return name
}

func written(t time.Time) string { return t.UTC().Format(time.RFC3339) }

package cloudtrail

import (
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
)

func TestDeliveryTimes(t *testing.T) {
	w := newScene(t)
	w.call(ours, home)
	trail := w.start(w.trail("a"))
	w.clock.Set(w.clock.Now().Add(time.Second))
	one, two := w.call(ours, home), w.call(ours, "eu-west-1")
	w.call(other, home)
	w.advance(5 * time.Minute)
	w.wantEvents("bucket-a", one, two)
	three := w.call(ours, home)
	w.change(trail, (*Service).stopDelivery)
	w.clock.Set(w.clock.Now().Add(time.Second))
	w.call(ours, home)
	w.advance(time.Minute)
	w.start(trail)
	four := w.call(ours, home)
	w.change(trail, (*Service).stopDelivery)
	w.advance(3 * time.Hour)
	w.wantEvents("bucket-a", one, two, three, four)
	keys, _ := w.objects("bucket-a", "CloudTrail")
	if len(keys) != 3 || !strings.HasPrefix(keys[0], "AWSLogs/111122223333/CloudTrail/eu-west-1/2027/01/01/111122223333_CloudTrail_eu-west-1_20270101T1205Z_") {
		t.Errorf("the files are %v", keys)
	}
	w.nothingLeft()
}

func TestOrganizationTrail(t *testing.T) {
	w := newScene(t)
	trail := w.trail("a")
	trail.Organization, trail.Prefix = "o-exampleorgid", "logs"
	w.start(trail)
	one, two := w.call(ours, home), w.call(other, "eu-west-1")
	w.call("777788889999", home)
	w.advance(5 * time.Minute)
	w.wantEvents("bucket-a", one, two)
	keys, _ := w.objects("bucket-a", "CloudTrail")
	if len(keys) != 2 || !strings.HasPrefix(keys[1], "logs/AWSLogs/o-exampleorgid/444455556666/CloudTrail/eu-west-1/2027/01/01/444455556666_CloudTrail_eu-west-1_") {
		t.Errorf("the files are %v", keys)
	}
}

// One trail that fails does not hold the others, and loses nothing.
func TestFailedDelivery(t *testing.T) {
	w := newScene(t)
	a, b := w.start(w.trail("a")), w.start(w.trail("b"))
	w.refuse = func(key string) string {
		if strings.Contains(key, "_eu-west-1_") {
			return "AccessDenied"
		}
		return ""
	}
	b.MultiRegion = false
	w.change(b, func(*Service, *call.Call, *trailRecord) error { return nil })
	var all, homes []string
	for range 30 {
		here := w.call(ours, home)
		all, homes = append(all, here, w.call(ours, "eu-west-1"), w.call(ours, "us-west-2")), append(homes, here)
		w.advance(5 * time.Minute)
	}
	w.wantEvents("bucket-b", homes...)
	if got := w.events("bucket-a"); len(got) != 0 {
		t.Errorf("eu-west-1 comes first and is refused, but in the bucket are %v", got)
	}
	status := w.status(a)
	if status.Error != "AccessDenied" || status.Attempt.IsZero() || !status.Succeeded.IsZero() {
		t.Errorf("the status is %+v", status)
	}
	if s := w.s.Stats(); s.Failing.IsZero() || s.Failures < 4 || s.Failures > 8 {
		t.Errorf("stats: %+v", s)
	}
	w.refuse = nil
	w.advance(time.Hour)
	w.wantEvents("bucket-a", all...)
	if status := w.status(a); status.Error != "" || status.Succeeded.IsZero() || status.Succeeded != status.Delivered || !w.s.Stats().Failing.IsZero() {
		t.Errorf("the status is %+v", status)
	}
}

// Whatever fails, and whatever conflicts: each event is delivered once.
func TestOnce(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := mathrand.New(mathrand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	w := newScene(t)
	trail := w.trail("a")
	trail.Organization = "o-exampleorgid"
	w.start(trail)
	w.refuse = func(string) string {
		if random.IntN(4) == 0 {
			return "NoSuchBucket"
		}
		return ""
	}
	var want []string
	for range 60 {
		for range random.IntN(20) {
			want = append(want, w.call([]string{ours, other, "422222222222"}[random.IntN(3)], []string{home, "eu-west-1", "ap-south-1"}[random.IntN(3)]))
		}
		if random.IntN(3) == 0 {
			w.meddle = func() { w.touch(trail) }
		}
		w.advance(time.Duration(random.IntN(20)) * time.Minute)
	}
	w.refuse = nil
	w.change(trail, (*Service).endDelivery)
	w.advance(3 * time.Hour)
	w.wantEvents("bucket-a", want...)
	w.nothingLeft()
	// Every file is named by one digest.
	named := map[string]int{}
	for _, d := range w.digests("bucket-a") {
		for _, f := range d.LogFiles {
			named[f.Object]++
		}
	}
	keys, _ := w.objects("bucket-a", "CloudTrail")
	for _, key := range keys {
		if named[key] != 1 {
			t.Errorf("%s is named by %d digests", key, named[key])
		}
	}
	if len(keys) != len(named) || len(keys) == 0 {
		t.Errorf("%d files, of which %d are named", len(keys), len(named))
	}
}

func TestConflict(t *testing.T) {
	w := newScene(t)
	trail := w.start(w.trail("a"))
	one := w.call(ours, home)
	met := false
	w.meddle = func() {
		met = true
		w.wantEvents("bucket-a")
		w.touch(trail)
	}
	w.advance(5 * time.Minute)
	w.wantEvents("bucket-a", one)
	if !met {
		t.Error("nothing conflicted")
	}
}

// What deliveries themselves cause is delivered, but causes none.
func TestOwnEvents(t *testing.T) {
	w := newScene(t)
	trail := w.start(w.trail("a"))
	want := []string{w.call(ours, home)}
	w.advance(5 * time.Minute)
	for range 10 {
		want = append(want, w.caused())
		w.advance(5 * time.Minute)
	}
	w.wantEvents("bucket-a", want[0])
	want = append(want, w.call(ours, home))
	w.advance(5 * time.Minute)
	w.wantEvents("bucket-a", want...)
	want = append(want, w.caused())
	w.advance(5 * time.Minute)
	w.change(trail, (*Service).stopDelivery)
	w.advance(3 * time.Hour)
	w.wantEvents("bucket-a", want...)
	w.nothingLeft()
}

func TestOwnEventsAreBounded(t *testing.T) {
	w := newScene(t)
	w.start(w.trail("a"))
	for range 1000 {
		w.caused()
	}
	w.advance(5 * time.Minute)
	if got := w.events("bucket-a"); len(got) != 1000 {
		t.Errorf("%d events were delivered", len(got))
	}
}

func TestInsights(t *testing.T) {
	w := newScene(t)
	trail := w.start(w.trail("a"))
	w.change(trail, func(s *Service, c *call.Call, t *trailRecord) error {
		return s.deliverInsight(c, t, ours, "eu-west-1", "event-i", w.clock.Now(), []byte(`{"eventID":"event-i"}`))
	})
	w.advance(10 * time.Minute)
	keys, contents := w.objects("bucket-a", "CloudTrail-Insight")
	if len(keys) != 1 || string(contents[0]) != `{"Records":[{"eventID":"event-i"}]}` ||
		!strings.HasPrefix(keys[0], "AWSLogs/111122223333/CloudTrail-Insight/eu-west-1/2027/01/01/111122223333_CloudTrail-Insight_eu-west-1_20270101T1205Z_") {
		t.Errorf("the files are %v: %s", keys, contents)
	}
}

func TestDigestChain(t *testing.T) {
	w := newScene(t)
	trail := w.start(w.trail("a"))
	w.call(ours, home)
	w.advance(time.Hour)
	w.refuse = func(key string) string {
		if strings.Contains(key, "-Digest") {
			return "AccessDenied"
		}
		return ""
	}
	w.call(ours, home)
	w.advance(3 * time.Hour)
	if st := w.status(trail); st.DigestError != "AccessDenied" || st.Error != "" {
		t.Errorf("the status is %+v", st)
	}
	w.refuse = nil
	w.advance(2 * time.Hour)
	got := w.digests("bucket-a")
	var times []string
	for i, d := range got {
		times = append(times, fmt.Sprintf("%s-%s:%d", d.Start.Format("15:04"), d.End.Format("15:04"), len(d.LogFiles)))
		if i == 0 && d.Previous.Object != nil || i > 0 && *d.Previous.Object != got[i-1].Object {
			t.Errorf("the digest before %s is %v", d.Object, d.Previous.Object)
		}
	}
	if want := "12:02-13:00:1 13:00-17:00:1 17:00-18:00:0"; strings.Join(times, " ") != want {
		t.Errorf("got %s, want %s", times, want)
	}
	if st := w.status(trail); st.DigestError != "" || !st.DigestDelivered.Equal(time.Date(2027, 1, 1, 18, 0, 0, 0, time.UTC)) {
		t.Errorf("the status is %+v", st)
	}
	// Without validation the chain ends.
	trail.Validation = false
	w.change(trail, func(*Service, *call.Call, *trailRecord) error { return nil })
	w.call(ours, home)
	w.advance(5 * time.Hour)
	if got := w.digests("bucket-a"); len(got) != 4 || len(got[3].LogFiles) != 0 {
		t.Errorf("%d digests", len(got))
	}
	// With it another begins.
	trail.Validation = true
	w.change(trail, func(*Service, *call.Call, *trailRecord) error { return nil })
	w.call(ours, home)
	w.advance(time.Hour)
	if got := w.digests("bucket-a"); len(got) != 5 || got[4].Previous.Object != nil || len(got[4].LogFiles) != 1 {
		t.Errorf("%d digests", len(got))
	}
}

// A trail that has the name and the bucket of one that was deleted in the same hour has digests of its own.
func TestDigestsOfDeletedTrails(t *testing.T) {
	w := newScene(t)
	for range 3 {
		trail := w.start(w.trail("a"))
		w.call(ours, home)
		w.advance(5 * time.Minute)
		w.change(trail, (*Service).endDelivery)
		w.advance(time.Second)
	}
	w.start(w.trail("a"))
	w.call(ours, home)
	w.advance(time.Hour)
	got := w.digests("bucket-a")
	files := 0
	for _, d := range got {
		files += len(d.LogFiles)
	}
	if len(got) != 4 || files != 4 {
		t.Errorf("%d digests of %d files", len(got), files)
	}
}

// Each hour has its digest, also where nothing is logged.
func TestDigestsOfIdleDays(t *testing.T) {
	w := newScene(t)
	w.start(w.trail("a"))
	w.call(ours, home)
	w.advance(time.Hour)
	begin := time.Now()
	w.advance(5 * 24 * time.Hour)
	t.Logf("5 days: %s, %d timers", time.Since(begin), w.timer.Stats().Fired)
	got := w.digests("bucket-a")
	if len(got) != 5*24+1 {
		t.Errorf("%d digests", len(got))
	}
}

// A trail that is stopped and started for ever, as a script may, has a short memory of it.
func TestSpansAreForgotten(t *testing.T) {
	w := newScene(t)
	trail := w.start(w.trail("a"))
	var want []string
	for range 50 {
		want = append(want, w.call(ours, home))
		w.advance(time.Minute)
		w.change(trail, (*Service).stopDelivery)
		w.advance(time.Minute)
		w.call(ours, home)
		w.advance(time.Second)
		w.start(trail)
	}
	w.advance(10 * time.Minute)
	w.wantEvents("bucket-a", want...)
	if d := w.delivery(trail); len(d.Spans) != 1 {
		t.Errorf("%d spans are kept", len(d.Spans))
	}
}

// What fills more than one pass is delivered at once, also when another trail begins to log meanwhile.
func TestManyEvents(t *testing.T) {
	w := newScene(t)
	trail := w.start(w.trail("a"))
	var want []string
	for range 200 {
		want = append(want, w.record(ours, home, []byte(`{"type":"Root","principalId":"`+strings.Repeat("x", passSize/100)+`"}`)))
	}
	w.clock.Set(w.clock.Now().Add(5 * time.Minute))
	if err := w.do(call.OwnAccount, home, func(c *call.Call) error { return w.s.deliverDue(c, "", nil) }); err != nil {
		t.Fatal(err)
	}
	if got := w.events("bucket-a"); len(got) == 0 || len(got) == len(want) {
		t.Errorf("the first pass delivers %d events", len(got))
	}
	w.start(w.trail("b"))
	w.advance(0)
	w.wantEvents("bucket-a", want...)
	if d := w.delivery(trail); d.Cursor != (audit.Cursor{Segment: 1, Offset: int64(len(want))}) {
		t.Errorf("delivered up to %v", d.Cursor)
	}
}

// An organization may have more accounts than a transaction has room for their files.
func TestManyPlaces(t *testing.T) {
	w := newScene(t)
	trail := w.trail("a")
	trail.Organization, trail.Validation = "o-exampleorgid", false
	w.start(trail)
	var want []string
	log := func(n int) {
		for i := range n {
			want = append(want, w.call(fmt.Sprintf("4%011d", i), home))
		}
	}
	const accounts = maxWritten/fileCost*2 + 10
	log(accounts)
	w.clock.Set(w.clock.Now().Add(5 * time.Minute))
	w.meddle = func() { log(10) } // accounts that were delivered already have more
	if err := w.do(call.OwnAccount, home, func(c *call.Call) error { return w.s.deliverDue(c, "", nil) }); err != nil {
		t.Fatal(err)
	}
	if got := w.events("bucket-a"); len(got) < maxWritten/fileCost*9/10 || len(got) > maxWritten/fileCost {
		t.Errorf("the first pass delivers %d events", len(got))
	}
	w.start(w.trail("b"))
	w.advance(0)
	w.wantEvents("bucket-a", want...)
	w.change(trail, (*Service).endDelivery)
	w.change(w.trail("b"), (*Service).endDelivery)
	w.advance(time.Hour)
	w.wantEvents("bucket-a", want...)
	w.nothingLeft()
}

// Nobody can mend the delivery of a trail that is gone: it is given up.
func TestDeletedTrailGivesUp(t *testing.T) {
	w := newScene(t)
	trail := w.start(w.trail("a"))
	one := w.call(ours, home)
	w.advance(10 * time.Minute)
	w.refuse = func(string) string { return "NoSuchBucket" }
	w.caused()
	w.advance(10 * time.Minute)
	w.call(ours, home)
	w.change(trail, func(s *Service, c *call.Call, t *trailRecord) error {
		return s.deliverInsight(c, t, ours, home, "event-i", w.clock.Now(), []byte(`{"eventID":"event-i"}`))
	})
	w.change(trail, (*Service).endDelivery)
	w.advance(time.Hour)
	w.clock.Set(w.clock.Now().Add(lastTry - 4*time.Hour))
	w.advance(time.Hour)
	if d := w.delivery(trail); d == nil || d.Failures < 5 {
		t.Errorf("shortly before the last try there is %+v", d)
	}
	if err := w.timer.MoveTo(t.Context(), w.clock, w.clock.Now().Add(4*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if len(w.reported) != 1 || !strings.Contains(w.reported[0].Error(), "arn:aws:cloudtrail:us-east-1:111122223333:trail/a") {
		t.Errorf("reported: %v", w.reported)
	}
	w.reported = nil
	if s := w.s.Stats(); !s.Failing.IsZero() {
		t.Errorf("stats: %+v", s)
	}
	w.clock.Set(w.clock.Now().Add(kept)) // the digests are given up as well
	w.advance(time.Hour)
	w.nothingLeft()
	w.wantEvents("bucket-a", one)
}

// An update of the trail tries again what has failed, whatever it changes: the bucket may be there again.
func TestUpdateTriesAgain(t *testing.T) {
	w := newScene(t)
	trail := w.start(w.trail("a"))
	w.refuse = func(string) string { return "NoSuchBucket" }
	one := w.call(ours, home)
	w.advance(12 * time.Hour)
	w.refuse = nil
	w.advance(time.Minute)
	w.change(trail, (*Service).retryDelivery)
	w.advance(5 * time.Minute)
	w.wantEvents("bucket-a", one)
}

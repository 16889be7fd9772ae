package cloudtrail

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
)

// did puts the records of n calls into the log.
func (w *scene) did(account, name, code, user string, n int) {
	for range n {
		w.id++
		r := audit.Record{
			Time: w.clock.Now(), Source: "kms.amazonaws.com", Name: name, Region: home, EventID: fmt.Sprintf("event-%d", w.id), Type: audit.APICall, Management: true,
			Recipient: account, ErrorCode: code, UserAgent: "aws-cli/2", ReadOnly: name == "DescribeKey",
			Identity: fmt.Appendf(nil, `{"type":"AssumedRole","arn":"arn:aws:sts::%s:assumed-role/%s/session"}`, account, user),
		}
		w.log = append(w.log, audit.Entry{Time: r.Time, Record: r.AppendJSON(nil)})
	}
}

// watchful is a trail that logs and has Insights.
func (w *scene) watchful(name string, kinds ...cloudtrail.InsightType) *trailRecord {
	t := w.trail(name)
	t.Logging, t.Started = true, w.clock.Now()
	for _, k := range kinds {
		t.Insights = append(t.Insights, insightSelector{Type: k})
	}
	w.start(t)
	w.change(t, (*Service).watch)
	return t
}

// usualDay has something done now and then for a little longer than what has to be learnt: a user creates a key in one of ten windows.
func (w *scene) usualDay() {
	r := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		if r.IntN(10) == 0 {
			w.did(ours, "CreateKey", "", "deployer", 1)
		}
		w.advance(insightsWindow)
	}
}

// insightsIn are the Insights events in a bucket, in order.
func (w *scene) insightsIn(bucket string) (all []insightJSON) {
	w.t.Helper()
	_, contents := w.objects(bucket, "CloudTrail-Insight")
	for _, content := range contents {
		var file struct{ Records []insightJSON }
		if err := json.Unmarshal(content, &file); err != nil {
			w.t.Fatal(err)
		}
		all = append(all, file.Records...)
	}
	slices.SortFunc(all, func(a, b insightJSON) int {
		return slices.Compare([]string{a.Time, a.Details.Name, a.Details.Error}, []string{b.Time, b.Details.Name, b.Details.Error})
	})
	return all
}

func TestInsightOfManyCalls(t *testing.T) {
	w := newScene(t)
	w.watchful("a", cloudtrail.InsightTypeApiCallRateInsight, cloudtrail.InsightTypeApiErrorRateInsight)
	w.usualDay()
	began := w.clock.Now().Truncate(insightsWindow)
	w.did(ours, "CreateKey", "", "mallory", 30)
	w.did(ours, "CreateKey", "LimitExceededException", "mallory", 20)
	w.did(ours, "DescribeKey", "", "mallory", 1000) // reading is not watched
	w.did(other, "CreateKey", "", "mallory", 1000)  // nor is another account
	w.advance(insightsWindow)
	w.did(ours, "CreateKey", "", "mallory", 40)
	w.advance(insightsWindow)
	w.advance(time.Hour)

	got := w.insightsIn("bucket-a")
	var told []string
	for _, e := range got {
		told = append(told, fmt.Sprintf("%s %s %s%s", e.Time, e.Details.State, e.Details.Type, e.Details.Error))
	}
	at := func(d time.Duration) string { return began.Add(d).Format(time.RFC3339) }
	want := []string{
		at(0) + " Start ApiCallRateInsight", at(0) + " Start ApiErrorRateInsightLimitExceededException",
		at(5*time.Minute) + " End ApiErrorRateInsightLimitExceededException", at(10*time.Minute) + " End ApiCallRateInsight",
	}
	if d := cmp.Diff(want, told); d != "" {
		t.Fatalf("Insights events (-want +got):\n%s", d)
	}
	start, end := got[0], got[3]
	if start.Shared == "" || start.Shared != end.Shared || start.ID == end.ID || start.Shared == got[1].Shared || start.Account != ours || start.Region != home || start.Type != "AwsCloudTrailInsight" || start.Category != "Insight" {
		t.Errorf("the events are %+v and %+v", start, end)
	}
	s := start.Details.Context.Statistics
	if s.Insight.Average != 10 || s.Duration != 5 || s.Baseline.Average <= 0.01 || s.Baseline.Average >= 0.04 || s.BaselineDuration < 1490 || s.BaselineDuration > 1500 {
		t.Errorf("the statistics are %+v", s)
	}
	if s := end.Details.Context.Statistics; s.Insight.Average != 9 || s.Duration != 10 {
		t.Errorf("the statistics at the end are %+v", s)
	}
	role := func(name string) string { return "arn:aws:sts::" + ours + ":assumed-role/" + name }
	for _, a := range start.Details.Context.Attributions {
		var insight, baseline []string
		for _, v := range a.Insight {
			insight = append(insight, fmt.Sprintf("%s %g", v.Value, v.Average))
		}
		for _, v := range a.Baseline {
			baseline = append(baseline, v.Value)
		}
		wanted := map[string][2][]string{
			"userIdentityArn": {{role("mallory") + " 10"}, {role("deployer")}},
			"userAgent":       {{"aws-cli/2 10"}, {"aws-cli/2"}},
			"errorCode":       {{"null 6", "LimitExceededException 4"}, {"null"}},
		}[a.Attribute]
		if !slices.Equal(insight, wanted[0]) || !slices.Equal(baseline, wanted[1]) {
			t.Errorf("%s is attributed to %v, before to %v", a.Attribute, insight, baseline)
		}
	}
}

// Before enough was seen nothing is unusual, and usual traffic is not.
func TestNoInsight(t *testing.T) {
	w := newScene(t)
	w.watchful("a", cloudtrail.InsightTypeApiCallRateInsight)
	w.did(ours, "CreateKey", "", "mallory", 100)
	w.usualDay()
	w.did(ours, "CreateKey", "AccessDenied", "mallory", 4) // errors are not watched; and these are few
	w.advance(time.Hour)
	if got := w.insightsIn("bucket-a"); got != nil {
		t.Errorf("Insights events %+v", got)
	}
}

// What goes on is usual after a day.
func TestInsightEndsWhenItIsUsual(t *testing.T) {
	w := newScene(t)
	w.watchful("a", cloudtrail.InsightTypeApiCallRateInsight)
	w.usualDay()
	for range 300 {
		w.did(ours, "CreateKey", "", "deployer", 12)
		w.advance(insightsWindow)
	}
	got := w.insightsIn("bucket-a")
	if len(got) != 2 || got[1].Details.State != "End" || got[1].Details.Context.Statistics.Duration != 24*60 {
		t.Errorf("Insights events %+v", got)
	}
}

// A pass that comes late judges each window by what was before it.
func TestInsightsAfterAPause(t *testing.T) {
	w := newScene(t)
	w.watchful("a", cloudtrail.InsightTypeApiCallRateInsight)
	w.usualDay()
	began := w.clock.Now().Truncate(insightsWindow)
	for i := range 200 { // 16 hours, while no timer fires
		n := 1
		if i >= 50 && i < 53 {
			n = 60
		}
		w.did(ours, "CreateKey", "", "mallory", n)
		w.clock.Set(w.clock.Now().Add(insightsWindow))
	}
	w.advance(insightsWindow)
	w.advance(insightsWindow)
	got := w.insightsIn("bucket-a")
	if len(got) != 2 || got[0].Time != began.Add(50*insightsWindow).Format(time.RFC3339) || got[1].Time != began.Add(53*insightsWindow).Format(time.RFC3339) {
		t.Errorf("Insights events %+v, want them from window 50 to 53 after %s", got, began)
	}
}

// When no trail wants Insights any more, nothing is left to do.
func TestInsightsEnd(t *testing.T) {
	w := newScene(t)
	trail := w.watchful("a", cloudtrail.InsightTypeApiCallRateInsight)
	w.usualDay()
	w.did(ours, "CreateKey", "", "mallory", 60)
	w.advance(insightsWindow)
	trail.Logging = false
	w.change(trail, (*Service).stopDelivery)
	w.advance(time.Hour)
	w.nothingLeft()
	err := w.store.View(t.Context(), func(r store.Reader) error {
		for o, err := range insightOngoings.In(call.OwnAccount, home).Scan(r, store.Query{}) {
			t.Errorf("left: %+v, %v", o, err)
		}
		_, err := insightStates.In(call.OwnAccount, home).Get(r, "state")
		return store.IgnoreNotFound(err)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestInsightDay(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for range 200 {
		want := make(minutes)
		for range r.IntN(50) {
			want[r.IntN(1440)] += 1 + r.IntN(1000)
		}
		var d insightDay
		d.set(want)
		if diff := cmp.Diff(want, d.counts()); diff != "" {
			t.Fatalf("counts (-want +got):\n%s", diff)
		}
	}
	full := make(minutes)
	for i := range 1440 {
		full[i] = 100
	}
	var d insightDay
	if d.set(full); len(d.Minutes) > 3000 {
		t.Errorf("a day with something in each minute takes %d bytes", len(d.Minutes))
	}
}

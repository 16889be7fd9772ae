package cloudtrail

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/outbox"
)

// insightJSON is an Insights event: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-insights-fields-trails.html
type insightJSON struct {
	Version  string         `json:"eventVersion"`
	Time     string         `json:"eventTime"`
	Region   string         `json:"awsRegion"`
	ID       string         `json:"eventID"`
	Type     string         `json:"eventType"`
	Account  string         `json:"recipientAccountId"`
	Shared   string         `json:"sharedEventID"`
	Details  insightDetails `json:"insightDetails"`
	Category string         `json:"eventCategory"`
}

type insightDetails struct {
	State    string                         `json:"state"` // Start or End
	Source   string                         `json:"eventSource"`
	Name     string                         `json:"eventName"`
	Type     cloudtrail.InsightType         `json:"insightType"`
	Error    string                         `json:"errorCode,omitempty"`
	Category cloudtrail.SourceEventCategory `json:"sourceEventCategory"`
	Context  struct {
		Statistics   insightStatistics    `json:"statistics"`
		Attributions []insightAttribution `json:"attributions"`
	} `json:"insightContext"`
}

type insightStatistics struct {
	Baseline         insightAverage `json:"baseline"`
	Insight          insightAverage `json:"insight"`
	Duration         int            `json:"insightDuration"`  // minutes
	BaselineDuration int            `json:"baselineDuration"` // minutes
}

// insightAverage is a number per minute.
type insightAverage struct {
	Average float64 `json:"average"`
}

type insightAttribution struct {
	Attribute string         `json:"attribute"`
	Insight   []insightValue `json:"insight"`
	Baseline  []insightValue `json:"baseline"`
}

type insightValue struct {
	Value   string  `json:"value"`
	Average float64 `json:"average"`
}

// emit puts an Insights event into the event history and has it delivered to the trails that want it. At is the end of the last window that belongs to what was unusual.
func (p *insightsPass) emit(state string, o *insightOngoing, at time.Time) error {
	e := &insightEvent{series: o.series, EventID: p.uuid(o.series, o.Began, state), Time: o.Began}
	if state == "End" {
		e.Time = at
	}
	during := max(1, int(at.Sub(o.Began)/time.Minute))
	before := o.Baseline.Windows * int(insightsWindow/time.Minute)
	j := insightJSON{
		Version: "1.11", Time: e.Time.UTC().Format(time.RFC3339), Region: o.Region, ID: e.EventID, Type: "AwsCloudTrailInsight", Account: o.Account, Shared: o.Shared, Category: "Insight",
		Details: insightDetails{State: state, Source: o.Source, Name: o.Name, Type: o.Type, Error: o.Error, Category: cloudtrail.SourceEventCategoryManagement},
	}
	j.Details.Context.Statistics = insightStatistics{
		Baseline: insightAverage{o.Baseline.Sum / float64(max(1, before))}, Insight: insightAverage{float64(o.Count) / float64(during)}, Duration: during, BaselineDuration: before,
	}
	attributes := []string{"userIdentityArn", "userAgent"}
	if o.Type == cloudtrail.InsightTypeApiCallRateInsight {
		attributes = append(attributes, "errorCode")
	}
	for _, a := range attributes {
		j.Details.Context.Attributions = append(j.Details.Context.Attributions, insightAttribution{a, top(o.Values[a], during), top(o.Usual[a], max(1, before))})
	}
	var err error
	if e.Event, err = json.Marshal(j); err != nil {
		return err
	}
	if err := insightEvents.In(call.OwnAccount, p.home).Put(p.c.Tx(), e); err != nil {
		return err
	}
	found, _, err := p.wanting(o.Account, o.Region, o.Source, o.Type)
	if err != nil {
		return err
	}
	for _, t := range found {
		if err := p.s.deliverInsight(p.c, t, o.Account, o.Region, e.EventID, e.Time, e.Event); err != nil {
			return err
		}
	}
	if len(found) == 0 {
		return nil
	}
	// EventBridge has one as well: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html
	return p.c.Emit(outbox.Event{
		DetailType: "AWS Insight via CloudTrail", Source: "aws.cloudtrail", Account: o.Account, Region: o.Region, Time: e.Time, Detail: e.Event,
	})
}

// top are the values with the highest numbers, per minute.
func top(counts map[string]int, minutes int) []insightValue {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), strings.Compare(a, b))
	})
	out := []insightValue{}
	for _, name := range names[:min(len(names), shownValues)] {
		out = append(out, insightValue{name, float64(counts[name]) / float64(minutes)})
	}
	return out
}

// uuid is the same each time for the same event: passes of two home regions may find one twice.
func (p *insightsPass) uuid(x series, began time.Time, state string) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%q %d %s", x.key(), began.Unix(), state))
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80 // version 8, RFC 9562
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

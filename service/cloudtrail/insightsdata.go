package cloudtrail

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/pagetoken"
)

// insightQuery asks for Insights events of an account in a region, the newest first.
type insightQuery struct {
	account, region  string
	from, to         time.Time // both included; zero is no bound
	id, name, source string    // empty is any
	limit            int
	token            *string
}

// insightPage finds events; the token is that of the next page, if there is one.
func insightPage(r store.Reader, now time.Time, q insightQuery) (out []cloudtrail.Event, token *string, err error) {
	listing := fmt.Sprintf("Insights %q %q %q %q %q %v %v", q.account, q.region, q.id, q.name, q.source, q.from, q.to)
	if oldest := now.Add(-kept); q.from.Before(oldest) {
		q.from = oldest
	}
	find := store.Query{Index: "account", Prefix: store.Key{q.account, q.region}, From: store.Key{q.from}, Reverse: true}
	if !q.to.IsZero() {
		find.To = store.Key{q.to.Truncate(time.Second).Add(time.Second)} // events tell whole seconds
	}
	if q.token != nil {
		b, err := pagetoken.Decode(listing, *q.token)
		after, ok := audit.ParsePosition(b)
		if err != nil || !ok {
			return nil, nil, &cloudtrail.InvalidNextTokenException{Message: "The token is not of a previous call with the same parameters."}
		}
		find.To = store.Key{time.Unix(0, after.At).UTC(), after.ID}
	}
	var last *insightEvent
	for e, err := range insightEvents.In("", "").Scan(r, find) {
		if err != nil {
			return nil, nil, err
		}
		if q.id != "" && e.EventID != q.id || q.name != "" && e.Name != q.name || q.source != "" && e.Source != q.source {
			continue
		}
		if len(out) == q.limit {
			at := audit.Position{At: last.Time.UnixNano(), ID: last.EventID}
			return out, new(pagetoken.Encode(listing, at.Append(nil))), nil
		}
		out, last = append(out, e.show()), e
	}
	return out, nil, nil
}

func (e *insightEvent) show() cloudtrail.Event {
	return cloudtrail.Event{
		EventId: &e.EventID, EventName: &e.Name, EventSource: &e.Source, EventTime: &e.Time, Resources: []cloudtrail.Resource{}, CloudTrailEvent: new(string(e.Event)),
	}
}

// lookupInsights is LookupEvents for Insights events.
func (s *Service) lookupInsights(c *call.Call, in *cloudtrail.LookupEventsRequest) (*cloudtrail.LookupEventsResponse, error) {
	asked, err := query(c, in) // the same parameters are wrong
	if err != nil {
		return nil, err
	}
	q := insightQuery{account: asked.Account, region: asked.Region, from: optional.Value(in.StartTime), to: asked.To, limit: asked.Limit, token: in.NextToken}
	switch asked.Attribute {
	case "":
	case audit.EventID:
		q.id = asked.Value
	case audit.EventName:
		q.name = asked.Value
	case audit.EventSource:
		q.source = asked.Value
	default:
		return nil, &cloudtrail.InvalidLookupAttributesException{Message: "Insights events are looked up by EventId, EventName or EventSource."}
	}
	out := &cloudtrail.LookupEventsResponse{}
	if out.Events, out.NextToken, err = insightPage(c.Tx(), c.Time, q); out.Events == nil {
		out.Events = []cloudtrail.Event{}
	}
	return out, err
}

func badParameter(message string) error {
	return &cloudtrail.InvalidParameterException{Message: message}
}

// ListInsightsData shows the Insights events of a trail: those of its account in the region called.
func (s *Service) ListInsightsData(c *call.Call, in *cloudtrail.ListInsightsDataRequest) (*cloudtrail.ListInsightsDataResponse, error) {
	t, err := s.look(c, in.InsightSource)
	if err != nil {
		return nil, err
	}
	q := insightQuery{
		account: t.Account, region: c.Scope.Region, from: optional.Value(in.StartTime), to: optional.Value(in.EndTime), limit: pageSize, token: in.NextToken,
		id:     in.Dimensions[cloudtrail.ListInsightsDataDimensionKeyEventId],
		name:   in.Dimensions[cloudtrail.ListInsightsDataDimensionKeyEventName],
		source: in.Dimensions[cloudtrail.ListInsightsDataDimensionKeyEventSource],
	}
	if t.Account != c.Scope.Account {
		q.account = c.Scope.Account // a member of the organization sees its own
	}
	if in.StartTime != nil && in.EndTime != nil && q.from.After(q.to) {
		return nil, badParameter("The start time must not be after the end time.")
	}
	if in.MaxResults != nil {
		q.limit = int(*in.MaxResults)
	}
	out := &cloudtrail.ListInsightsDataResponse{}
	if out.Events, out.NextToken, err = insightPage(c.Tx(), c.Time, q); out.Events == nil {
		out.Events = []cloudtrail.Event{}
	}
	if _, bad := err.(*cloudtrail.InvalidNextTokenException); bad {
		err = badParameter("The token is not of a previous call with the same parameters.")
	}
	return out, err
}

// metric is what ListInsightsMetricData is asked for.
type metric struct {
	series
	home     string
	from, to time.Time
	period   time.Duration
	zeros    bool // also where nothing happened
}

const maxMetrics = 21600 // in a page

// ListInsightsMetricData shows what Insights counted.
func (s *Service) ListInsightsMetricData(c *call.Call, in *cloudtrail.ListInsightsMetricDataRequest) (*cloudtrail.ListInsightsMetricDataResponse, error) {
	m := metric{home: c.Scope.Region}
	out := &cloudtrail.ListInsightsMetricDataResponse{EventSource: in.EventSource, EventName: in.EventName, InsightType: in.InsightType, ErrorCode: in.ErrorCode}
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	if in.TrailName != nil {
		n, err := s.named(c, *in.TrailName)
		if err != nil {
			return nil, err
		}
		t, err := n.read(c.Tx())
		if err != nil {
			return nil, err
		}
		if shows, err := t.shows(c); err != nil {
			return nil, err
		} else if !shows {
			return nil, badParameter("There is no trail " + n.arn(s.cfg.Partition) + ".")
		}
		m.home, out.TrailARN = t.Region, new(t.arn(s.cfg.Partition))
	}
	m.series = series{c.Scope.Account, c.Scope.Region, optional.Value(in.EventSource), optional.Value(in.EventName), in.InsightType, optional.Value(in.ErrorCode)}
	if err := m.ask(c, in); err != nil {
		return nil, err
	}
	limit := maxMetrics
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	listing := fmt.Sprintf("ListInsightsMetricData %q %q %v %v %v %v", m.home, m.key(), in.StartTime, in.EndTime, m.period, m.zeros)
	if in.NextToken != nil {
		b, err := pagetoken.Decode(listing, *in.NextToken)
		if err != nil || json.Unmarshal(b, &m.from) != nil {
			return nil, badParameter("The token is not of a previous call with the same parameters.")
		}
	}
	counts, err := m.counts(c.Tx())
	if err != nil {
		return nil, err
	}
	out.Timestamps, out.Values = []time.Time{}, []float64{}
	for _, at := range m.times(counts) {
		if len(out.Values) == limit {
			b, err := json.Marshal(at)
			if err != nil {
				return nil, err
			}
			out.NextToken = new(pagetoken.Encode(listing, b))
			break
		}
		out.Timestamps, out.Values = append(out.Timestamps, at), append(out.Values, counts[at])
	}
	return out, nil
}

// ask takes in the times that are asked for, and what is left out of them.
func (m *metric) ask(c *call.Call, in *cloudtrail.ListInsightsMetricDataRequest) error {
	m.period, m.to, m.zeros = time.Hour, c.Time, in.DataType == cloudtrail.InsightsMetricDataTypeFillWithZeros
	if in.Period != nil {
		m.period = time.Duration(*in.Period) * time.Second
	}
	if !slices.Contains([]time.Duration{time.Minute, 5 * time.Minute, time.Hour}, m.period) {
		return badParameter("The period must be 60, 300 or 3600 seconds.")
	}
	switch isError := m.Type == cloudtrail.InsightTypeApiErrorRateInsight; {
	case isError && m.Error == "":
		return badParameter("ApiErrorRateInsight needs an error code.")
	case !isError && m.Error != "":
		return badParameter("An error code is for ApiErrorRateInsight.")
	}
	if in.EndTime != nil {
		m.to = *in.EndTime
	}
	m.from = m.to.Add(-24 * time.Hour)
	if in.StartTime != nil {
		m.from = *in.StartTime
	}
	if m.from.After(m.to) {
		return badParameter("The start time must not be after the end time.")
	}
	if oldest := c.Time.Add(-countsKept); m.from.Before(oldest) {
		m.from = oldest
	}
	if m.to.After(c.Time) {
		m.to = c.Time
	}
	m.from = m.from.UTC().Truncate(m.period)
	return nil
}

// counts are the numbers by the beginnings of the periods in which something was counted.
func (m *metric) counts(r store.Reader) (map[time.Time]float64, error) {
	counts := make(map[time.Time]float64)
	q := store.Query{Prefix: m.key(), From: store.Key{m.from.Format(dayFormat)}}
	for d, err := range insightDays.In(call.OwnAccount, m.home).Scan(r, q) {
		if err != nil {
			return nil, err
		}
		day, err := time.Parse(dayFormat, d.Day)
		if err != nil {
			return nil, err
		}
		for minute, n := range d.counts() {
			if at := day.Add(time.Duration(minute) * time.Minute); !at.Before(m.from) && at.Before(m.to) {
				counts[at.Truncate(m.period)] += float64(n)
			}
		}
	}
	return counts, nil
}

// times are the periods that are shown, in order.
func (m *metric) times(counts map[time.Time]float64) (times []time.Time) {
	if m.zeros {
		for at := m.from; at.Before(m.to); at = at.Add(m.period) {
			times = append(times, at)
		}
		return times
	}
	for at := range counts {
		times = append(times, at)
	}
	slices.SortFunc(times, time.Time.Compare)
	return times
}

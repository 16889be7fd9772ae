package cloudtrail

import (
	"fmt"
	"time"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store/pagetoken"
)

const (
	pageSize = 50                  // at most, and unless less is asked for
	kept     = 90 * 24 * time.Hour // how far the event history goes back
)

// LookupEvents shows the management events of the caller's account in the region, the newest first.
func (s *Service) LookupEvents(c *call.Call, in *cloudtrail.LookupEventsRequest) (*cloudtrail.LookupEventsResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	if in.EventCategory == cloudtrail.EventCategoryInsight {
		return s.lookupInsights(c, in)
	}
	q, err := query(c, in)
	if err != nil {
		return nil, err
	}
	listing := fmt.Sprintf("LookupEvents %q %q %q %q %v %v", q.Account, q.Region, q.Attribute, q.Value, in.StartTime, in.EndTime)
	if in.NextToken != nil {
		b, err := pagetoken.Decode(listing, *in.NextToken)
		after, ok := audit.ParsePosition(b)
		if err != nil || !ok {
			return nil, &cloudtrail.InvalidNextTokenException{Message: "The token is not of a previous call with the same parameters."}
		}
		q.After = &after
	}
	page, err := s.cfg.History.Lookup(c.Context, q)
	if err != nil {
		return nil, err
	}
	if page.Damage != nil {
		s.cfg.Report(fmt.Errorf("looking up events: %w", page.Damage))
	}
	out := &cloudtrail.LookupEventsResponse{Events: make([]cloudtrail.Event, len(page.Events))}
	for i := range page.Events {
		out.Events[i] = event(&page.Events[i])
	}
	if page.More {
		last := page.Events[len(page.Events)-1].Position
		out.NextToken = new(pagetoken.Encode(listing, last.Append(nil)))
	}
	return out, nil
}

// query is what a request asks for.
func query(c *call.Call, in *cloudtrail.LookupEventsRequest) (q audit.Query, err error) {
	q = audit.Query{Account: c.Scope.Account, Region: c.Scope.Region, Limit: pageSize}
	if in.MaxResults != nil {
		q.Limit = int(*in.MaxResults)
	}
	switch len(in.LookupAttributes) {
	case 0:
	case 1:
		q.Attribute, q.Value = audit.Attribute(in.LookupAttributes[0].AttributeKey), *in.LookupAttributes[0].AttributeValue
		if q.Attribute == audit.ReadOnly && q.Value != "true" && q.Value != "false" {
			return q, &cloudtrail.InvalidLookupAttributesException{Message: "The value of the lookup attribute ReadOnly must be true or false."}
		}
	default:
		return q, &cloudtrail.InvalidLookupAttributesException{Message: "Only one lookup attribute can be specified."}
	}
	if in.StartTime != nil {
		q.From = *in.StartTime
	}
	if in.EndTime != nil {
		q.To = *in.EndTime
	}
	if in.StartTime != nil && in.EndTime != nil && q.From.After(q.To) {
		return q, &cloudtrail.InvalidTimeRangeException{Message: "The start time must not be after the end time."}
	}
	if oldest := c.Time.Add(-kept); q.From.Before(oldest) {
		q.From = oldest
	}
	return q, nil
}

// event is an event as the API shows it.
func event(e *audit.Event) cloudtrail.Event {
	out := cloudtrail.Event{
		EventId: &e.ID, EventName: &e.Name, ReadOnly: new(fmt.Sprint(e.ReadOnly)), EventTime: &e.Time, EventSource: &e.Source,
		Username: some(e.Username), AccessKeyId: some(e.AccessKeyID), Resources: []cloudtrail.Resource{}, CloudTrailEvent: new(string(e.Record)),
	}
	for i := range e.Resources {
		out.Resources = append(out.Resources, cloudtrail.Resource{ResourceType: some(e.Resources[i].Type), ResourceName: new(e.Resources[i].Name())})
	}
	return out
}

// some is nil for an empty string.
func some(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

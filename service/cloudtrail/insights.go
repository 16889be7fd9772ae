package cloudtrail

import (
	"fmt"
	"slices"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/eventselect"
	"github.com/holdfast-cloud/holdfast/wire"
)

// PutInsightSelectors says which Insights events a trail has. An empty list turns them off.
func (s *Service) PutInsightSelectors(c *call.Call, in *cloudtrail.PutInsightSelectorsRequest) (*cloudtrail.PutInsightSelectorsResponse, error) {
	if err := ofTrail(c, in.TrailName, in.EventDataStore); err != nil {
		return nil, err
	}
	t, err := s.change(c, in.TrailName)
	if err != nil {
		return nil, err
	}
	if in.InsightsDestination != nil {
		return nil, badInsights("The parameter InsightsDestination is for event data stores.")
	}
	if t.Insights, err = t.insightsOf(c, in.InsightSelectors); err != nil {
		return nil, err
	}
	if err := trailTable.In(t.Account, t.Region).Put(c.Tx(), t); err != nil {
		return nil, err
	}
	if err := s.watch(c, t); err != nil {
		return nil, err
	}
	return &cloudtrail.PutInsightSelectorsResponse{TrailARN: new(t.arn(s.cfg.Partition)), InsightSelectors: t.showInsights()}, nil
}

// GetInsightSelectors tells which Insights events a trail has.
func (s *Service) GetInsightSelectors(c *call.Call, in *cloudtrail.GetInsightSelectorsRequest) (*cloudtrail.GetInsightSelectorsResponse, error) {
	if err := ofTrail(c, in.TrailName, in.EventDataStore); err != nil {
		return nil, err
	}
	t, err := s.look(c, in.TrailName)
	if err != nil {
		return nil, err
	}
	if len(t.Insights) == 0 {
		return nil, &cloudtrail.InsightNotEnabledException{
			Message: "Trail " + t.arn(s.cfg.Partition) + " does not have Insights enabled. Edit the trail settings to enable Insights, and then try the operation again.",
		}
	}
	return &cloudtrail.GetInsightSelectorsResponse{TrailARN: new(t.arn(s.cfg.Partition)), InsightSelectors: t.showInsights()}, nil
}

// ofTrail refuses what is not asked of a trail.
func ofTrail(c *call.Call, trail, eventDataStore *string) error {
	switch {
	case trail != nil && eventDataStore != nil:
		c.Open("what is asked for is no resource")
		return &cloudtrail.InvalidParameterCombinationException{Message: "Specify either a trail or an event data store, and not both."}
	case eventDataStore != nil:
		c.Open("what is asked for is not built")
		return wire.NotImplemented(cloudtrail.Service.Package, c.Op.Name+" of an event data store")
	}
	return nil
}

func badInsights(message string) error {
	return &cloudtrail.InvalidInsightSelectorsException{Message: message}
}

// insightsOf reads selectors, and says what is wrong with them.
func (t *trailRecord) insightsOf(c *call.Call, in []cloudtrail.InsightSelector) (out []insightSelector, err error) {
	m, err := t.matcher()
	if err != nil {
		return nil, err
	}
	for _, x := range in {
		switch {
		case x.InsightType == "":
			return nil, badInsights("An Insights selector has an InsightType.")
		case slices.ContainsFunc(out, func(o insightSelector) bool { return o.Type == x.InsightType }):
			return nil, badInsights(fmt.Sprintf("There are two selectors of the type %s.", x.InsightType))
		case slices.Contains(x.EventCategories, cloudtrail.SourceEventCategoryData):
			return nil, wire.NotImplemented(cloudtrail.Service.Package, c.Op.Name+" for data events")
		case !m.Wants(eventselect.Management):
			return nil, badInsights("The trail must log management events to have Insights events.")
		}
		out = append(out, insightSelector{x.InsightType, []cloudtrail.SourceEventCategory{cloudtrail.SourceEventCategoryManagement}})
	}
	return out, nil
}

func (t *trailRecord) showInsights() []cloudtrail.InsightSelector {
	out := make([]cloudtrail.InsightSelector, 0, len(t.Insights))
	for _, x := range t.Insights {
		out = append(out, cloudtrail.InsightSelector{InsightType: x.Type, EventCategories: x.Categories})
	}
	return out
}

func (t *trailRecord) hasInsights(kind cloudtrail.InsightType) bool {
	return slices.ContainsFunc(t.Insights, func(x insightSelector) bool { return x.Type == kind })
}

package cloudtrail

import (
	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/eventselect"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/wire"
)

func badSelectors(message string) error {
	return &cloudtrail.InvalidEventSelectorsException{Message: message}
}

// PutEventSelectors says which events a trail has.
func (s *Service) PutEventSelectors(c *call.Call, in *cloudtrail.PutEventSelectorsRequest) (*cloudtrail.PutEventSelectorsResponse, error) {
	t, err := s.change(c, in.TrailName)
	if err != nil {
		return nil, err
	}
	switch {
	case len(in.EventSelectors) > 0 && len(in.AdvancedEventSelectors) > 0:
		return nil, badSelectors("A trail has event selectors or advanced event selectors, and not both.")
	case len(in.AdvancedEventSelectors) > 0:
		t.Basic = nil
		if t.Advanced, err = trailSelectors(c.Op, in.AdvancedEventSelectors); err != nil {
			return nil, err
		}
	default:
		t.Advanced, t.Basic = nil, basicOf(in.EventSelectors)
		if err := eventselect.CheckBasic(t.Basic); err != nil {
			return nil, badSelectors("Invalid event selectors: " + err.Error() + ".")
		}
	}
	if err := trailTable.In(t.Account, t.Region).Put(c.Tx(), t); err != nil {
		return nil, err
	}
	basic, advanced := t.selectors()
	return &cloudtrail.PutEventSelectorsResponse{TrailARN: new(t.arn(s.cfg.Partition)), EventSelectors: basic, AdvancedEventSelectors: advanced}, nil
}

// GetEventSelectors tells which events a trail has.
func (s *Service) GetEventSelectors(c *call.Call, in *cloudtrail.GetEventSelectorsRequest) (*cloudtrail.GetEventSelectorsResponse, error) {
	t, err := s.look(c, in.TrailName)
	if err != nil {
		return nil, err
	}
	basic, advanced := t.selectors()
	return &cloudtrail.GetEventSelectorsResponse{TrailARN: new(t.arn(s.cfg.Partition)), EventSelectors: basic, AdvancedEventSelectors: advanced}, nil
}

// selectors are the trail's selectors as the API shows them, of one of the two kinds.
func (t *trailRecord) selectors() (basic []cloudtrail.EventSelector, advanced []cloudtrail.AdvancedEventSelector) {
	if t.Advanced != nil {
		return nil, showSelectors(t.Advanced)
	}
	for _, b := range t.basic() {
		e := cloudtrail.EventSelector{
			ReadWriteType: cloudtrail.ReadWriteType(b.ReadWrite), IncludeManagementEvents: new(b.Management), DataResources: []cloudtrail.DataResource{}, ExcludeManagementEventSources: []string{},
		}
		for _, d := range b.Data {
			e.DataResources = append(e.DataResources, cloudtrail.DataResource{Type: new(d.Type), Values: d.Values})
		}
		e.ExcludeManagementEventSources = append(e.ExcludeManagementEventSources, b.Excluded...)
		basic = append(basic, e)
	}
	return basic, nil
}

// basicOf reads basic selectors, with what they leave out.
func basicOf(in []cloudtrail.EventSelector) (out []eventselect.BasicSelector) {
	for _, e := range in {
		b := eventselect.BasicSelector{
			ReadWrite: eventselect.ReadWrite(e.ReadWriteType), Management: e.IncludeManagementEvents == nil || *e.IncludeManagementEvents, Excluded: e.ExcludeManagementEventSources,
		}
		if b.ReadWrite == "" {
			b.ReadWrite = eventselect.All
		}
		for _, d := range e.DataResources {
			b.Data = append(b.Data, eventselect.DataResource{Type: optional.Value(d.Type), Values: d.Values})
		}
		out = append(out, b)
	}
	return out
}

// advancedOf reads advanced selectors and says what is wrong with them.
func advancedOf(op *wire.Operation, in []cloudtrail.AdvancedEventSelector) ([]eventselect.Selector, error) {
	out := make([]eventselect.Selector, 0, len(in))
	for _, a := range in {
		x := eventselect.Selector{Name: optional.Value(a.Name)}
		for _, f := range a.FieldSelectors {
			x.Fields = append(x.Fields, eventselect.Field{
				Field: optional.Value(f.Field), Equals: f.Equals, StartsWith: f.StartsWith, EndsWith: f.EndsWith,
				NotEquals: f.NotEquals, NotStartsWith: f.NotStartsWith, NotEndsWith: f.NotEndsWith,
			})
		}
		out = append(out, x)
	}
	m, err := eventselect.Compile(out)
	if err != nil {
		return nil, badSelectors("Invalid advanced event selectors: " + err.Error() + ".")
	}
	if m.Wants(eventselect.NetworkActivity) {
		return nil, wire.NotImplemented(cloudtrail.Service.Package, op.Name+" with network activity events")
	}
	return out, nil
}

// trailSelectors is advancedOf for trails, which take less.
func trailSelectors(op *wire.Operation, in []cloudtrail.AdvancedEventSelector) ([]eventselect.Selector, error) {
	out, err := advancedOf(op, in)
	if err != nil {
		return nil, err
	}
	if err := eventselect.CheckTrail(out); err != nil {
		return nil, badSelectors("Invalid advanced event selectors: " + err.Error() + ".")
	}
	return out, nil
}

// showSelectors are advanced selectors as the API shows them.
func showSelectors(selectors []eventselect.Selector) []cloudtrail.AdvancedEventSelector {
	out := make([]cloudtrail.AdvancedEventSelector, 0, len(selectors))
	for _, x := range selectors {
		a := cloudtrail.AdvancedEventSelector{Name: some(x.Name), FieldSelectors: []cloudtrail.AdvancedFieldSelector{}}
		for _, f := range x.Fields {
			a.FieldSelectors = append(a.FieldSelectors, cloudtrail.AdvancedFieldSelector{
				Field: new(f.Field), Equals: f.Equals, StartsWith: f.StartsWith, EndsWith: f.EndsWith,
				NotEquals: f.NotEquals, NotStartsWith: f.NotStartsWith, NotEndsWith: f.NotEndsWith,
			})
		}
		out = append(out, a)
	}
	return out
}

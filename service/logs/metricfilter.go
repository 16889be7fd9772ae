package logs

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/logs"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/logpattern"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/meter"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html
const (
	maxMetricFilters = 100 // of a group
	maxDimensions    = 3
	maxRegexFilters  = 5 // filters of a group whose patterns have regular expressions

	// What CloudWatch takes of PutMetricData: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html, API_Dimension.html
	maxMetricValue    = 1 << 360 // and as much below zero
	maxDimensionValue = 1024     // bytes

	badMetricPattern = "Invalid metric filter pattern"
)

// PutMetricFilter sets a metric filter of a group.
func (s *Service) PutMetricFilter(c *call.Call, in *logs.PutMetricFilterRequest) (*logs.PutMetricFilterResponse, error) {
	g, err := s.find(look(c, optional.Value(in.LogGroupName)))
	if err != nil {
		return nil, err
	}
	if in.FieldSelectionCriteria != nil || in.EmitSystemFieldDimensions != nil {
		return nil, wire.NotImplemented(logs.Service.Package, c.Op.Name+" with fieldSelectionCriteria or emitSystemFieldDimensions")
	}
	if err := g.filterable(); err != nil {
		return nil, err
	}
	p, err := s.pattern(c, optional.Value(in.FilterPattern), badMetricPattern)
	if err != nil {
		return nil, err
	}
	t := in.MetricTransformations[0]
	m := &metricRecord{
		Group: g.ID, Name: *in.FilterName, LogGroup: g.Name, Created: c.Time, Pattern: *in.FilterPattern, OnTransformed: optional.Value(in.ApplyOnTransformedLogs),
		Metric: transformation{*t.MetricName, *t.MetricNamespace, *t.MetricValue, t.DefaultValue, t.Dimensions, t.Unit},
	}
	if _, err := m.compile(p); err != nil {
		return nil, err
	}
	rows := metricTable.In(g.scope.Account, g.scope.Region)
	there, err := rows.Get(c.Tx(), g.ID, m.Name)
	if store.IgnoreNotFound(err) != nil {
		return nil, err
	}
	if there == nil {
		if g.Metrics >= maxMetricFilters {
			return nil, limitExceeded()
		}
		g.Metrics++
	}
	if err := s.checkRegexes(g, p, m.Name, ""); err != nil {
		return nil, err
	}
	return &logs.PutMetricFilterResponse{}, errors.Join(rows.Put(c.Tx(), m), g.save())
}

// filterable refuses filters of groups whose class has none.
func (g *group) filterable() error {
	if g.Class == logs.LogGroupClassStandard {
		return nil
	}
	return &logs.InvalidOperationException{Message: g.c.Op.Name + " is not supported for log groups of the class " + string(g.Class) + "."}
}

// checkRegexes refuses one more filter with regular expressions than a group may have. Those that it replaces do not count.
func (s *Service) checkRegexes(g *group, p *logpattern.Pattern, metric, subscription string) error {
	if p.Regexes() == 0 {
		return nil
	}
	var patterns []string
	for m, err := range metricTable.In(g.scope.Account, g.scope.Region).Scan(g.c.Tx(), store.Query{Prefix: store.Key{g.ID}}) {
		if err != nil {
			return err
		}
		if m.Name != metric {
			patterns = append(patterns, m.Pattern)
		}
	}
	for sub, err := range subscriptionTable.In(g.scope.Account, g.scope.Region).Scan(g.c.Tx(), store.Query{Prefix: store.Key{g.ID}}) {
		if err != nil {
			return err
		}
		if sub.Name != subscription {
			patterns = append(patterns, sub.Pattern)
		}
	}
	n := 0
	for _, text := range patterns {
		other, err := s.patterns.Get(g.c.Context, text)
		if err != nil {
			return err
		}
		if other.Regexes() > 0 {
			n++
		}
	}
	if n >= maxRegexFilters {
		return limitExceeded()
	}
	return nil
}

// metricFilter is a metric filter that is ready for use.
type metricFilter struct {
	pattern    *logpattern.Pattern
	value      *logpattern.Selector // nil where number is the value
	number     float64
	dimensions []dimension
}

type dimension struct {
	name  string
	value *logpattern.Selector
}

// compile reads the selectors of a filter's metric.
func (m *metricRecord) compile(p *logpattern.Pattern) (*metricFilter, error) {
	t := &m.Metric
	f := &metricFilter{pattern: p}
	var err error
	if strings.HasPrefix(t.Value, "$") {
		f.value, err = p.Selector(t.Value)
	} else {
		f.number, err = strconv.ParseFloat(t.Value, 64)
	}
	switch {
	case err != nil || !publishable(f.number):
		return nil, invalid("Invalid metric transformation: metricValue " + t.Value + " is neither a number nor a value of the filter pattern.")
	case strings.HasPrefix(t.Namespace, "AWS/"):
		return nil, invalid("Invalid metric transformation: namespaces that begin with AWS/ are reserved.")
	case t.Default != nil && len(t.Dimensions) > 0:
		return nil, invalid("Invalid metric transformation: dimensions and default value are mutually exclusive properties.")
	case len(t.Dimensions) > maxDimensions:
		return nil, invalid("Invalid metric transformation: a metric filter has 3 dimensions at most.")
	}
	for _, name := range slices.Sorted(maps.Keys(t.Dimensions)) {
		selector, err := p.Selector(t.Dimensions[name])
		if err != nil {
			return nil, invalid("Invalid metric transformation: dimension " + name + " is no value of the filter pattern.")
		}
		f.dimensions = append(f.dimensions, dimension{name, selector})
	}
	return f, nil
}

// DeleteMetricFilter removes a metric filter.
func (s *Service) DeleteMetricFilter(c *call.Call, in *logs.DeleteMetricFilterRequest) (*logs.DeleteMetricFilterResponse, error) {
	g, err := s.find(look(c, optional.Value(in.LogGroupName)))
	if err != nil {
		return nil, err
	}
	err = metricTable.In(g.scope.Account, g.scope.Region).Delete(c.Tx(), g.ID, optional.Value(in.FilterName))
	if errors.Is(err, store.ErrNotFound) {
		return nil, &logs.ResourceNotFoundException{Message: "The specified metric filter does not exist."}
	}
	if err != nil {
		return nil, err
	}
	g.Metrics--
	return &logs.DeleteMetricFilterResponse{}, g.save()
}

// DescribeMetricFilters lists metric filters by name, of a group or of all.
func (s *Service) DescribeMetricFilters(c *call.Call, in *logs.DescribeMetricFiltersRequest) (*logs.DescribeMetricFiltersResponse, error) {
	q := store.Query{Index: "name", Prefix: store.Key{store.Begin(optional.Value(in.FilterNamePrefix))}, Limit: limitOf(in.Limit, maxListed)}
	scope := c.Scope
	if in.LogGroupName != nil {
		g, err := s.find(look(c, *in.LogGroupName))
		if err != nil {
			return nil, err
		}
		scope = g.scope
		q.Index, q.Prefix = "", store.Key{g.ID, store.Begin(optional.Value(in.FilterNamePrefix))}
	} else if err := askAll(c); err != nil {
		return nil, err
	}
	if (in.MetricName == nil) != (in.MetricNamespace == nil) {
		return nil, invalid("metricName and metricNamespace must be specified together.")
	}
	records, next, err := metricTable.In(scope.Account, scope.Region).Page(c.Tx(), q, optional.Value(in.NextToken), optional.Value(in.MetricNamespace)+"\x00"+optional.Value(in.MetricName),
		func(m *metricRecord) bool {
			return in.MetricName == nil || m.Metric.Name == *in.MetricName && m.Metric.Namespace == *in.MetricNamespace
		})
	if err != nil {
		return nil, badToken(err)
	}
	out := &logs.DescribeMetricFiltersResponse{MetricFilters: make([]logs.MetricFilter, len(records)), NextToken: optional.NonZero(next)}
	for i, m := range records {
		out.MetricFilters[i] = logs.MetricFilter{
			FilterName: &m.Name, FilterPattern: &m.Pattern, LogGroupName: &m.LogGroup, CreationTime: new(m.Created.UnixMilli()), ApplyOnTransformedLogs: &m.OnTransformed,
			MetricTransformations: []logs.MetricTransformation{{
				MetricName: &m.Metric.Name, MetricNamespace: &m.Metric.Namespace, MetricValue: &m.Metric.Value, DefaultValue: m.Metric.Default,
				Dimensions: m.Metric.Dimensions, Unit: m.Metric.Unit,
			}},
		}
	}
	return out, nil
}

// TestMetricFilter tells which messages match a pattern, and the values it finds in them.
func (s *Service) TestMetricFilter(c *call.Call, in *logs.TestMetricFilterRequest) (*logs.TestMetricFilterResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	p, err := s.pattern(c, optional.Value(in.FilterPattern), badMetricPattern)
	if err != nil {
		return nil, err
	}
	out := &logs.TestMetricFilterResponse{Matches: []logs.MetricFilterMatchRecord{}}
	for i, message := range in.LogEventMessages {
		if m := p.Extract(message); m != nil {
			out.Matches = append(out.Matches, logs.MetricFilterMatchRecord{EventNumber: new(int64(i + 1)), EventMessage: &message, ExtractedValues: m.Values()})
		}
	}
	return out, nil
}

// filtered tells the filters of a group of events that came in.
func (s *Service) filtered(g *group, st *streamRecord, events []event) error {
	if g.Metrics > 0 {
		for m, err := range metricTable.In(g.scope.Account, g.scope.Region).Scan(g.c.Tx(), store.Query{Prefix: store.Key{g.ID}}) {
			if err != nil {
				return err
			}
			if err := s.publish(g, m, events); err != nil {
				return err
			}
		}
	}
	if g.Subscriptions > 0 {
		return s.forward(g, st, events)
	}
	return nil
}

// publish adds what a metric filter makes of events to its metric, once the call has committed.
func (s *Service) publish(g *group, m *metricRecord, events []event) error {
	p, err := s.patterns.Get(g.c.Context, m.Pattern)
	if err != nil {
		return err
	}
	f, err := m.compile(p)
	if err != nil {
		return err
	}
	type point struct {
		series meter.Series
		at     time.Time
		value  float64
	}
	var points []point
	matched := false
	series := meter.Series{Account: g.scope.Account, Region: g.scope.Region, Namespace: m.Metric.Namespace, Name: m.Metric.Name, Unit: string(m.Metric.Unit)}
	if series.Unit == "" {
		series.Unit = meter.None
	}
	for i := range events {
		found := f.pattern.Extract(events[i].Message)
		if found == nil {
			continue
		}
		matched = true
		value, dimensions, ok := f.read(found)
		if ok {
			one := series
			one.Dimensions = dimensions
			points = append(points, point{one, time.UnixMilli(events[i].Time), value})
		}
	}
	if !matched && m.Metric.Default != nil {
		points = append(points, point{series, time.UnixMilli(events[len(events)-1].Time), *m.Metric.Default})
	}
	if len(points) > 0 {
		g.c.Tx().OnCommitted(func() {
			for i := range points {
				s.cfg.Meter.Add(points[i].series, points[i].at, points[i].value)
			}
		})
	}
	return nil
}

// publishable reports whether a number is one that a metric may have. NaN is none.
func publishable(v float64) bool { return v >= -maxMetricValue && v <= maxMetricValue }

// read takes a metric's value and its dimensions from an event. There is no metric if one of them is missing, or is not what a metric may have.
func (f *metricFilter) read(found *logpattern.Match) (value float64, dimensions []meter.Dimension, ok bool) {
	value = f.number
	if f.value != nil {
		text, there := found.Value(f.value)
		v, err := strconv.ParseFloat(text, 64)
		if !there || err != nil || !publishable(v) {
			return 0, nil, false
		}
		value = v
	}
	for _, d := range f.dimensions {
		text, there := found.Value(d.value)
		if !there || text == "" || len(text) > maxDimensionValue {
			return 0, nil, false
		}
		dimensions = append(dimensions, meter.Dimension{Name: d.name, Value: text})
	}
	return value, dimensions, true
}

// dropFilters removes the filters of a group that is deleted.
func (s *Service) dropFilters(g *group) error {
	metrics := metricTable.In(g.scope.Account, g.scope.Region)
	for m, err := range metrics.Scan(g.c.Tx(), store.Query{Prefix: store.Key{g.ID}}) {
		if err == nil {
			err = metrics.Delete(g.c.Tx(), m.Group, m.Name)
		}
		if err != nil {
			return err
		}
	}
	subscriptions := subscriptionTable.In(g.scope.Account, g.scope.Region)
	for sub, err := range subscriptions.Scan(g.c.Tx(), store.Query{Prefix: store.Key{g.ID}}) {
		if err == nil {
			err = subscriptions.Delete(g.c.Tx(), sub.Group, sub.Name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

package cloudwatch

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-cloud/holdfast/api/cloudwatch"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

const (
	maxListed = 500 // metrics of a page

	// listedFor is for how long a metric is listed of which nothing new is published; with RecentlyActive it is activeFor.
	listedFor = 14 * 24 * time.Hour
	activeFor = 3 * time.Hour
)

// ListMetrics lists the metrics that something was published of lately.
func (s *Service) ListMetrics(c *call.Call, in *cloudwatch.ListMetricsInput) (*cloudwatch.ListMetricsOutput, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	since := c.Time.Add(-listedFor)
	if in.RecentlyActive != "" {
		since = c.Time.Add(-activeFor - seenWithin)
	}
	q := store.Query{Limit: maxListed}
	if in.Namespace != nil {
		q.Prefix = store.Key{*in.Namespace}
		if in.MetricName != nil {
			q.Prefix = append(q.Prefix, *in.MetricName)
		}
	}
	keep := func(m *metricRecord) bool {
		return !m.Last.Before(since) && (in.MetricName == nil || m.Name == *in.MetricName) && m.has(in.Dimensions)
	}
	out := &cloudwatch.ListMetricsOutput{Metrics: []cloudwatch.Metric{}}
	if optional.Value(in.IncludeLinkedAccounts) {
		out.OwningAccounts = []string{}
	}
	if in.OwningAccount != nil && *in.OwningAccount != c.Scope.Account {
		return out, nil // no accounts are linked
	}
	filters := fmt.Sprintf("%q %q %s", optional.Value(in.MetricName), in.RecentlyActive, filterText(in.Dimensions))
	metrics, next, err := metricTable.In(c.Scope.Account, c.Scope.Region).Page(c.Tx(), q, optional.Value(in.NextToken), filters, keep)
	if errors.Is(err, store.ErrBadToken) {
		return nil, badValue("Invalid nextToken")
	}
	if err != nil {
		return nil, err
	}
	for _, m := range metrics {
		out.Metrics = append(out.Metrics, showMetric(m.metric()))
		if out.OwningAccounts != nil {
			out.OwningAccounts = append(out.OwningAccounts, c.Scope.Account)
		}
	}
	if next != "" {
		out.NextToken = &next
	}
	return out, nil
}

func filterText(filters []cloudwatch.DimensionFilter) (text string) {
	for _, f := range filters {
		text += fmt.Sprintf("%q=%q %t,", optional.Value(f.Name), optional.Value(f.Value), f.Value != nil)
	}
	return text
}

// has reports whether a metric has all dimensions that are asked for, whatever others it has.
func (m *metricRecord) has(filters []cloudwatch.DimensionFilter) bool {
	for _, f := range filters {
		if !slices.ContainsFunc(m.Dimensions, func(d dimension) bool {
			return d.Name == optional.Value(f.Name) && (f.Value == nil || d.Value == *f.Value)
		}) {
			return false
		}
	}
	return true
}

func showMetric(m metric) cloudwatch.Metric {
	return cloudwatch.Metric{Namespace: &m.namespace, MetricName: &m.name, Dimensions: showDimensions(m.dimensions)}
}

func showDimensions(dimensions []dimension) []cloudwatch.Dimension {
	out := make([]cloudwatch.Dimension, len(dimensions))
	for i, d := range dimensions {
		out[i] = cloudwatch.Dimension{Name: new(d.Name), Value: new(d.Value)}
	}
	return out
}

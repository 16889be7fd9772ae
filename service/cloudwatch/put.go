package cloudwatch

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/cloudwatch"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/histogram"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// The limits of PutMetricData:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html
const (
	maxData       = 1000
	maxValues     = 150
	maxDimensions = 30
	oldest        = 14 * 24 * time.Hour
	newest        = 2 * time.Hour
)

// largest is how far from 0 a value may be.
var largest = math.Ldexp(1, 360)

// PutMetricData stores numbers of metrics.
func (s *Service) PutMetricData(c *call.Call, in *cloudwatch.PutMetricDataInput) (*cloudwatch.PutMetricDataResponse, error) {
	namespace := optional.Value(in.Namespace)
	keys := policy.Values{}
	keys.Set("cloudwatch:namespace", namespace)
	if err := c.Authorize(&call.Resource{ARN: "*", Conditions: keys}); err != nil {
		return nil, err
	}
	if strings.HasPrefix(namespace, "AWS/") {
		return nil, badValue("The value AWS/ for parameter Namespace is invalid.")
	}
	data := in.MetricData
	for i := range in.EntityMetricData {
		// Which entity the data belongs to is of no use here: nothing asks for it.
		data = append(slices.Clip(data), in.EntityMetricData[i].MetricData...)
	}
	switch {
	case len(data) == 0:
		return nil, missingParameter("The parameter MetricData is required.")
	case len(data) > maxData:
		return nil, badValue("The collection MetricData must not have a size greater than %d.", maxData)
	}
	b := newBatch()
	for i := range data {
		if err := b.datum(namespace, &data[i], i, c.Time); err != nil {
			return nil, err
		}
	}
	return &cloudwatch.PutMetricDataResponse{}, b.store(c.Tx(), home{c.Scope.Account, c.Scope.Region}, c.Time)
}

// datum adds one member of MetricData, the nth.
func (b *batch) datum(namespace string, d *cloudwatch.MetricDatum, n int, now time.Time) error {
	n++ // AWS counts from one
	if err := checkDimensions(d.Dimensions, n); err != nil {
		return err
	}
	at := now
	if d.Timestamp != nil {
		at = d.Timestamp.UTC()
	}
	switch {
	case at.Before(now.Add(-oldest)):
		return badValue("The parameter MetricData.member.%d.Timestamp must specify a time no more than two weeks in the past.", n)
	case at.After(now.Add(newest)):
		return badValue("The parameter MetricData.member.%d.Timestamp must specify a time no more than two hours in the future.", n)
	}
	fine := false
	if d.StorageResolution != nil {
		switch *d.StorageResolution {
		case 1:
			fine = true
		case 60:
		default:
			return badValue("The parameter MetricData.member.%d.StorageResolution must be 1 or 60.", n)
		}
	}
	h, err := numbers(d, n)
	if err != nil {
		return err
	}
	unit := string(d.Unit)
	if unit == "" {
		unit = string(cloudwatch.StandardUnitNone)
	}
	if !fine {
		at = at.Truncate(time.Minute)
	}
	b.add(newMetric(namespace, optional.Value(d.MetricName), d.Dimensions), unit, fine, at.Truncate(time.Second), h)
	return nil
}

func checkDimensions(dimensions []cloudwatch.Dimension, n int) error {
	if len(dimensions) > maxDimensions {
		return badValue("The collection MetricData.member.%d.Dimensions must not have a size greater than %d.", n, maxDimensions)
	}
	for i, d := range dimensions {
		name := optional.Value(d.Name)
		switch {
		case strings.TrimSpace(name) == "" || strings.HasPrefix(name, ":"):
			return badValue("The parameter MetricData.member.%d.Dimensions.member.%d.Name must not be empty, and must not start with a colon.", n, i+1)
		case strings.TrimSpace(optional.Value(d.Value)) == "":
			return badValue("The parameter MetricData.member.%d.Dimensions.member.%d.Value must not be empty.", n, i+1)
		}
		if slices.ContainsFunc(dimensions[:i], func(e cloudwatch.Dimension) bool { return optional.Value(e.Name) == name }) {
			return badValue("No Metric may specify the same dimension name twice.")
		}
	}
	return nil
}

// numbers sums up what a datum says.
func numbers(d *cloudwatch.MetricDatum, n int) (*histogram.Histogram, error) {
	given := 0
	for _, there := range []bool{d.Value != nil, d.StatisticValues != nil, d.Values != nil} {
		if there {
			given++
		}
	}
	if given == 0 {
		return nil, missingParameter("At least one of the parameters must be specified.")
	}
	if given > 1 {
		if d.Values != nil && d.StatisticValues == nil {
			return nil, badCombination("The parameters MetricData.member.%d.Value and MetricData.member.%d.Values are mutually exclusive and you have specified both.", n, n)
		}
		if d.Value != nil {
			return nil, badCombination("The parameters MetricData.member.%d.Value and MetricData.member.%d.StatisticValues are mutually exclusive and you have specified both.", n, n)
		}
		return nil, badCombination("The parameters MetricData.member.%d.Values and MetricData.member.%d.StatisticValues are mutually exclusive and you have specified both.", n, n)
	}
	h := new(histogram.Histogram)
	switch {
	case d.Value != nil:
		if err := checkNumber(*d.Value, "MetricData.member.%d.Value", n); err != nil {
			return nil, err
		}
		h.Add(*d.Value)
	case d.StatisticValues != nil:
		return h, addSet(h, d.StatisticValues, n)
	default:
		return h, addValues(h, d, n)
	}
	return h, nil
}

// addSet adds a statistic set. What its members say is believed as long as it can be true.
func addSet(h *histogram.Histogram, set *cloudwatch.StatisticSet, n int) error {
	prefix := "MetricData.member.%d.StatisticValues."
	for _, m := range []struct {
		name  string
		value *float64
	}{{"SampleCount", set.SampleCount}, {"Sum", set.Sum}, {"Minimum", set.Minimum}, {"Maximum", set.Maximum}} {
		if err := checkNumber(optional.Value(m.value), prefix+m.name, n); err != nil {
			return err
		}
	}
	count, smallest, biggest := optional.Value(set.SampleCount), optional.Value(set.Minimum), optional.Value(set.Maximum)
	switch {
	case count <= 0:
		return badValue("The parameter MetricData.member.%d.StatisticValues.SampleCount must be greater than 0.", n)
	case smallest > biggest:
		return badValue("The parameter MetricData.member.%d.StatisticValues.Maximum must be greater than or equal to MetricData.member.%d.StatisticValues.Minimum.", n, n)
	}
	h.AddSet(count, optional.Value(set.Sum), smallest, biggest)
	return nil
}

func addValues(h *histogram.Histogram, d *cloudwatch.MetricDatum, n int) error {
	switch {
	case len(d.Values) == 0:
		return missingParameter("At least one of the parameters must be specified.")
	case len(d.Values) > maxValues:
		return badValue("The collection MetricData.member.%d.Values must not have a size greater than %d.", n, maxValues)
	case d.Counts != nil && len(d.Counts) != len(d.Values):
		return badValue("The parameters MetricData.member.%d.Values and MetricData.member.%d.Counts must be of the same size.", n, n)
	}
	for i, v := range d.Values {
		if err := checkNumber(v, "MetricData.member.%d.Values", n); err != nil {
			return err
		}
		count := 1.0
		if d.Counts != nil {
			count = d.Counts[i]
			if err := checkNumber(count, "MetricData.member.%d.Counts", n); err != nil {
				return err
			}
			if count < 0 {
				return badValue("The value %s for parameter MetricData.member.%d.Counts is invalid.", number(count), n)
			}
		}
		h.AddN(v, count)
	}
	return nil
}

// checkNumber refuses what is no number that CloudWatch takes; member has a verb for n.
func checkNumber(v float64, member string, n int) error {
	if math.IsNaN(v) || math.Abs(v) > largest {
		return badValue("The value %s for parameter "+member+" is invalid.", number(v), n)
	}
	return nil
}

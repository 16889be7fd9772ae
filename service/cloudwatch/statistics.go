package cloudwatch

import (
	"slices"
	"time"

	"github.com/holdfast-cloud/holdfast/api/cloudwatch"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// maxDatapoints is how many GetMetricStatistics returns.
const maxDatapoints = 1440

// GetMetricStatistics returns statistics of a metric, for each unit that it was published in.
func (s *Service) GetMetricStatistics(c *call.Call, in *cloudwatch.GetMetricStatisticsInput) (*cloudwatch.GetMetricStatisticsOutput, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	plain, extended, err := statisticsOf(in)
	if err != nil {
		return nil, err
	}
	period := time.Duration(optional.Value(in.Period)) * time.Second
	from, to := optional.Value(in.StartTime).UTC(), optional.Value(in.EndTime).UTC()
	if err := checkRange(from, to, period); err != nil {
		return nil, err
	}
	from = startOf(from, period, c.Time)
	out := &cloudwatch.GetMetricStatisticsOutput{Label: in.MetricName, Datapoints: []cloudwatch.Datapoint{}}
	m, err := lookup(c.Tx(), home{c.Scope.Account, c.Scope.Region}, newMetric(optional.Value(in.Namespace), optional.Value(in.MetricName), in.Dimensions))
	if err != nil || m == nil {
		return out, err
	}
	for _, unit := range m.Units {
		if in.Unit != "" && unit != string(in.Unit) {
			continue
		}
		points, err := periods(c.Tx(), home{c.Scope.Account, c.Scope.Region}, m.id(), unit, m.Fine, from, to, c.Time, period)
		if err != nil {
			return nil, err
		}
		for i := range points {
			if d, ok := datapoint(&points[i], unit, plain, extended); ok {
				out.Datapoints = append(out.Datapoints, d)
			}
		}
	}
	return out, nil
}

// lookup finds a metric; nil is that nothing was published of it.
func lookup(r store.Reader, h home, m metric) (*metricRecord, error) {
	found, err := metricTable.In(h.account, h.region).Get(r, m.namespace, m.name, m.id().bytes())
	if err != nil {
		return nil, store.IgnoreNotFound(err)
	}
	return found, nil
}

func statisticsOf(in *cloudwatch.GetMetricStatisticsInput) (plain, extended []statistic, err error) {
	switch {
	case len(in.Statistics) == 0 && len(in.ExtendedStatistics) == 0:
		return nil, nil, missingParameter("Must specify either Statistics or ExtendedStatistics")
	case len(in.Statistics) > 0 && len(in.ExtendedStatistics) > 0:
		return nil, nil, badCombination("Parameters Statistics and ExtendedStatistics may not be used together.")
	}
	for _, name := range in.Statistics {
		st, ok := parseStatistic(string(name))
		if !ok {
			return nil, nil, badValue("The value %s for parameter Statistics is not supported.", name)
		}
		plain = append(plain, st)
	}
	for _, name := range in.ExtendedStatistics {
		st, ok := parseStatistic(name)
		if !ok || !st.percentile {
			return nil, nil, badValue("The value %s for parameter ExtendedStatistics is not supported.", name)
		}
		extended = append(extended, st)
	}
	return plain, extended, nil
}

func checkRange(from, to time.Time, period time.Duration) error {
	switch {
	case !from.Before(to):
		return badValue("The parameter StartTime must be less than the parameter EndTime.")
	case !goodPeriod(period):
		return badValue("The parameter Period must be a value in the set [ 1, 5, 10, 20, 30 ] or a multiple of 60.")
	}
	if n := int64(to.Sub(from) / period); n > maxDatapoints {
		return badCombination("You have requested up to %s datapoints, which exceeds the limit of 1,440. "+
			"You may reduce the datapoints requested by increasing Period, or decreasing the time range.", grouped(n))
	}
	return nil
}

// grouped writes a number with commas between thousands.
func grouped(n int64) string {
	digits := []byte(formatInt(n))
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = slices.Insert(digits, i, ',')
	}
	return string(digits)
}

func goodPeriod(p time.Duration) bool {
	switch p {
	case time.Second, 5 * time.Second, 10 * time.Second, 20 * time.Second, 30 * time.Second:
		return true
	}
	return p > 0 && p%time.Minute == 0
}

// startOf rounds the beginning of a time range as CloudWatch does: to what it keeps of that time, and to the period where that is a minute or less.
func startOf(from time.Time, period time.Duration, now time.Time) time.Time {
	switch age := now.Sub(from); {
	case age > tiers[2].keep:
		return from.Truncate(time.Hour)
	case age > tiers[1].keep:
		return from.Truncate(5 * time.Minute)
	case period < time.Minute:
		return from.Truncate(period)
	}
	return from.Truncate(time.Minute)
}

func datapoint(p *point, unit string, plain, extended []statistic) (d cloudwatch.Datapoint, ok bool) {
	d = cloudwatch.Datapoint{Timestamp: new(p.at), Unit: cloudwatch.StandardUnit(unit)}
	for _, st := range plain {
		v, _ := st.value(&p.Histogram)
		switch cloudwatch.Statistic(st.name) {
		case cloudwatch.StatisticSampleCount:
			d.SampleCount = &v
		case cloudwatch.StatisticAverage:
			d.Average = &v
		case cloudwatch.StatisticSum:
			d.Sum = &v
		case cloudwatch.StatisticMinimum:
			d.Minimum = &v
		case cloudwatch.StatisticMaximum:
			d.Maximum = &v
		}
		ok = true
	}
	for _, st := range extended {
		if v, told := st.value(&p.Histogram); told {
			if d.ExtendedStatistics == nil {
				d.ExtendedStatistics = make(map[string]float64)
			}
			d.ExtendedStatistics[st.name] = v
			ok = true
		}
	}
	return d, ok
}

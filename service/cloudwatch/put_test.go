package cloudwatch_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/google/go-cmp/cmp"
)

func TestStatistics(t *testing.T) {
	h := start(t)
	h.put("latency", noon, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
	h.put("latency", noon.Add(30*time.Second), 11)
	h.put("latency", noon.Add(time.Minute), 100)
	points := h.statistics("latency", 60, types.StatisticSum, types.StatisticAverage, types.StatisticMinimum, types.StatisticMaximum, types.StatisticSampleCount)
	slices.SortFunc(points, func(a, b types.Datapoint) int { return a.Timestamp.Compare(*b.Timestamp) })
	if len(points) != 2 {
		t.Fatalf("%d datapoints", len(points))
	}
	if p := points[0]; *p.Sum != 66 || *p.Average != 6 || *p.Minimum != 1 || *p.Maximum != 11 || *p.SampleCount != 11 || p.Unit != types.StandardUnitNone || !p.Timestamp.Equal(noon) {
		t.Errorf("got %+v", p)
	}
	if all := h.statistics("latency", 300, types.StatisticSum); len(all) != 1 || *all[0].Sum != 166 {
		t.Errorf("in five minutes there are %+v", all)
	}
	if none := h.statistics("nothing", 60, types.StatisticSum); len(none) != 0 {
		t.Errorf("of nothing there are %+v", none)
	}
	out := must(h.GetMetricStatistics(t.Context(), &cloudwatch.GetMetricStatisticsInput{
		Namespace: aws.String("Test"), MetricName: aws.String("latency"), StartTime: aws.Time(noon), EndTime: aws.Time(noon.Add(time.Minute)), Period: aws.Int32(60),
		ExtendedStatistics: []string{"p50", "p90.0", "tm90", "IQM", "PR(2:5)", "TC(10%:50%)", "ts50", "wm90"},
	}))(t)
	want := map[string]float64{"p50": 6, "p90.0": 10, "tm90": 5.45, "IQM": 6, "PR(2:5)": 100 * 3 / 11.0, "TC(10%:50%)": 4.4, "ts50": 18, "wm90": 5.9}
	got := out.Datapoints[0].ExtendedStatistics
	for name, w := range want {
		if math.Abs(got[name]-w) > 0.1 {
			t.Errorf("%s is %g, want %g", name, got[name], w)
		}
	}
}

func TestUnitsAreApart(t *testing.T) {
	h := start(t)
	for _, d := range []struct {
		unit  types.StandardUnit
		value float64
	}{{types.StandardUnitSeconds, 1}, {types.StandardUnitCount, 5}, {"", 10}} {
		must(h.PutMetricData(t.Context(), &cloudwatch.PutMetricDataInput{Namespace: aws.String("Test"), MetricData: []types.MetricDatum{{MetricName: aws.String("m"), Unit: d.unit, Value: &d.value}}}))(t)
	}
	if points := h.statistics("m", 60, types.StatisticAverage); len(points) != 3 {
		t.Errorf("there are %+v", points)
	}
	r := h.data(t, types.MetricDataQuery{Id: aws.String("q"), MetricStat: stat("m", "Sum")})[0]
	if r.Values[0] != 5 || *r.Messages[0].Code != "MultipleUnits" || *r.Messages[0].Value != "Multiple units returned: '[Count, None, Seconds]'" {
		t.Errorf("got %+v", r)
	}
}

func TestStatisticSets(t *testing.T) {
	h := start(t)
	must(h.PutMetricData(t.Context(), &cloudwatch.PutMetricDataInput{Namespace: aws.String("Test"), MetricData: []types.MetricDatum{
		{MetricName: aws.String("m"), StatisticValues: &types.StatisticSet{SampleCount: aws.Float64(10), Sum: aws.Float64(50), Minimum: aws.Float64(1), Maximum: aws.Float64(9)}},
		{MetricName: aws.String("m"), Values: []float64{20, 0}, Counts: []float64{2, 1}},
	}}))(t)
	p := h.statistics("m", 60, types.StatisticSum, types.StatisticSampleCount, types.StatisticMaximum)[0]
	if *p.Sum != 90 || *p.SampleCount != 13 || *p.Maximum != 20 {
		t.Errorf("got %+v", p)
	}
	if r := h.data(t, types.MetricDataQuery{Id: aws.String("q"), MetricStat: stat("m", "p50")})[0]; len(r.Values) != 0 {
		t.Errorf("percentiles of a statistic set are %v", r.Values)
	}
}

func TestFineResolution(t *testing.T) {
	h := start(t)
	for i := range 10 {
		must(h.PutMetricData(t.Context(), &cloudwatch.PutMetricDataInput{Namespace: aws.String("Test"), MetricData: []types.MetricDatum{
			{MetricName: aws.String("m"), Value: aws.Float64(1), StorageResolution: aws.Int32(1), Timestamp: aws.Time(noon.Add(time.Duration(i) * time.Second))},
		}}))(t)
	}
	if points := h.statistics("m", 5, types.StatisticSum); len(points) != 2 || *points[0].Sum != 5 {
		t.Errorf("got %+v", points)
	}
}

func TestPutRefuses(t *testing.T) {
	h := start(t)
	one := func(change func(*types.MetricDatum)) []types.MetricDatum {
		d := types.MetricDatum{MetricName: aws.String("m"), Value: aws.Float64(1)}
		change(&d)
		return []types.MetricDatum{d}
	}
	for name, c := range map[string]struct {
		data       []types.MetricDatum
		code, text string
	}{
		"Nothing":      {nil, "MissingParameter", "The parameter MetricData is required."},
		"NoValue":      {one(func(d *types.MetricDatum) { d.Value = nil }), "MissingParameter", "At least one of the parameters must be specified."},
		"ValueAndList": {one(func(d *types.MetricDatum) { d.Values = []float64{1} }), "InvalidParameterCombination", "The parameters MetricData.member.1.Value and MetricData.member.1.Values are mutually exclusive and you have specified both."},
		"NaN":          {one(func(d *types.MetricDatum) { d.Value = aws.Float64(math.NaN()) }), "InvalidParameterValue", "The value NaN for parameter MetricData.member.1.Value is invalid."},
		"TooLarge":     {one(func(d *types.MetricDatum) { d.Value = aws.Float64(math.Ldexp(1, 361)) }), "InvalidParameterValue", "is invalid."},
		"Old":          {one(func(d *types.MetricDatum) { d.Timestamp = aws.Time(noon.Add(-15 * 24 * time.Hour)) }), "InvalidParameterValue", "no more than two weeks in the past"},
		"Future":       {one(func(d *types.MetricDatum) { d.Timestamp = aws.Time(noon.Add(3 * time.Hour)) }), "InvalidParameterValue", "no more than two hours in the future"},
		"Counts":       {one(func(d *types.MetricDatum) { d.Value, d.Values, d.Counts = nil, []float64{1, 2}, []float64{1} }), "InvalidParameterValue", "must be of the same size"},
		"Resolution":   {one(func(d *types.MetricDatum) { d.StorageResolution = aws.Int32(5) }), "InvalidParameterValue", "StorageResolution must be 1 or 60"},
		"TooMany":      {make([]types.MetricDatum, 1001), "InvalidParameterValue", "must not have a size greater than 1000"},
		"SameDimension": {one(func(d *types.MetricDatum) {
			d.Dimensions = []types.Dimension{{Name: aws.String("a"), Value: aws.String("b")}, {Name: aws.String("a"), Value: aws.String("c")}}
		}), "InvalidParameterValue", "No Metric may specify the same dimension name twice."},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range c.data {
				if c.data[i].MetricName == nil {
					c.data[i] = types.MetricDatum{MetricName: aws.String("m"), Value: aws.Float64(1)}
				}
			}
			_, err := h.PutMetricData(t.Context(), &cloudwatch.PutMetricDataInput{Namespace: aws.String("Test"), MetricData: c.data})
			wantError(t, err, c.code, c.text)
		})
	}
	_, err := h.PutMetricData(t.Context(), &cloudwatch.PutMetricDataInput{Namespace: aws.String("AWS/SQS"), MetricData: one(func(*types.MetricDatum) {})})
	wantError(t, err, "InvalidParameterValue", "The value AWS/ for parameter Namespace is invalid.")
}

func TestStatisticsRefuse(t *testing.T) {
	h := start(t)
	for name, c := range map[string]struct {
		change     func(*cloudwatch.GetMetricStatisticsInput)
		code, text string
	}{
		"NoStatistic": {func(in *cloudwatch.GetMetricStatisticsInput) { in.Statistics = nil }, "MissingParameter", "Must specify either Statistics or ExtendedStatistics"},
		"Both":        {func(in *cloudwatch.GetMetricStatisticsInput) { in.ExtendedStatistics = []string{"p50"} }, "InvalidParameterCombination", "may not be used together"},
		"Unknown": {func(in *cloudwatch.GetMetricStatisticsInput) {
			in.Statistics, in.ExtendedStatistics = nil, []string{"p101"}
		}, "InvalidParameterValue", "p101"},
		"Backwards": {func(in *cloudwatch.GetMetricStatisticsInput) { in.EndTime = in.StartTime }, "InvalidParameterValue", "The parameter StartTime must be less than the parameter EndTime."},
		"TooMany": {func(in *cloudwatch.GetMetricStatisticsInput) { in.StartTime = aws.Time(noon.Add(-50 * 24 * time.Hour)) }, "InvalidParameterCombination",
			"You have requested up to 72,000 datapoints, which exceeds the limit of 1,440. You may reduce the datapoints requested by increasing Period, or decreasing the time range."},
		"Period": {func(in *cloudwatch.GetMetricStatisticsInput) { in.Period = aws.Int32(90) }, "InvalidParameterValue", "Period"},
	} {
		t.Run(name, func(t *testing.T) {
			in := &cloudwatch.GetMetricStatisticsInput{
				Namespace: aws.String("Test"), MetricName: aws.String("m"), StartTime: aws.Time(noon.Add(-time.Hour)), EndTime: aws.Time(noon), Period: aws.Int32(60), Statistics: []types.Statistic{"Sum"},
			}
			c.change(in)
			_, err := h.GetMetricStatistics(t.Context(), in)
			wantError(t, err, c.code, c.text)
		})
	}
}

func TestListMetrics(t *testing.T) {
	h := start(t)
	dims := func(pairs ...string) (out []types.Dimension) {
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, types.Dimension{Name: &pairs[i], Value: &pairs[i+1]})
		}
		return out
	}
	put := func(namespace, name string, d []types.Dimension) {
		must(h.PutMetricData(t.Context(), &cloudwatch.PutMetricDataInput{Namespace: &namespace, MetricData: []types.MetricDatum{{MetricName: &name, Value: aws.Float64(1), Dimensions: d}}}))(t)
	}
	put("A", "x", dims("Queue", "one", "Zone", "a"))
	put("A", "x", dims("Zone", "a", "Queue", "one")) // the same
	put("A", "x", dims("Queue", "two"))
	put("A", "y", nil)
	put("B", "x", nil)
	list := func(in cloudwatch.ListMetricsInput) int {
		t.Helper()
		return len(must(h.ListMetrics(t.Context(), &in))(t).Metrics)
	}
	got := []int{
		list(cloudwatch.ListMetricsInput{}), list(cloudwatch.ListMetricsInput{Namespace: aws.String("A")}), list(cloudwatch.ListMetricsInput{MetricName: aws.String("x")}),
		list(cloudwatch.ListMetricsInput{Dimensions: []types.DimensionFilter{{Name: aws.String("Queue")}}}),
		list(cloudwatch.ListMetricsInput{Dimensions: []types.DimensionFilter{{Name: aws.String("Queue"), Value: aws.String("two")}}}),
	}
	if d := cmp.Diff([]int{4, 3, 3, 2, 1}, got); d != "" {
		t.Errorf("metrics (-want +got):\n%s", d)
	}
	h.Advance(4 * time.Hour)
	if n := list(cloudwatch.ListMetricsInput{RecentlyActive: types.RecentlyActivePt3h}); n != 0 {
		t.Errorf("%d are active", n)
	}
	h.Advance(14 * 24 * time.Hour)
	if n := list(cloudwatch.ListMetricsInput{}); n != 0 {
		t.Errorf("%d are listed after two weeks", n)
	}
}

// What is old becomes coarser, and goes in the end.
func TestRetention(t *testing.T) {
	h := start(t)
	fine := func(at time.Time) {
		must(h.PutMetricData(t.Context(), &cloudwatch.PutMetricDataInput{Namespace: aws.String("Test"), MetricData: []types.MetricDatum{
			{MetricName: aws.String("m"), Value: aws.Float64(1), StorageResolution: aws.Int32(1), Timestamp: &at},
		}}))(t)
	}
	for i := range 10 {
		fine(noon.Add(time.Duration(7*i) * time.Second))
	}
	ask := func(period int32) (sums []float64) {
		t.Helper()
		points := h.statistics("m", period, types.StatisticSum)
		slices.SortFunc(points, func(a, b types.Datapoint) int { return a.Timestamp.Compare(*b.Timestamp) })
		for _, p := range points {
			sums = append(sums, *p.Sum)
		}
		return sums
	}
	want := func(name string, period int32, sums ...float64) {
		t.Helper()
		if d := cmp.Diff(sums, ask(period)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	want("by half minutes", 30, 5, 4, 1)
	h.Advance(6 * time.Hour)
	want("by half minutes after hours", 30, 9, 1)
	want("by minutes after hours", 60, 9, 1)
	h.Advance(20 * 24 * time.Hour)
	want("by minutes after weeks", 60, 10)
	want("by hours after weeks", 3600, 10)
	h.Advance(70 * 24 * time.Hour)
	want("by hours after months", 3600, 10)
	h.Advance(400 * 24 * time.Hour)
	want("after years", 3600)
}

func stat(name, stat string) *types.MetricStat {
	return &types.MetricStat{Metric: &types.Metric{Namespace: aws.String("Test"), MetricName: &name}, Period: aws.Int32(60), Stat: &stat}
}

// data asks for metric data since noon, in the order of time.
func (h *house) data(t *testing.T, queries ...types.MetricDataQuery) []types.MetricDataResult {
	t.Helper()
	return must(h.GetMetricData(t.Context(), &cloudwatch.GetMetricDataInput{
		MetricDataQueries: queries, StartTime: aws.Time(noon), EndTime: aws.Time(noon.Add(10 * time.Minute)), ScanBy: types.ScanByTimestampAscending,
	}))(t).MetricDataResults
}

func TestMetricData(t *testing.T) {
	h := start(t)
	for i := range 5 {
		at := noon.Add(time.Duration(i) * time.Minute)
		h.put("requests", at, 10)
		if i%2 == 0 {
			h.put("errors", at, float64(i))
		}
	}
	results := h.data(t,
		types.MetricDataQuery{Id: aws.String("rate"), Expression: aws.String("100 * FILL(errors, 0) / requests"), Label: aws.String("Error rate")},
		types.MetricDataQuery{Id: aws.String("requests"), MetricStat: stat("requests", "Sum"), ReturnData: aws.Bool(false)},
		types.MetricDataQuery{Id: aws.String("errors"), MetricStat: stat("errors", "Sum")},
		types.MetricDataQuery{Id: aws.String("worst"), MetricStat: stat("errors", "Maximum")},
	)
	var labels []string
	for _, r := range results {
		labels = append(labels, *r.Label)
	}
	if d := cmp.Diff([]string{"Error rate", "errors Sum", "errors Maximum"}, labels); d != "" {
		t.Errorf("labels (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]float64{0, 0, 20, 0, 40}, results[0].Values); d != "" || results[0].StatusCode != types.StatusCodeComplete {
		t.Errorf("the error rate (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]float64{0, 2, 4}, results[1].Values); d != "" || !results[1].Timestamps[1].Equal(noon.Add(2*time.Minute)) {
		t.Errorf("errors (-want +got):\n%s", d)
	}
	t.Run("Pages", func(t *testing.T) {
		in := &cloudwatch.GetMetricDataInput{
			StartTime: aws.Time(noon), EndTime: aws.Time(noon.Add(10 * time.Minute)), MaxDatapoints: aws.Int32(3), ScanBy: types.ScanByTimestampDescending,
			MetricDataQueries: []types.MetricDataQuery{{Id: aws.String("a"), MetricStat: stat("requests", "SampleCount")}, {Id: aws.String("b"), MetricStat: stat("errors", "Sum")}},
		}
		got := make(map[string][]float64)
		pages := 0
		for {
			out := must(h.GetMetricData(t.Context(), in))(t)
			for _, r := range out.MetricDataResults {
				got[*r.Id] = append(got[*r.Id], r.Values...)
			}
			pages++
			if in.NextToken = out.NextToken; in.NextToken == nil {
				break
			}
		}
		if d := cmp.Diff(map[string][]float64{"a": {1, 1, 1, 1, 1}, "b": {4, 2, 0}}, got); d != "" || pages != 3 {
			t.Errorf("%d pages (-want +got):\n%s", pages, d)
		}
		in.NextToken = aws.String("made up")
		_, err := h.GetMetricData(t.Context(), in)
		wantError(t, err, "InvalidNextToken", "")
	})
	for name, c := range map[string]struct {
		queries    []types.MetricDataQuery
		code, text string
	}{
		"None":      {[]types.MetricDataQuery{}, "ValidationError", "MetricDataQueries"},
		"Id":        {[]types.MetricDataQuery{{Id: aws.String("A"), Expression: aws.String("1")}}, "ValidationError", "is not matching the expected pattern"},
		"Twice":     {[]types.MetricDataQuery{{Id: aws.String("a"), Expression: aws.String("1")}, {Id: aws.String("a"), Expression: aws.String("1")}}, "ValidationError", "not unique"},
		"Neither":   {[]types.MetricDataQuery{{Id: aws.String("a")}}, "ValidationError", "must be specified"},
		"Syntax":    {[]types.MetricDataQuery{{Id: aws.String("a"), Expression: aws.String("1 +")}}, "ValidationError", "Error in expression 'a': Unexpected end"},
		"Reference": {[]types.MetricDataQuery{{Id: aws.String("a"), Expression: aws.String("b")}}, "ValidationError", "'b' does not exist"},
		"Circle":    {[]types.MetricDataQuery{{Id: aws.String("a"), Expression: aws.String("b")}, {Id: aws.String("b"), Expression: aws.String("a")}}, "ValidationError", "circle"},
		"Search":    {[]types.MetricDataQuery{{Id: aws.String("a"), Expression: aws.String("SEARCH('x', 'Sum', 60)")}}, "NotImplemented", "metric math with SEARCH"},
		"Statistic": {[]types.MetricDataQuery{{Id: aws.String("a"), MetricStat: stat("m", "Sums")}}, "ValidationError", "Sums"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.GetMetricData(t.Context(), &cloudwatch.GetMetricDataInput{MetricDataQueries: c.queries, StartTime: aws.Time(noon), EndTime: aws.Time(noon.Add(time.Hour))})
			wantError(t, err, c.code, c.text)
		})
	}
}

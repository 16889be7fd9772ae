package cloudwatch

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/cloudwatch"
	"github.com/holdfast-cloud/holdfast/engine/metricmath"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// query is a metric, or an expression over others, as GetMetricData is asked for it and as an alarm watches it.
type query struct {
	ID         string
	Label      *string `json:",omitempty"`
	ReturnData *bool   `json:",omitempty"`
	Account    string  `json:",omitempty"`

	Expression string `json:",omitempty"`
	Period     int32  `json:",omitempty"` // of the expression, or of the metric

	Namespace, Name string      `json:",omitempty"`
	Dimensions      []dimension `json:",omitempty"`
	Stat            string      `json:",omitempty"`
	Unit            string      `json:",omitempty"`
}

func (q *query) returns() bool { return q.ReturnData == nil || *q.ReturnData }

func (q *query) metric() metric {
	return metric{namespace: q.Namespace, name: q.Name, dimensions: q.Dimensions}
}

func (q *query) period() time.Duration { return time.Duration(q.Period) * time.Second }

// queriesOf reads and checks queries of a request, which calls them by a name.
func queriesOf(in []cloudwatch.MetricDataQuery, member, account string) ([]query, error) {
	if len(in) > maxQueries {
		return nil, validation("The collection %s must not have a size greater than %d.", member, maxQueries)
	}
	out := make([]query, len(in))
	for i := range in {
		var err error
		if out[i], err = queryOf(&in[i], fmt.Sprintf("%s.member.%d.", member, i+1), account); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(out[:i], func(q query) bool { return q.ID == out[i].ID }) {
			return nil, validation("The values for parameter id in %s are not unique.", member)
		}
	}
	for i := range out {
		if err := checkExpression(&out[i], out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// maxQueries is how many queries a request may have:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
const maxQueries = 500

func queryOf(in *cloudwatch.MetricDataQuery, prefix, account string) (query, error) {
	q := query{ID: optional.Value(in.Id), Label: in.Label, ReturnData: in.ReturnData, Account: optional.Value(in.AccountId), Period: optional.Value(in.Period), Expression: optional.Value(in.Expression)}
	switch {
	case !identifier(q.ID):
		return q, validation("The value %s for parameter %sId is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$.", q.ID, prefix)
	case q.Account != "" && q.Account != account:
		return q, validation("The account %s is not linked to this account.", q.Account)
	case in.MetricStat == nil && in.Expression == nil:
		return q, validation("Either %sMetricStat or %sExpression must be specified.", prefix, prefix)
	case in.MetricStat != nil && in.Expression != nil:
		return q, validation("The parameters %sMetricStat and %sExpression are mutually exclusive and you have specified both.", prefix, prefix)
	case in.Period != nil && !goodPeriod(q.period()):
		return q, validation("The parameter %sPeriod must be a value in the set [ 1, 5, 10, 20, 30 ] or a multiple of 60.", prefix)
	case in.MetricStat == nil:
		return q, nil
	}
	st := in.MetricStat
	m := optional.Value(st.Metric)
	q.Namespace, q.Name, q.Stat, q.Unit, q.Period = optional.Value(m.Namespace), optional.Value(m.MetricName), optional.Value(st.Stat), string(st.Unit), optional.Value(st.Period)
	q.Dimensions = newMetric("", "", m.Dimensions).dimensions
	switch _, ok := parseStatistic(q.Stat); {
	case q.Namespace == "" || q.Name == "":
		return q, validation("The parameters %sMetricStat.Metric.Namespace and %sMetricStat.Metric.MetricName are required.", prefix, prefix)
	case !ok:
		return q, validation("The value %s for parameter %sMetricStat.Stat is not supported.", q.Stat, prefix)
	case !goodPeriod(q.period()):
		return q, validation("The parameter %sMetricStat.Period must be a value in the set [ 1, 5, 10, 20, 30 ] or a multiple of 60.", prefix)
	}
	return q, nil
}

func identifier(id string) bool {
	for i, c := range []byte(id) {
		lower, other := c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
		if !lower && (i == 0 || !other) {
			return false
		}
	}
	return id != "" && len(id) <= 255
}

// checkExpression refuses an expression that does not parse, or that asks for what is not there.
func checkExpression(q *query, all []query) error {
	if q.Name != "" {
		return nil
	}
	x, err := metricmath.Parse(q.Expression)
	if errors.Is(err, metricmath.ErrNotBuilt) {
		return notBuilt("metric math with " + strings.TrimPrefix(err.Error(), metricmath.ErrNotBuilt.Error()+": "))
	}
	if err != nil {
		return validation("Error in expression '%s': %s.", q.ID, sentence(err))
	}
	for _, ref := range x.Refs() {
		if !slices.ContainsFunc(all, func(o query) bool { return o.ID == ref }) {
			return validation("Error in expression '%s': The metric or expression '%s' does not exist.", q.ID, ref)
		}
	}
	return nil
}

// sentence is an error as the beginning of a sentence.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}

// evaluation answers queries about a range of time.
type evaluation struct {
	r             store.Reader
	h             home
	now, from, to time.Time
	queries       []query
	answers       map[string]*answer // by ID, as they become known
	points        int
	readings      *readings // may be nil
}

// readings are what a pass of evaluation has read already: many alarms watch the same metrics.
type readings struct {
	metrics map[metricID]*metricRecord // nil where there is none
	points  map[reading][]point
}

func newReadings() *readings {
	return &readings{make(map[metricID]*metricRecord), make(map[reading][]point)}
}

type reading struct {
	metric   metricID
	unit     string
	from, to int64 // in seconds since 1970
	period   time.Duration
}

// lookup finds a metric, or nil. Nobody changes what it returns.
func (e *evaluation) lookup(m metric) (*metricRecord, error) {
	if e.readings == nil {
		return lookup(e.r, e.h, m)
	}
	id := m.id()
	if found, ok := e.readings.metrics[id]; ok {
		return found, nil
	}
	found, err := lookup(e.r, e.h, m)
	if err == nil {
		e.readings.metrics[id] = found
	}
	return found, err
}

// periods reads a metric from one time to the end of what is asked for. Nobody changes what it returns.
func (e *evaluation) periods(m *metricRecord, unit string, from time.Time, period time.Duration) ([]point, error) {
	key := reading{m.id(), unit, from.Unix(), e.to.Unix(), period}
	read := func() ([]point, error) { return periods(e.r, e.h, key.metric, unit, m.Fine, from, e.to, e.now, period) }
	if e.readings == nil {
		return read()
	}
	if points, ok := e.readings.points[key]; ok {
		return points, nil
	}
	points, err := read()
	if err == nil {
		e.readings.points[key] = points
	}
	return points, err
}

// answer is what a query came to. It has no value while that is being found out.
type answer struct {
	done   bool
	value  metricmath.Value
	counts map[int64]float64 // of a metric: how many numbers there were in a period
	units  []string          // of a metric, where there are several
}

// maxPoints is how many datapoints one request may look at.
const maxPoints = 5_000_000

var (
	errCircular = errors.New("the expressions refer to each other in a circle")
	errPoints   = errors.New("the request asks for too many datapoints")
)

// answer returns what a query comes to.
func (e *evaluation) answer(q *query) (*answer, error) {
	if a := e.answers[q.ID]; a != nil {
		if !a.done {
			return nil, errCircular
		}
		return a, nil
	}
	a := new(answer)
	e.answers[q.ID] = a
	var err error
	if q.Name != "" {
		err = e.ofMetric(q, a)
	} else {
		err = e.ofExpression(q, a)
	}
	a.done = true
	return a, err
}

func (e *evaluation) find(id string) *query {
	i := slices.IndexFunc(e.queries, func(q query) bool { return q.ID == id })
	if i < 0 {
		return nil
	}
	return &e.queries[i]
}

// ofMetric reads a metric. Of one that was published in several units, and where none is asked for, it is the first by the alphabet.
func (e *evaluation) ofMetric(q *query, a *answer) error {
	a.counts = make(map[int64]float64)
	series := metricmath.Series{Label: q.Name, Period: q.period()}
	if q.Label != nil {
		series.Label = *q.Label
	}
	defer func() { a.value = metricmath.Of(series) }()
	m, err := e.lookup(q.metric())
	if err != nil || m == nil {
		return err
	}
	st, _ := parseStatistic(q.Stat)
	for _, unit := range m.Units {
		if q.Unit != "" && q.Unit != unit {
			continue
		}
		points, err := e.periods(m, unit, e.start(q.period()), q.period())
		if err != nil {
			return err
		}
		if len(points) == 0 {
			continue
		}
		if a.units = append(a.units, unit); len(a.units) > 1 {
			continue
		}
		if e.points += len(points); e.points > maxPoints {
			return errPoints
		}
		for i := range points {
			if v, ok := st.value(&points[i].Histogram); ok {
				at := points[i].at.Unix()
				series.Points = append(series.Points, metricmath.Point{Time: at, Value: v})
				a.counts[at] = points[i].Count
			}
		}
	}
	return nil
}

// start is where the first period begins.
func (e *evaluation) start(period time.Duration) time.Time { return startOf(e.from, period, e.now) }

func (e *evaluation) ofExpression(q *query, a *answer) error {
	x, err := metricmath.Parse(q.Expression)
	if err != nil {
		return err
	}
	period := e.periodOf(q)
	var failed error
	env := &metricmath.Env{From: e.start(period), To: e.to, Period: period}
	env.Lookup = func(id string) (metricmath.Value, bool) {
		other := e.find(id)
		if other == nil {
			return metricmath.Value{}, false
		}
		b, err := e.answer(other)
		if err != nil {
			failed = err
			return metricmath.Value{}, false
		}
		return b.value, true
	}
	env.Metrics = func(text string) (all []metricmath.Series) {
		for i := range e.queries {
			m := &e.queries[i]
			if m.Name == "" || !strings.Contains(m.ID, text) && !strings.Contains(optional.Value(m.Label), text) && !strings.Contains(m.Name, text) {
				continue
			}
			b, err := e.answer(m)
			if err != nil {
				failed = err
				return nil
			}
			all = append(all, b.value.Series...)
		}
		return all
	}
	v, err := x.Eval(env)
	if failed != nil {
		return failed
	}
	if err != nil {
		return err
	}
	a.value, err = env.Constant(v)
	return err
}

// periodOf is the period of an expression: its own, or the longest of the metrics that there are.
func (e *evaluation) periodOf(q *query) time.Duration {
	if q.Period > 0 {
		return q.period()
	}
	period := time.Duration(0)
	for i := range e.queries {
		if e.queries[i].Name != "" {
			period = max(period, e.queries[i].period())
		}
	}
	return max(period, time.Second)
}

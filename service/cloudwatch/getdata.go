package cloudwatch

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/cloudwatch"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/metricmath"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store/pagetoken"
)

// maxReturned is how many datapoints one answer of GetMetricData has.
const maxReturned = 100_800

// GetMetricData returns metrics, and expressions over them.
func (s *Service) GetMetricData(c *call.Call, in *cloudwatch.GetMetricDataInput) (*cloudwatch.GetMetricDataOutput, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	queries, err := queriesOf(in.MetricDataQueries, "MetricDataQueries", c.Scope.Account)
	if err != nil {
		return nil, err
	}
	from, to := optional.Value(in.StartTime).UTC(), optional.Value(in.EndTime).UTC()
	limit := int(optional.Value(in.MaxDatapoints))
	switch {
	case len(queries) == 0:
		return nil, validation("The parameter MetricDataQueries is required.")
	case !from.Before(to):
		return nil, validation("The parameter StartTime must be less than the parameter EndTime.")
	case in.MaxDatapoints != nil && (limit < 1 || limit > maxReturned):
		return nil, validation("The parameter MaxDatapoints must be between 1 and %d.", maxReturned)
	case limit == 0:
		limit = maxReturned
	}
	if oldest := c.Time.Add(-keepFor - 24*time.Hour); from.Before(oldest) {
		from = oldest.Truncate(time.Hour) // there is nothing before
	}
	if newest := c.Time.Add(2 * newest).Truncate(time.Hour); to.After(newest) && from.Before(newest) {
		to = newest // nor after
	}
	e := &evaluation{r: c.Tx(), h: home{c.Scope.Account, c.Scope.Region}, now: c.Time, from: from, to: to, queries: queries, answers: make(map[string]*answer)}
	results, err := e.results()
	if err != nil {
		return nil, err
	}
	if in.ScanBy != cloudwatch.ScanByTimestampAscending {
		for i := range results {
			slices.Reverse(results[i].Timestamps)
			slices.Reverse(results[i].Values)
		}
	}
	return pageData(in, results, limit)
}

// results are the answers to those queries whose data is wanted.
func (e *evaluation) results() ([]cloudwatch.MetricDataResult, error) {
	labels := e.labels()
	out := []cloudwatch.MetricDataResult{}
	for i := range e.queries {
		q := &e.queries[i]
		if !q.returns() {
			continue
		}
		a, err := e.answer(q)
		if err != nil {
			return nil, validation("Error in expression '%s': %s.", q.ID, sentence(err))
		}
		for n, series := range a.value.Series {
			label := labels[i]
			if a.value.Kind == metricmath.Array {
				label = strings.TrimSpace(label + " " + series.Label)
			}
			r := result(q.ID, label, series.Points)
			if n == 0 && len(a.units) > 1 {
				r.Messages = []cloudwatch.MessageData{{Code: new("MultipleUnits"), Value: new("Multiple units returned: '[" + strings.Join(a.units, ", ") + "]'")}}
			}
			out = append(out, r)
		}
	}
	return out, nil
}

func result(id, label string, points []metricmath.Point) cloudwatch.MetricDataResult {
	r := cloudwatch.MetricDataResult{Id: &id, Label: &label, StatusCode: cloudwatch.StatusCodeComplete, Timestamps: []time.Time{}, Values: []float64{}}
	for _, p := range points {
		r.Timestamps = append(r.Timestamps, time.Unix(p.Time, 0).UTC())
		r.Values = append(r.Values, p.Value)
	}
	return r
}

// labels are those of the queries. Where metrics have none, they are called by their names, with as much more as tells them apart.
func (e *evaluation) labels() []string {
	var stats, lengths []string
	for i := range e.queries {
		if q := &e.queries[i]; q.Name != "" && q.returns() {
			stats, lengths = append(stats, q.Stat), append(lengths, formatInt(int64(q.Period)))
		}
	}
	differ := func(list []string) bool {
		return slices.ContainsFunc(list, func(s string) bool { return s != list[0] })
	}
	out := make([]string, len(e.queries))
	for i := range e.queries {
		q := &e.queries[i]
		switch {
		case q.Label != nil:
			out[i] = *q.Label
		case q.Name == "":
			out[i] = q.ID
		default:
			out[i] = q.Name
			if differ(stats) {
				out[i] += " " + q.Stat
			}
			if differ(lengths) {
				out[i] += " " + formatInt(int64(q.Period))
			}
		}
	}
	return out
}

// pageData returns the datapoints that one answer has room for, from where the last one ended.
func pageData(in *cloudwatch.GetMetricDataInput, results []cloudwatch.MetricDataResult, limit int) (*cloudwatch.GetMetricDataOutput, error) {
	asked, err := json.Marshal([]any{in.MetricDataQueries, in.StartTime, in.EndTime, in.ScanBy})
	if err != nil {
		return nil, fmt.Errorf("naming a listing: %w", err)
	}
	listing := fmt.Sprintf("%x", sha256.Sum256(asked))
	skip := 0
	if in.NextToken != nil {
		b, err := pagetoken.Decode(listing, *in.NextToken)
		if err != nil || len(b) != 8 {
			return nil, badToken()
		}
		skip = int(min(binary.BigEndian.Uint64(b), maxPoints))
	}
	out := &cloudwatch.GetMetricDataOutput{MetricDataResults: []cloudwatch.MetricDataResult{}, Messages: []cloudwatch.MessageData{}}
	passed, first := 0, in.NextToken == nil
	for _, r := range results {
		n := len(r.Values)
		from, to := min(max(skip-passed, 0), n), min(max(skip+limit-passed, 0), n)
		passed += n
		if from == to && (n > 0 || !first) {
			continue // what has no datapoints is in the first answer
		}
		r.Timestamps, r.Values = r.Timestamps[from:to], r.Values[from:to]
		if to < n {
			r.StatusCode = cloudwatch.StatusCodePartialData
		}
		out.MetricDataResults = append(out.MetricDataResults, r)
	}
	total := 0
	for _, r := range results {
		total += len(r.Values)
	}
	if skip+limit < total {
		out.NextToken = new(pagetoken.Encode(listing, binary.BigEndian.AppendUint64(nil, uint64(skip+limit))))
	}
	return out, nil
}

package cloudwatch

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/cloudwatch"
)

// stamp is a time as CloudWatch writes it into messages.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000-0700") }

// comparisons are the operators in words.
var comparisons = map[cloudwatch.ComparisonOperator]string{
	cloudwatch.ComparisonOperatorGreaterThanOrEqualToThreshold: "greater than or equal to",
	cloudwatch.ComparisonOperatorGreaterThanThreshold:          "greater than",
	cloudwatch.ComparisonOperatorLessThanThreshold:             "less than",
	cloudwatch.ComparisonOperatorLessThanOrEqualToThreshold:    "less than or equal to",
}

// reason says why an alarm is in a state, in CloudWatch's words.
func (w *watch) reason(v *view, j judgement) string {
	if j.value == cloudwatch.StateValueInsufficientData {
		return "Insufficient Data: " + count(j.missing, "datapoint was", "datapoints were") + " unknown."
	}
	missing := ""
	if j.missing > 0 && w.Missing != "ignore" {
		as := "Missing"
		switch w.Missing {
		case "breaching":
			as = "Breaching"
		case "notBreaching":
			as = "NonBreaching"
		}
		missing = count(j.missing, "missing datapoint was", "missing datapoints were") + " treated as [" + as + "]"
	}
	if len(j.used) == 0 {
		return fmt.Sprintf("Threshold Crossed: no datapoints were received for %s and %s.", count(j.missing, "period", "periods"), missing)
	}
	shown, not := j.breaching, ""
	if j.value == cloudwatch.StateValueOk {
		shown, not = nil, "not "
		for _, i := range j.used {
			if !slices.Contains(j.breaching, i) {
				shown = append(shown, i)
			}
		}
	}
	if len(shown) == 0 {
		shown = j.used // what tips the balance is what is missing
	}
	how, minimum := count(len(shown), "datapoint", "datapoints"), ""
	if w.DatapointsToAlarm > 0 {
		how = fmt.Sprintf("%d out of the last %s", len(shown), count(int(w.EvaluationPeriods), "datapoints", "datapoints"))
		minimum = fmt.Sprintf(" (minimum %s for %s transition)", count(w.needed(), "datapoint", "datapoints"), transition(j.value))
		if j.value == cloudwatch.StateValueOk {
			minimum = fmt.Sprintf(" (minimum %s for %s transition)", count(int(w.EvaluationPeriods)-w.needed()+1, "datapoint", "datapoints"), transition(j.value))
		}
	}
	verb := "was"
	if len(shown) > 1 {
		verb = "were"
	}
	text := fmt.Sprintf("Threshold Crossed: %s [%s] %s %s%s the threshold (%s)%s", how, w.list(v, shown), verb, not, comparisons[w.Comparison], number(w.Threshold), minimum)
	if missing != "" {
		text += " and " + missing
	}
	return text + "."
}

// maxShown is how many datapoints a reason lists.
const maxShown = 10

func (w *watch) list(v *view, shown []int) string {
	var parts []string
	for _, i := range shown[:min(len(shown), maxShown)] {
		parts = append(parts, fmt.Sprintf("%s (%s)", number(*v.values[i]), v.at[i].UTC().Format("02/01/06 15:04:05")))
	}
	if len(shown) > maxShown {
		parts = append(parts, "...")
	}
	return strings.Join(parts, ", ")
}

func transition(v cloudwatch.StateValue) string {
	if v == cloudwatch.StateValueAlarm {
		return "OK -> ALARM"
	}
	return "ALARM -> OK"
}

func count(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// reasonData is the reason for programs, as JSON.
func (w *watch) reasonData(v *view, j judgement, now time.Time) string {
	type evaluated struct {
		Timestamp   string `json:"timestamp"`
		SampleCount *float `json:"sampleCount,omitempty"`
		Value       *float `json:"value,omitempty"`
	}
	data := struct {
		Version   string      `json:"version"`
		Query     string      `json:"queryDate"`
		Start     string      `json:"startDate,omitempty"`
		Unit      string      `json:"unit,omitempty"`
		Statistic string      `json:"statistic,omitempty"`
		Period    int64       `json:"period"`
		Recent    []float     `json:"recentDatapoints"`
		Threshold float       `json:"threshold"`
		Evaluated []evaluated `json:"evaluatedDatapoints"`
	}{
		Version: "1.0", Query: stamp(now), Period: int64(w.period() / time.Second), Recent: []float{}, Threshold: float(w.Threshold), Evaluated: []evaluated{},
	}
	if !w.Math {
		data.Unit, data.Statistic = w.watched().Unit, w.watched().Stat
	}
	looked := j.used
	if len(looked) == 0 {
		for i := range int(w.EvaluationPeriods) {
			looked = append(looked, i)
		}
	}
	for _, i := range slices.Backward(looked) {
		if v.values[i] == nil {
			continue
		}
		if data.Start == "" {
			data.Start = stamp(v.at[i])
		}
		data.Recent = append(data.Recent, float(*v.values[i]))
	}
	for _, i := range looked {
		e := evaluated{Timestamp: stamp(v.at[i])}
		if v.values[i] != nil {
			e.Value = new(float(*v.values[i]))
			if v.counts[i] > 0 {
				e.SampleCount = new(float(v.counts[i]))
			}
		}
		data.Evaluated = append(data.Evaluated, e)
	}
	for {
		b, err := json.Marshal(data)
		if err != nil {
			return ""
		}
		if len(b) <= maxReasonData || len(data.Evaluated) == 0 {
			return string(b)
		}
		data.Evaluated = data.Evaluated[:len(data.Evaluated)/2]
		data.Recent = data.Recent[(len(data.Recent)+1)/2:]
	}
}

// maxReasonData is how long StateReasonData may be.
const maxReasonData = 4000

// float is a number as CloudWatch writes it into JSON: with a decimal point.
type float float64

// MarshalJSON implements json.Marshaler.
func (f float) MarshalJSON() ([]byte, error) { return []byte(number(float64(f))), nil }

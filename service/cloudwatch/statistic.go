package cloudwatch

import (
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/cloudwatch"
	"github.com/holdfast-cloud/holdfast/engine/histogram"
)

// statistic is what is asked of the numbers of a period. ok is false where it cannot be told.
type statistic struct {
	name       string
	of         func(*histogram.Histogram) (value float64, ok bool)
	percentile bool // it needs to know how the numbers are distributed
}

// plain are the statistics that every metric has.
var plain = map[string]func(*histogram.Histogram) float64{
	string(cloudwatch.StatisticSampleCount): func(h *histogram.Histogram) float64 { return h.Count },
	string(cloudwatch.StatisticAverage):     (*histogram.Histogram).Average,
	string(cloudwatch.StatisticSum):         func(h *histogram.Histogram) float64 { return h.Sum },
	string(cloudwatch.StatisticMinimum):     func(h *histogram.Histogram) float64 { return h.Min },
	string(cloudwatch.StatisticMaximum):     func(h *histogram.Histogram) float64 { return h.Max },
}

var (
	shortStatistic = regexp.MustCompile(`^(p|tm|tc|ts|wm)(\d{1,2}(?:\.\d{0,10})?|100(?:\.0{0,10})?)$`)
	longStatistic  = regexp.MustCompile(`^(PR|TM|TC|TS|WM)\((-?[\d.]{1,20}(?:[eE]\d{1,3})?|\d{1,3}(?:\.\d{1,10})?%)?:(-?[\d.]{1,20}(?:[eE]\d{1,3})?|\d{1,3}(?:\.\d{1,10})?%)?\)$`)
)

// parseStatistic reads the name of a statistic as AWS spells it:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html
func parseStatistic(name string) (statistic, bool) {
	if of, ok := plain[name]; ok {
		return statistic{name: name, of: func(h *histogram.Histogram) (float64, bool) { return of(h), true }}, true
	}
	if name == "IQM" {
		return distributed(name, func(h *histogram.Histogram) (float64, bool) { return h.Between(0.25, 0.75).Mean(), true }), true
	}
	if m := shortStatistic.FindStringSubmatch(name); m != nil {
		p, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			return statistic{}, false
		}
		p /= 100
		if m[1] == "p" {
			return distributed(name, func(h *histogram.Histogram) (float64, bool) { return h.Quantile(p), true }), true
		}
		kind := strings.ToUpper(m[1])
		return distributed(name, func(h *histogram.Histogram) (float64, bool) { return ofPart(kind, h, h.Between(0, p)) }), true
	}
	m := longStatistic.FindStringSubmatch(name)
	if m == nil || m[2] == "" && m[3] == "" {
		return statistic{}, false
	}
	return between(name, m[1], m[2], m[3])
}

func distributed(name string, of func(*histogram.Histogram) (float64, bool)) statistic {
	return statistic{name: name, of: of, percentile: true}
}

// between is a statistic of the numbers between two bounds, which are both percentages or both values.
func between(name, kind, low, high string) (statistic, bool) {
	from, fromPercent, ok1 := bound(low, math.Inf(-1))
	to, toPercent, ok2 := bound(high, math.Inf(1))
	percent := fromPercent || toPercent
	if !ok1 || !ok2 || percent && (low != "" && !fromPercent || high != "" && !toPercent || kind == "PR") {
		return statistic{}, false
	}
	if !percent {
		if from >= to {
			return statistic{}, false
		}
		return distributed(name, func(h *histogram.Histogram) (float64, bool) { return ofPart(kind, h, h.Within(from, to)) }), true
	}
	from, to = max(from, 0)/100, min(to, 100)/100
	if from >= to {
		return statistic{}, false
	}
	return distributed(name, func(h *histogram.Histogram) (float64, bool) { return ofPart(kind, h, h.Between(from, to)) }), true
}

func bound(text string, absent float64) (v float64, percent, ok bool) {
	if text == "" {
		return absent, false, true
	}
	text, percent = strings.CutSuffix(text, "%")
	v, err := strconv.ParseFloat(text, 64)
	return v, percent, err == nil && (!percent || v <= 100)
}

func ofPart(kind string, h *histogram.Histogram, p histogram.Part) (float64, bool) {
	switch kind {
	case "TC":
		return p.Count, true
	case "TS":
		return p.Sum, true
	case "PR":
		return 100 * p.Count / h.Count, true
	case "WM":
		return p.Winsorized(), p.Count > 0
	}
	return p.Mean(), p.Count > 0
}

// value is the statistic of a period's numbers. Where only sums were published, or numbers below 0, percentiles cannot be told:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html#Percentiles
func (s statistic) value(h *histogram.Histogram) (float64, bool) {
	if h == nil || h.Count == 0 || s.percentile && (h.Min < 0 || !h.Known()) {
		return 0, false
	}
	return s.of(h)
}

package cloudwatch

import (
	"math"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/api/cloudwatch"
)

const alarmPrefix = "arn:aws:cloudwatch:us-east-1:111122223333:alarm:"

func FuzzParseRule(f *testing.F) {
	for _, text := range []string{
		"TRUE", "ALARM(a)", `ALARM("a b") AND NOT OK(c)`, "(ALARM(a) OR INSUFFICIENT_DATA(b)) AND FALSE", "ALARM(" + alarmPrefix + "x)", "NOT", "((", `OK("`, "ALARM(a) ANDOK(b)",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseRule(text, alarmPrefix)
		if err != nil {
			return
		}
		r.holds(func(string) cloudwatch.StateValue { return cloudwatch.StateValueAlarm })
		for _, name := range r.children() {
			if name == "" || strings.HasPrefix(name, "arn:") {
				t.Errorf("%q names the alarm %q", text, name)
			}
		}
	})
}

func FuzzParseStatistic(f *testing.F) {
	for name := range plain {
		f.Add(name)
	}
	for _, name := range []string{"p50", "p99.9", "p100", "tm90", "IQM", "PR(:100)", "PR(1:2)", "TM(10%:90%)", "TC(:5)", "ts0", "WM(50%:)", "p101", "TM(a:b)", "PR(2:1)"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) { parseStatistic(name) })
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0.0", 2: "2.0", 21.5: "21.5", -1: "-1.0", 99.50160229693434: "99.50160229693434", 0.001: "0.001", 0.0001: "1.0E-4", 1e7: "1.0E7", 1.5e10: "1.5E10", math.Inf(1): "Infinity",
	} {
		if got := number(v); got != want {
			t.Errorf("%g is written %s, want %s", v, got, want)
		}
	}
}

package eventinput

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const event = `{"version":"0","id":"7bf7","detail-type":"State","source":"aws.ec2","account":"123456789012","time":"2015-11-11T21:29:54Z","region":"us-east-1",` +
	`"resources":["arn:a","arn:b"],"detail":{"instance-id":"i-1","state":"run \"ning\"","n":1.50,"list":[{"x":1},{"x":[2]},{"y":3}],"none":null,"a/b":{"c":true}}}`

func TestPath(t *testing.T) {
	for _, c := range []struct{ path, want string }{
		{"$", event},
		{"$.detail-type", `"State"`},
		{"$.detail.n", `1.50`},
		{"$.detail.none", `null`},
		{"$.resources", `["arn:a","arn:b"]`},
		{"$.resources[1]", `"arn:b"`},
		{"$.resources[2]", ""},
		{"$.resources[*]", `["arn:a","arn:b"]`},
		{"$.detail.list[*].x", `[1,[2]]`},
		{"$.detail.list[1].x[0]", `2`},
		{"$.detail.a/b.*", `[true]`},
		{"$.detail.missing", ""},
		{"$.detail.n.deeper", ""},
		{"$.resources.name", ""},
	} {
		t.Run(c.path, func(t *testing.T) {
			p, err := ParsePath(c.path)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := p.Find([]byte(event))
			if ok != (c.want != "") || string(got) != c.want {
				t.Errorf("%s is %s, %v, want %s", c.path, got, ok, c.want)
			}
		})
	}
	for _, bad := range []string{"", "detail", "$detail", "$.", "$..detail", "$.a[", "$.a[-1]", "$.a[x]", "$.a['b']", "$.a b", "$." + strings.Repeat("a", 300)} {
		if p, err := ParsePath(bad); err == nil {
			t.Errorf("%q is the path %v", bad, p)
		}
	}
}

// The cases named Recorded are as AWS answered them, as LocalStack's recorded tests (tests/aws/services/events/test_events_inputs.py) have it, May 2024.
func TestRender(t *testing.T) {
	paths := map[string]string{
		"type": "$.detail-type", "time": "$.time", "state": "$.detail.state", "missing": "$.detail.missing", "n": "$.detail.n", "detail": "$.detail.a/b",
		"all": "$.resources", "none": "$.detail.none",
	}
	for _, c := range []struct{ name, template, want string }{
		{"RecordedText", `"Event of <type> type, at time <time>, info <missing>"`, `"Event of State type, at time 2015-11-11T21:29:54Z, info "`},
		{"RecordedBrackets", `"{[/Check of <type> type"`, `"{[/Check of State type"`},
		{"RecordedJSON", `{"t": <type>,  "time": <time>, "m": <missing>}`, `{"t": "State",  "time": "2015-11-11T21:29:54Z", "m": ""}`},
		{"RecordedRule", `"<aws.events.rule-arn> <aws.events.rule-name> <aws.events.event.ingestion-time>"`, `"arn:r r 2026-01-02T03:04:05Z"`},
		{
			"RecordedEvent", `{"e": <aws.events.event>}`,
			`{"e": {"id":"7bf7","account":"123456789012","detailType":"State","time":"2015-11-11T21:29:54Z","source":"aws.ec2","region":"us-east-1",` +
				`"resources":["arn:a","arn:b"],"version":"0"}}`,
		},
		{"WholeEvent", `{"e": <aws.events.event.json>}`, `{"e": ` + event + `}`},
		{"Values", `{"n": <n>, "o": <detail>, "l": <all>, "z": <none>}`, `{"n": 1.50, "o": {"c":true}, "l": ["arn:a","arn:b"], "z": null}`},
		{"QuotesInText", `{"s": "it is <state>, \"<state>\"", "t": <state>}`, `{"s": "it is run \"ning\", \"run \"ning\"\"", "t": "run \"ning\""}`},
		{"ObjectInText", `"<detail> of <all> and <n>"`, `"{c:true} of [arn:a,arn:b] and 1.50"`},
		{"Lines", "\"one <type>\"\n\"two <n>\"", "\"one State\"\n\"two 1.50\""},
		{"NoVariable", `{"a": "x < y > z"}`, `{"a": "x < y > z"}`},
		{"RuleInJSON", `{"r": <aws.events.rule-name>}`, `{"r": "r"}`},
		{"Number", `<n>`, `1.50`},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr, err := NewTransformer("t", paths, c.template)
			if err != nil {
				t.Fatal(err)
			}
			got := tr.Render([]byte(event), Variables{"arn:r", "r", time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)})
			if diff := cmp.Diff(c.want, string(got)); diff != "" {
				t.Errorf("rendering %s (-want +got):\n%s", c.template, diff)
			}
		})
	}
}

func TestTransformerErrors(t *testing.T) {
	many := map[string]string{}
	for i := range 101 {
		many["k"+strings.Repeat("x", i)] = "$"
	}
	for _, c := range []struct {
		name     string
		paths    map[string]string
		template string
		want     string
	}{
		{"RecordedPlaceholder", nil, `"with <notdefinedkey>"`, "InputTemplate for target t contains invalid placeholder notdefinedkey."},
		{"NoSuchVariable", nil, `"<aws.events.other>"`, "InputTemplate for target t contains invalid placeholder aws.events.other."},
		{"NotJSON", map[string]string{"a": "$"}, `<a> is no JSON`, `Invalid InputTemplate for target t : [Source: (String)"null is no JSON"; line: 1, column: 6].`},
		{"Unclosed", nil, `{"a": 1`, `Invalid InputTemplate for target t : [Source: (String)"{"a": 1"; line: 1, column: 8].`},
		{"VariableAsName", map[string]string{"a": "$"}, `{<a>: 1}`, `Invalid InputTemplate for target t : [Source: (String)"{null: 1}"; line: 1, column: 2].`},
		{"Path", map[string]string{"a": "$["}, `1`, "InputPathsMap for target t contains invalid path $[: a bracket is not closed."},
		{"Reserved", map[string]string{"AWS.a": "$"}, `1`, "InputPathsMap for target t contains invalid key AWS.a."},
		{"Many", many, `1`, "InputPathsMap for target t has more than 100 entries."},
		{"Empty", nil, ``, "InputTemplate for target t has to have 1 to 8192 characters."},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := NewTransformer("t", c.paths, c.template); err == nil || err.Error() != c.want {
				t.Errorf("the error is %v, want %s", err, c.want)
			}
		})
	}
}

func FuzzPath(f *testing.F) {
	f.Add("$.detail.list[*].x[0].*", event)
	f.Add("$.a..b", "[]")
	f.Fuzz(func(t *testing.T, path, event string) {
		p, err := ParsePath(path)
		if err != nil {
			return
		}
		if got, ok := p.Find([]byte(event)); ok && !json.Valid(got) {
			t.Errorf("%s of %q is %q, no JSON", path, event, got)
		}
	})
}

func FuzzTransformer(f *testing.F) {
	f.Add(`{"a": <a>, "b": "<b> <aws.events.event>", "c": <aws.events.event.json>}`, event)
	f.Add("\"<a>\"\n\"<b>\"", `{}`)
	f.Fuzz(func(t *testing.T, template, event string) {
		tr, err := NewTransformer("t", map[string]string{"a": "$.detail", "b": "$.detail.state"}, template)
		if err == nil {
			tr.Render([]byte(event), Variables{})
		}
	})
}

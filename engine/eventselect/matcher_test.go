package eventselect_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/engine/eventselect"
)

// The example of AWS's documentation, with what it says of it.
func TestDocumentedExample(t *testing.T) {
	const b = "arn:aws:s3:::amzn-s3-demo-bucket/"
	m, err := eventselect.Compile([]eventselect.Selector{{Name: "S3Select", Fields: []eventselect.Field{
		f("eventCategory Equals Data"), f("resources.type Equals AWS::S3::Object"),
		{
			Field: "resources.ARN", Equals: []string{b + "object1"}, StartsWith: []string{b}, EndsWith: []string{"object3"},
			NotStartsWith: []string{b + "deselect"}, NotEndsWith: []string{"object5"}, NotEquals: []string{b + "object6"},
		},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for arn, want := range map[string]bool{
		b + "object1": true, b + "object2": true, "arn:aws:s3:::amzn-s3-demo-bucket1/object3": true,
		b + "deselectObject4": false, b + "object5": false, b + "object6": false, "arn:aws:s3:::amzn-s3-demo-bucket1/object2": false,
	} {
		e := eventselect.Event{Category: "Data", Resources: []eventselect.Resource{{Type: "AWS::S3::Object", ARN: arn}}}
		if got := m.Match(&e); got != want {
			t.Errorf("%s: got %v", arn, got)
		}
	}
}

// Of an event with several resources, one has to fulfil all that is said of resources.
func TestOneResource(t *testing.T) {
	m, err := eventselect.Compile([]eventselect.Selector{selector("eventCategory Equals Data", "resources.type Equals A", "resources.ARN NotEquals one")})
	if err != nil {
		t.Fatal(err)
	}
	e := eventselect.Event{Category: "Data", Resources: []eventselect.Resource{{"A", "one"}, {"B", "two"}}}
	if m.Match(&e) {
		t.Error("the conditions were fulfilled by two resources together")
	}
	e.Resources = append(e.Resources, eventselect.Resource{Type: "A", ARN: "two"})
	if !m.Match(&e) {
		t.Error("no match")
	}
	if m.Wants("Management") || !m.Wants("Data") {
		t.Error("Wants")
	}
}

// naive is the documented rule, word by word.
func naive(selectors []eventselect.Selector, e *eventselect.Event) bool {
	text := map[bool]string{true: "true", false: "false"}
	plain := map[string]string{
		"eventCategory": e.Category, "readOnly": text[e.ReadOnly], "eventName": e.Name, "eventSource": e.Source, "eventType": e.Type,
		"userIdentity.arn": e.UserARN, "sessionCredentialFromConsole": text[e.Console], "errorCode": e.ErrorCode, "vpcEndpointId": e.VPCEndpoint,
	}
	said := func(f *eventselect.Field, v string) bool {
		any := len(f.Equals)+len(f.StartsWith)+len(f.EndsWith) == 0
		for _, x := range f.Equals {
			any = any || x == v
		}
		for _, x := range f.StartsWith {
			any = any || strings.HasPrefix(v, x)
		}
		for _, x := range f.EndsWith {
			any = any || strings.HasSuffix(v, x)
		}
		for _, x := range f.NotEquals {
			any = any && x != v
		}
		for _, x := range f.NotStartsWith {
			any = any && !strings.HasPrefix(v, x)
		}
		for _, x := range f.NotEndsWith {
			any = any && !strings.HasSuffix(v, x)
		}
		return any
	}
	for i := range selectors {
		all, about := true, false
		resources := slices.Clone(e.Resources)
		for j := range selectors[i].Fields {
			f := &selectors[i].Fields[j]
			switch f.Field {
			case "resources.type":
				about = true
				resources = slices.DeleteFunc(resources, func(r eventselect.Resource) bool { return !said(f, r.Type) })
			case "resources.ARN":
				about = true
				resources = slices.DeleteFunc(resources, func(r eventselect.Resource) bool { return !said(f, r.ARN) })
			default:
				all = all && said(f, plain[f.Field])
			}
		}
		if all && (!about || len(resources) > 0) {
			return true
		}
	}
	return false
}

func TestOracle(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	words := []string{"a", "ab", "abc", "b", "bc", "c", "cab", "Management", "Data", "true", "false"}
	word := func() string { return words[r.IntN(len(words))] }
	fields := []string{"eventName", "eventSource", "eventType", "userIdentity.arn", "resources.ARN"}
	operators := []string{"Equals", "StartsWith", "EndsWith", "NotEquals", "NotStartsWith", "NotEndsWith"}
	matched, compiled := 0, 0
	for range 20_000 {
		var selectors []eventselect.Selector
		for range 1 + r.IntN(2) {
			s := selector("eventCategory Equals Management")
			if r.IntN(2) == 0 {
				s = selector("eventCategory Equals Data", "resources.type Equals "+word())
			}
			if r.IntN(3) == 0 {
				s.Fields = append(s.Fields, f("readOnly Equals "+[]string{"true", "false"}[r.IntN(2)]))
			}
			for range r.IntN(3) {
				x := eventselect.Field{Field: fields[r.IntN(len(fields))]}
				for range 1 + r.IntN(3) {
					values := []string{word()}
					if r.IntN(4) == 0 {
						for i := range 10 {
							values = append(values, fmt.Sprint("x", i))
						}
					}
					set(&x, operators[r.IntN(len(operators))], values)
				}
				s.Fields = append(s.Fields, x)
			}
			selectors = append(selectors, s)
		}
		m, err := eventselect.Compile(selectors)
		if err != nil {
			continue // a field twice, a conflict
		}
		compiled++
		e := eventselect.Event{
			Category: []string{"Management", "Data"}[r.IntN(2)], Name: word(), Source: word(), Type: word(), ReadOnly: r.IntN(2) == 0, UserARN: word(),
		}
		for range r.IntN(3) {
			e.Resources = append(e.Resources, eventselect.Resource{Type: word(), ARN: word()})
		}
		got, want := m.Match(&e), naive(selectors, &e)
		if got != want {
			t.Fatalf("seed %d: %+v of %+v: got %v, want %v", seed, e, selectors, got, want)
		}
		if got {
			matched++
		}
	}
	if compiled < 5_000 || matched < 500 || matched > compiled-500 {
		t.Errorf("seed %d: %d of %d selectors matched: the test shows little", seed, matched, compiled)
	}
}

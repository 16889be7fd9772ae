// Package eventselect decides which records of CloudTrail somebody wants, by the advanced event selectors and the older basic ones that trails and event data stores
// have: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/filtering-data-events.html
//
// A [Matcher] is compiled once from selectors, and asked about each record's [Event].
package eventselect

import (
	"fmt"
	"slices"
	"strings"
)

// Selector lets events through that fulfil each of its fields.
type Selector struct {
	Name   string `json:",omitempty"`
	Fields []Field
}

// Field says what a member of the record is to be. It fulfils one of Equals, StartsWith and EndsWith, if there are any, and none of the others.
type Field struct {
	Field         string
	Equals        []string `json:",omitempty"`
	StartsWith    []string `json:",omitempty"`
	EndsWith      []string `json:",omitempty"`
	NotEquals     []string `json:",omitempty"`
	NotStartsWith []string `json:",omitempty"`
	NotEndsWith   []string `json:",omitempty"`
}

// MaxValues is how many values the fields of all selectors have together, at most.
const MaxValues = 500

// The categories of events.
const (
	Management      = "Management"
	Data            = "Data"
	NetworkActivity = "NetworkActivity"
	Insight         = "Insight"
	ActivityAudit   = "ActivityAuditLog"  // from outside, by PutAuditEvents
	Configuration   = "ConfigurationItem" // of AWS Config
	Evidence        = "Evidence"          // of Audit Manager
)

// operators are sets of operators.
type operators uint8

const (
	equals operators = 1 << iota
	startsWith
	endsWith
	notEquals
	notStartsWith
	notEndsWith

	anyOperator = equals | startsWith | endsWith | notEquals | notStartsWith | notEndsWith
)

// each calls fn for each operator that f has, with its name and its values.
func (f *Field) each(fn func(op operators, name string, values []string)) {
	for _, o := range []struct {
		op     operators
		name   string
		values []string
	}{
		{equals, "Equals", f.Equals}, {startsWith, "StartsWith", f.StartsWith}, {endsWith, "EndsWith", f.EndsWith},
		{notEquals, "NotEquals", f.NotEquals}, {notStartsWith, "NotStartsWith", f.NotStartsWith}, {notEndsWith, "NotEndsWith", f.NotEndsWith},
	} {
		if o.values != nil {
			fn(o.op, o.name, o.values)
		}
	}
}

// rule is what may be said of a field.
type rule struct {
	operators operators
	single    bool     // one value at most
	values    []string // the only ones; nil for any
}

// fieldsOf are the fields that events of a category can be selected by. The API's reference lists them:
// https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_AdvancedFieldSelector.html
func fieldsOf(category string) map[string]rule {
	free := rule{operators: anyOperator}
	truth := rule{operators: equals, values: []string{"true", "false"}, single: true}
	console := rule{operators: equals | notEquals, values: []string{"true"}, single: true}
	switch category {
	case Management:
		return map[string]rule{
			"readOnly": truth, "eventSource": free, "eventName": free, "eventType": free, "sessionCredentialFromConsole": console, "userIdentity.arn": free,
		}
	case Data:
		return map[string]rule{
			"readOnly": truth, "eventSource": free, "eventName": free, "eventType": free, "sessionCredentialFromConsole": console, "userIdentity.arn": free,
			"resources.type": {operators: equals, single: true}, "resources.ARN": free,
		}
	case NetworkActivity:
		return map[string]rule{
			"eventSource": {operators: equals, single: true}, "eventName": free, "errorCode": {operators: equals, single: true, values: []string{"VpceAccessDenied"}},
			"vpcEndpointId": free, "userIdentity.arn": free,
		}
	}
	return nil // the category alone
}

// required are the fields that a selector of a category must have.
func required(category string) []string {
	switch category {
	case Data:
		return []string{"resources.type"}
	case NetworkActivity:
		return []string{"eventSource"}
	}
	return nil
}

var categories = []string{Management, Data, NetworkActivity, Insight, ActivityAudit, Configuration, Evidence}

// check returns what is wrong with selectors, if anything is.
func check(selectors []Selector) error {
	total := 0
	for i := range selectors {
		n, err := selectors[i].check()
		if err != nil {
			return err
		}
		if total += n; total > MaxValues {
			return fmt.Errorf("the selectors have more than %d values", MaxValues)
		}
	}
	return nil
}

// check returns how many values the selector has.
func (s *Selector) check() (values int, err error) {
	category, err := s.category()
	if err != nil {
		return 0, err
	}
	rules := fieldsOf(category)
	seen := make(map[string]bool)
	for i := range s.Fields {
		f := &s.Fields[i]
		if seen[f.Field] {
			return 0, fmt.Errorf("the field %s is there more than once", f.Field)
		}
		seen[f.Field] = true
		r, ok := rules[f.Field]
		if f.Field == "eventCategory" {
			r, ok = rule{operators: equals, single: true}, true
		}
		if !ok {
			return 0, fmt.Errorf("the field %s is not valid for events of the category %s", f.Field, category)
		}
		n, err := f.check(r)
		if err != nil {
			return 0, err
		}
		values += n
	}
	for _, name := range required(category) {
		if !seen[name] {
			return 0, fmt.Errorf("a selector of the category %s needs the field %s", category, name)
		}
	}
	return values, nil
}

// category is the category that a selector is of.
func (s *Selector) category() (string, error) {
	for i := range s.Fields {
		f := &s.Fields[i]
		if f.Field != "eventCategory" {
			continue
		}
		if len(f.Equals) != 1 || !slices.Contains(categories, f.Equals[0]) {
			return "", fmt.Errorf("the field eventCategory must equal exactly one of %s", strings.Join(categories, ", "))
		}
		return f.Equals[0], nil
	}
	return "", fmt.Errorf("a selector needs the field eventCategory")
}

// check returns how many values the field has.
func (f *Field) check(r rule) (values int, err error) {
	fail := func(format string, args ...any) {
		if err == nil {
			err = fmt.Errorf(format, args...)
		}
	}
	f.each(func(op operators, name string, given []string) {
		if r.operators&op == 0 {
			fail("the operator %s is not valid for the field %s", name, f.Field)
		}
		if len(given) == 0 {
			fail("the operator %s of the field %s has no values", name, f.Field)
		}
		for i, v := range given {
			if v == "" || r.values != nil && !slices.Contains(r.values, v) {
				fail("the value %q is not valid for the field %s", v, f.Field)
			}
			if slices.Contains(given[:i], v) {
				fail("the value %q of the operator %s of the field %s is there more than once", v, name, f.Field)
			}
		}
		values += len(given)
	})
	switch {
	case err != nil:
		return 0, err
	case values == 0:
		return 0, fmt.Errorf("the field %s has no operator", f.Field)
	case r.single && values > 1:
		return 0, fmt.Errorf("the field %s takes one value", f.Field)
	}
	for _, pair := range [][2][]string{{f.Equals, f.NotEquals}, {f.StartsWith, f.NotStartsWith}, {f.EndsWith, f.NotEndsWith}} {
		for _, v := range pair[0] {
			if slices.Contains(pair[1], v) {
				return 0, fmt.Errorf("the field %s has conflicting conditions on the value %q", f.Field, v)
			}
		}
	}
	return values, nil
}

// CheckTrail returns an error for selectors that Compile takes and a trail does not: trails know fewer categories, and fewer fields of management events.
func CheckTrail(selectors []Selector) error {
	for i := range selectors {
		category, err := selectors[i].category()
		if err != nil {
			return err
		}
		switch category {
		case Data, NetworkActivity:
			continue
		case Management:
		default:
			return fmt.Errorf("the event category %s is not valid for a trail", category)
		}
		for j := range selectors[i].Fields {
			f := &selectors[i].Fields[j]
			switch f.Field {
			case "eventCategory", "readOnly":
				continue
			case "eventSource":
			default:
				return fmt.Errorf("the field %s is not valid for management events of a trail", f.Field)
			}
			if _, err := f.check(rule{operators: notEquals, values: excludable}); err != nil {
				return err
			}
		}
	}
	return nil
}

package eventselect_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/engine/eventselect"
)

// f is a field with one operator, as in f("eventName StartsWith Get").
func f(s string) eventselect.Field {
	parts := strings.Fields(s)
	out := eventselect.Field{Field: parts[0]}
	set(&out, parts[1], parts[2:])
	return out
}

func set(out *eventselect.Field, operator string, values []string) {
	switch operator {
	case "Equals":
		out.Equals = values
	case "StartsWith":
		out.StartsWith = values
	case "EndsWith":
		out.EndsWith = values
	case "NotEquals":
		out.NotEquals = values
	case "NotStartsWith":
		out.NotStartsWith = values
	case "NotEndsWith":
		out.NotEndsWith = values
	}
}

func selector(fields ...string) eventselect.Selector {
	var s eventselect.Selector
	for _, x := range fields {
		s.Fields = append(s.Fields, f(x))
	}
	return s
}

func many(n int) (values string) {
	for i := range n {
		values += fmt.Sprintf(" v%d", i)
	}
	return values
}

func TestCompile(t *testing.T) {
	for name, c := range map[string]struct {
		fields []string
		want   string // a part of the error
	}{
		"OK/Management":         {[]string{"eventCategory Equals Management"}, ""},
		"OK/Everything":         {[]string{"eventCategory Equals Data", "resources.type Equals AWS::S3::Object", "resources.ARN StartsWith arn:aws:s3:::b/", "readOnly Equals false", "eventName NotEquals PutObject", "eventSource Equals s3.amazonaws.com", "eventType NotEquals AwsServiceEvent", "sessionCredentialFromConsole NotEquals true", "userIdentity.arn EndsWith ann"}, ""},
		"OK/Network":            {[]string{"eventCategory Equals NetworkActivity", "eventSource Equals kms.amazonaws.com", "errorCode Equals VpceAccessDenied", "vpcEndpointId NotStartsWith vpce-1"}, ""},
		"OK/Outside":            {[]string{"eventCategory Equals ActivityAuditLog"}, ""},
		"NoFields":              {nil, "needs the field eventCategory"},
		"NoCategory":            {[]string{"readOnly Equals true"}, "needs the field eventCategory"},
		"TwoCategories":         {[]string{"eventCategory Equals Management Data"}, "exactly one of"},
		"UnknownCategory":       {[]string{"eventCategory Equals Lunch"}, "exactly one of"},
		"CategoryOperator":      {[]string{"eventCategory StartsWith Management"}, "exactly one of"},
		"UnknownField":          {[]string{"eventCategory Equals Management", "colour Equals red"}, "colour is not valid"},
		"FieldOfOtherCategory":  {[]string{"eventCategory Equals Management", "resources.type Equals AWS::S3::Object"}, "resources.type is not valid"},
		"OutsideTakesNoFields":  {[]string{"eventCategory Equals ActivityAuditLog", "eventName Equals a"}, "eventName is not valid"},
		"FieldTwice":            {[]string{"eventCategory Equals Management", "eventName Equals a", "eventName Equals b"}, "more than once"},
		"ReadOnlyOperator":      {[]string{"eventCategory Equals Management", "readOnly NotEquals true"}, "operator NotEquals is not valid"},
		"ReadOnlyValue":         {[]string{"eventCategory Equals Management", "readOnly Equals maybe"}, `"maybe" is not valid`},
		"ReadOnlyBoth":          {[]string{"eventCategory Equals Management", "readOnly Equals true false"}, "takes one value"},
		"ConsoleValue":          {[]string{"eventCategory Equals Management", "sessionCredentialFromConsole Equals false"}, `"false" is not valid`},
		"NoType":                {[]string{"eventCategory Equals Data"}, "needs the field resources.type"},
		"TwoTypes":              {[]string{"eventCategory Equals Data", "resources.type Equals a b"}, "takes one value"},
		"TypeOperator":          {[]string{"eventCategory Equals Data", "resources.type StartsWith AWS::"}, "StartsWith is not valid"},
		"NetworkWithoutSource":  {[]string{"eventCategory Equals NetworkActivity"}, "needs the field eventSource"},
		"ErrorCodeValue":        {[]string{"eventCategory Equals NetworkActivity", "eventSource Equals kms.amazonaws.com", "errorCode Equals AccessDenied"}, "is not valid"},
		"NoOperator":            {[]string{"eventCategory Equals Management", "eventName Nothing"}, "has no operator"},
		"NoValues":              {[]string{"eventCategory Equals Management", "eventName Equals"}, "has no values"},
		"ValueTwice":            {[]string{"eventCategory Equals Management", "eventName Equals a a"}, "more than once"},
		"TooManyValues":         {[]string{"eventCategory Equals Management", "eventName Equals" + many(500)}, "more than 500"},
		"AsManyValuesAsThereBe": {[]string{"eventCategory Equals Management", "eventName Equals" + many(499)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := eventselect.Compile([]eventselect.Selector{selector(c.fields...)})
			if c.want == "" && (err != nil || m == nil) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	t.Run("EmptyValue", func(t *testing.T) {
		s := selector("eventCategory Equals Management")
		s.Fields = append(s.Fields, eventselect.Field{Field: "eventName", Equals: []string{""}})
		if _, err := eventselect.Compile([]eventselect.Selector{s}); err == nil {
			t.Error("it was taken")
		}
	})
	t.Run("Conflict", func(t *testing.T) {
		for _, op := range []string{"Equals", "StartsWith", "EndsWith"} {
			s := selector("eventCategory Equals Management", "eventName "+op+" a b")
			set(&s.Fields[1], "Not"+op, []string{"b"})
			if _, err := eventselect.Compile([]eventselect.Selector{s}); err == nil || !strings.Contains(err.Error(), "conflicting") {
				t.Errorf("%s: %v", op, err)
			}
		}
	})
	t.Run("TooManyOverAll", func(t *testing.T) {
		s := selector("eventCategory Equals Management", "eventName Equals"+many(249))
		if _, err := eventselect.Compile([]eventselect.Selector{s, s}); err != nil {
			t.Errorf("500 values: %v", err)
		}
		if _, err := eventselect.Compile([]eventselect.Selector{s, s, selector("eventCategory Equals Management")}); err == nil {
			t.Error("501 values were taken")
		}
	})
}

func TestCheckTrail(t *testing.T) {
	for name, c := range map[string]struct {
		fields []string
		ok     bool
	}{
		"Management":       {[]string{"eventCategory Equals Management", "readOnly Equals true", "eventSource NotEquals kms.amazonaws.com rdsdata.amazonaws.com"}, true},
		"Data":             {[]string{"eventCategory Equals Data", "resources.type Equals AWS::KMS::Key", "eventName StartsWith Get"}, true},
		"Network":          {[]string{"eventCategory Equals NetworkActivity", "eventSource Equals kms.amazonaws.com"}, true},
		"Outside":          {[]string{"eventCategory Equals ActivityAuditLog"}, false},
		"Names":            {[]string{"eventCategory Equals Management", "eventName Equals CreateKey"}, false},
		"OneSource":        {[]string{"eventCategory Equals Management", "eventSource Equals kms.amazonaws.com"}, false},
		"NotSomeOther":     {[]string{"eventCategory Equals Management", "eventSource NotEquals s3.amazonaws.com"}, false},
		"WithoutACategory": {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := eventselect.CheckTrail([]eventselect.Selector{selector(c.fields...)}); (err == nil) != c.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

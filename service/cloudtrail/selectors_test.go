package cloudtrail_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
)

// advanced is an advanced selector: each field is equal to a value.
func advanced(name string, fields ...[2]string) types.AdvancedEventSelector {
	s := types.AdvancedEventSelector{Name: &name}
	for _, f := range fields {
		s.FieldSelectors = append(s.FieldSelectors, types.AdvancedFieldSelector{Field: aws.String(f[0]), Equals: []string{f[1]}})
	}
	return s
}

func TestEventSelectors(t *testing.T) {
	w := start(t)
	w.trail("some")
	name, arn := aws.String("some"), w.arn("some")
	get := func() *cloudtrail.GetEventSelectorsOutput {
		t.Helper()
		out := must(w.GetEventSelectors(t.Context(), &cloudtrail.GetEventSelectorsInput{TrailName: name}))(t)
		if *out.TrailARN != arn {
			t.Errorf("the ARN is %s", *out.TrailARN)
		}
		return out
	}
	all := types.EventSelector{ReadWriteType: types.ReadWriteTypeAll, IncludeManagementEvents: aws.Bool(true), DataResources: []types.DataResource{}, ExcludeManagementEventSources: []string{}}
	shape(t, get().EventSelectors, []types.EventSelector{all})
	custom := func(want bool) {
		t.Helper()
		if got := must(w.GetTrail(t.Context(), &cloudtrail.GetTrailInput{Name: name}))(t).Trail; *got.HasCustomEventSelectors != want {
			t.Errorf("HasCustomEventSelectors is %v", *got.HasCustomEventSelectors)
		}
	}
	custom(false)
	basic := []types.EventSelector{
		{ReadWriteType: types.ReadWriteTypeWriteOnly, IncludeManagementEvents: aws.Bool(true), DataResources: []types.DataResource{}, ExcludeManagementEventSources: []string{"kms.amazonaws.com"}},
		{ReadWriteType: types.ReadWriteTypeAll, IncludeManagementEvents: aws.Bool(false), DataResources: []types.DataResource{{Type: aws.String("AWS::S3::Object"), Values: []string{"arn:aws:s3"}}}, ExcludeManagementEventSources: []string{}},
	}
	put := must(w.PutEventSelectors(t.Context(), &cloudtrail.PutEventSelectorsInput{TrailName: name, EventSelectors: basic}))(t)
	shape(t, put.EventSelectors, basic)
	shape(t, get().EventSelectors, basic)
	custom(true)
	// What a request leaves out is as AWS fills it in.
	put = must(w.PutEventSelectors(t.Context(), &cloudtrail.PutEventSelectorsInput{TrailName: name, EventSelectors: []types.EventSelector{{}}}))(t)
	shape(t, put.EventSelectors, []types.EventSelector{all})
	custom(false)
	fine := []types.AdvancedEventSelector{
		advanced("writes", [2]string{"eventCategory", "Management"}, [2]string{"readOnly", "false"}),
		{FieldSelectors: []types.AdvancedFieldSelector{
			{Field: aws.String("eventCategory"), Equals: []string{"Data"}}, {Field: aws.String("resources.type"), Equals: []string{"AWS::S3::Object"}},
			{Field: aws.String("resources.ARN"), StartsWith: []string{"arn:aws:s3:::b/"}, NotEndsWith: []string{".tmp"}},
		}},
	}
	put = must(w.PutEventSelectors(t.Context(), &cloudtrail.PutEventSelectorsInput{TrailName: name, AdvancedEventSelectors: fine}))(t)
	shape(t, put.AdvancedEventSelectors, fine)
	if out := get(); out.EventSelectors != nil {
		t.Errorf("the basic selectors are still there: %v", out.EventSelectors)
	} else {
		shape(t, out.AdvancedEventSelectors, fine)
	}
	custom(true)
	for name, in := range map[string]cloudtrail.PutEventSelectorsInput{
		"Nothing":       {},
		"Both":          {EventSelectors: basic, AdvancedEventSelectors: fine},
		"Six":           {EventSelectors: []types.EventSelector{all, all, all, all, all, all}},
		"ReadWriteType": {EventSelectors: []types.EventSelector{{ReadWriteType: "read-only"}}},
		"Wildcard":      {EventSelectors: []types.EventSelector{{DataResources: []types.DataResource{{Type: aws.String("AWS::S3::Object"), Values: []string{"arn:aws:s3:::*"}}}}}},
		"NoCategory":    {AdvancedEventSelectors: []types.AdvancedEventSelector{advanced("x", [2]string{"readOnly", "true"})}},
		"Field":         {AdvancedEventSelectors: []types.AdvancedEventSelector{advanced("x", [2]string{"eventCategory", "Management"}, [2]string{"eventName", "CreateKey"})}},
		"Outside":       {AdvancedEventSelectors: []types.AdvancedEventSelector{advanced("x", [2]string{"eventCategory", "ActivityAuditLog"})}},
	} {
		t.Run(name, func(t *testing.T) {
			in.TrailName = aws.String("some")
			_, err := w.PutEventSelectors(t.Context(), &in)
			fails(t, err, "InvalidEventSelectorsException", "")
		})
	}
	_, err := w.PutEventSelectors(t.Context(), &cloudtrail.PutEventSelectorsInput{TrailName: name, AdvancedEventSelectors: []types.AdvancedEventSelector{
		advanced("x", [2]string{"eventCategory", "NetworkActivity"}, [2]string{"eventSource", "kms.amazonaws.com"}),
	}})
	fails(t, err, "NotImplemented", "Holdfast does not implement cloudtrail:PutEventSelectors with network activity events.")
	shape(t, get().AdvancedEventSelectors, fine)
	_, err = w.GetEventSelectors(t.Context(), &cloudtrail.GetEventSelectorsInput{TrailName: aws.String("none")})
	fails(t, err, "TrailNotFoundException", "")
	_, err = w.PutEventSelectors(t.Context(), &cloudtrail.PutEventSelectorsInput{TrailName: aws.String("none")})
	fails(t, err, "TrailNotFoundException", "")
}

package cloudtrail_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

func selectors(kinds ...types.InsightType) []types.InsightSelector {
	out := []types.InsightSelector{}
	for _, k := range kinds {
		out = append(out, types.InsightSelector{InsightType: k})
	}
	return out
}

func TestInsightSelectors(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.trail("watched")
	put := func(in *cloudtrail.PutInsightSelectorsInput) error {
		_, err := w.PutInsightSelectors(t.Context(), in)
		return err
	}
	get := func() (*cloudtrail.GetInsightSelectorsOutput, error) {
		return w.GetInsightSelectors(t.Context(), &cloudtrail.GetInsightSelectorsInput{TrailName: aws.String("watched")})
	}
	_, err := get()
	fails(t, err, "InsightNotEnabledException", "")
	both := selectors(types.InsightTypeApiCallRateInsight, types.InsightTypeApiErrorRateInsight)
	out := must(w.PutInsightSelectors(t.Context(), &cloudtrail.PutInsightSelectorsInput{TrailName: aws.String("watched"), InsightSelectors: both}))(t)
	if *out.TrailARN != w.arn("watched") || len(out.InsightSelectors) != 2 || out.InsightSelectors[0].EventCategories[0] != types.SourceEventCategoryManagement {
		t.Errorf("PutInsightSelectors = %+v", out)
	}
	if got := must(get())(t); len(got.InsightSelectors) != 2 || *got.TrailARN != w.arn("watched") {
		t.Errorf("GetInsightSelectors = %+v", got)
	}
	if d := must(w.GetTrail(t.Context(), &cloudtrail.GetTrailInput{Name: aws.String("watched")}))(t); !*d.Trail.HasInsightSelectors {
		t.Error("the trail does not have Insights selectors by GetTrail")
	}
	store := aws.String("arn:aws:cloudtrail:us-east-1:" + w.Account + ":eventdatastore/EXAMPLE-f852-4e8f-8bd1-bcf6cEXAMPLE")
	for name, c := range map[string]struct {
		in   cloudtrail.PutInsightSelectorsInput
		code string
	}{
		"NoTrail":        {cloudtrail.PutInsightSelectorsInput{TrailName: aws.String("other"), InsightSelectors: both}, "TrailNotFoundException"},
		"BadName":        {cloudtrail.PutInsightSelectorsInput{TrailName: aws.String("?"), InsightSelectors: both}, "InvalidTrailNameException"},
		"Both":           {cloudtrail.PutInsightSelectorsInput{TrailName: aws.String("watched"), EventDataStore: store, InsightSelectors: both}, "InvalidParameterCombinationException"},
		"EventDataStore": {cloudtrail.PutInsightSelectorsInput{EventDataStore: store, InsightSelectors: both}, "NotImplemented"},
		"Twice":          {cloudtrail.PutInsightSelectorsInput{TrailName: aws.String("watched"), InsightSelectors: append(both, both...)}, "InvalidInsightSelectorsException"},
		"NoType":         {cloudtrail.PutInsightSelectorsInput{TrailName: aws.String("watched"), InsightSelectors: []types.InsightSelector{{}}}, "InvalidInsightSelectorsException"},
		"Destination":    {cloudtrail.PutInsightSelectorsInput{TrailName: aws.String("watched"), InsightSelectors: both, InsightsDestination: store}, "InvalidInsightSelectorsException"},
	} {
		if err := put(&c.in); code(err) != c.code {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
	must(w.PutInsightSelectors(t.Context(), &cloudtrail.PutInsightSelectorsInput{TrailName: aws.String("watched"), InsightSelectors: selectors()}))(t)
	_, err = get()
	fails(t, err, "InsightNotEnabledException", "")
}

// Many calls at once are found after a day, and told by all that tells of Insights events.
func TestInsightsAreTold(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.trail("watched")
	must(w.PutInsightSelectors(t.Context(), &cloudtrail.PutInsightSelectorsInput{
		TrailName: aws.String("watched"), InsightSelectors: selectors(types.InsightTypeApiCallRateInsight, types.InsightTypeApiErrorRateInsight),
	}))(t)
	must(w.StartLogging(t.Context(), &cloudtrail.StartLoggingInput{Name: aws.String("watched")}))(t)
	// All calls are of one window, whatever time of day it is and however slow the machine.
	window := w.Clock.Now().Truncate(5 * time.Minute).Add(25 * time.Hour)
	w.Advance(window.Add(time.Second).Sub(w.Clock.Now()))
	k := kms.NewFromConfig(w.Config())
	for range 12 {
		must(k.CreateKey(t.Context(), &kms.CreateKeyInput{}))(t)
		if _, err := k.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String("alias/none")}); err == nil {
			t.Fatal("there is a key alias/none")
		}
	}
	w.Advance(20 * time.Minute)

	found := must(w.LookupEvents(t.Context(), &cloudtrail.LookupEventsInput{EventCategory: types.EventCategoryInsight}))(t)
	if len(found.Events) != 4 {
		t.Fatalf("LookupEvents finds %d Insights events, want two that begin and end", len(found.Events))
	}
	var told struct {
		InsightDetails struct{ State, EventName, InsightType, ErrorCode string }
	}
	last := found.Events[len(found.Events)-1]
	if err := json.Unmarshal([]byte(*last.CloudTrailEvent), &told); err != nil || told.InsightDetails.State != "Start" {
		t.Errorf("the oldest is %s, %v", *last.CloudTrailEvent, err)
	}
	byName := func(name string, max int32, token *string) *cloudtrail.LookupEventsOutput {
		return must(w.LookupEvents(t.Context(), &cloudtrail.LookupEventsInput{
			EventCategory: types.EventCategoryInsight, MaxResults: &max, NextToken: token,
			LookupAttributes: []types.LookupAttribute{{AttributeKey: types.LookupAttributeKeyEventName, AttributeValue: &name}},
		}))(t)
	}
	first := byName("CreateKey", 1, nil)
	if len(first.Events) != 1 || first.NextToken == nil || !strings.Contains(*first.Events[0].CloudTrailEvent, `"state":"End"`) {
		t.Fatalf("the first page is %+v", first)
	}
	if second := byName("CreateKey", 1, first.NextToken); len(second.Events) != 1 || second.NextToken != nil || !strings.Contains(*second.Events[0].CloudTrailEvent, `"state":"Start"`) {
		t.Errorf("the second page is %+v", second)
	}
	_, err := w.LookupEvents(t.Context(), &cloudtrail.LookupEventsInput{
		EventCategory: types.EventCategoryInsight, LookupAttributes: []types.LookupAttribute{{AttributeKey: types.LookupAttributeKeyUsername, AttributeValue: aws.String("ann")}},
	})
	fails(t, err, "InvalidLookupAttributesException", "")

	data := must(w.ListInsightsData(t.Context(), &cloudtrail.ListInsightsDataInput{
		InsightSource: aws.String(w.arn("watched")), DataType: types.ListInsightsDataTypeInsightsEvents, Dimensions: map[string]string{"EventName": "DescribeKey"},
	}))(t)
	if len(data.Events) != 2 || *data.Events[0].EventName != "DescribeKey" {
		t.Errorf("ListInsightsData = %+v", data)
	}
	metric := func(change func(*cloudtrail.ListInsightsMetricDataInput)) (*cloudtrail.ListInsightsMetricDataOutput, error) {
		in := &cloudtrail.ListInsightsMetricDataInput{
			TrailName: aws.String("watched"), EventSource: aws.String("kms.amazonaws.com"), EventName: aws.String("CreateKey"), InsightType: types.InsightTypeApiCallRateInsight,
		}
		change(in)
		return w.ListInsightsMetricData(t.Context(), in)
	}
	if got := must(metric(func(*cloudtrail.ListInsightsMetricDataInput) {}))(t); len(got.Values) != 1 || got.Values[0] != 12 || *got.TrailARN != w.arn("watched") {
		t.Errorf("ListInsightsMetricData = %+v", got)
	}
	from := w.Clock.Now().Add(-time.Hour)
	zeros := func(in *cloudtrail.ListInsightsMetricDataInput) {
		in.DataType, in.Period, in.MaxResults, in.StartTime = types.InsightsMetricDataTypeFillWithZeros, aws.Int32(300), aws.Int32(3), &from
	}
	page := must(metric(zeros))(t)
	sum, n := 0.0, 0
	for page.NextToken != nil {
		token := page.NextToken
		page = must(metric(func(in *cloudtrail.ListInsightsMetricDataInput) { zeros(in); in.NextToken = token }))(t)
		for _, v := range page.Values {
			sum, n = sum+v, n+1
		}
	}
	if sum != 12 || n < 9 {
		t.Errorf("%d more periods have %g calls", n, sum)
	}
	for name, change := range map[string]func(*cloudtrail.ListInsightsMetricDataInput){
		"Period": func(in *cloudtrail.ListInsightsMetricDataInput) { in.Period = aws.Int32(120) },
		"NoErrorCode": func(in *cloudtrail.ListInsightsMetricDataInput) {
			in.InsightType = types.InsightTypeApiErrorRateInsight
		},
		"ErrorCode": func(in *cloudtrail.ListInsightsMetricDataInput) { in.ErrorCode = aws.String("X") },
		"Times": func(in *cloudtrail.ListInsightsMetricDataInput) {
			in.StartTime = aws.Time(w.Clock.Now().Add(time.Hour))
		},
		"Token": func(in *cloudtrail.ListInsightsMetricDataInput) { in.NextToken = aws.String("x") },
	} {
		if _, err := metric(change); code(err) != "InvalidParameterException" {
			t.Errorf("%s: %v, want InvalidParameterException", name, err)
		}
	}
}

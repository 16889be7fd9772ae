// Package ec2_test calls EC2 Query with the official SDK, in a package of its own: that client takes long to
// compile.
package ec2_test

import (
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	sdkec2 "github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/wire"
	"github.com/holdfast-cloud/holdfast/wire/wiretest"
	"github.com/holdfast-cloud/holdfast/wire/wiretest/ec2"
)

func TestEC2Query(t *testing.T) {
	when := time.Date(2026, 3, 1, 12, 30, 15, 250e6, time.UTC)
	var want, out wire.Shape
	var fault error
	p := wire.For(wire.EC2Query)
	endpoint := wiretest.Serve(t, p, func(op *wire.Operation, in wire.Shape) (wire.Shape, error) {
		if diff := cmp.Diff(want, in); diff != "" {
			t.Errorf("%s arrived otherwise: (-want +got)\n%s", op.Name, diff)
		}
		return out, fault
	}, ec2.OpRunInstances, ec2.OpDescribeInstances, ec2.OpCreateTags)
	client := sdkec2.NewFromConfig(wiretest.Client(endpoint))

	ours := func(t *testing.T, op *wire.Operation) {
		t.Helper()
		u, err := url.Parse(endpoint)
		if err != nil {
			t.Fatal(err)
		}
		req, _, err := p.EncodeRequest(op, want, u)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.DecodeResponse(op, resp)
		if diff := cmp.Diff(fault, err); diff != "" {
			t.Errorf("%s: another error: (-want +got)\n%s", op.Name, diff)
		}
		if diff := cmp.Diff(out, got); fault == nil && diff != "" {
			t.Errorf("%s came back otherwise: (-want +got)\n%s", op.Name, diff)
		}
	}

	t.Run("RunInstances", func(t *testing.T) {
		want = &ec2.RunInstancesRequest{ImageId: new("ami-1"), MinCount: new(int32(1)), MaxCount: new(int32(2)), SecurityGroupIds: []string{"sg-1", "sg-2"},
			ClientToken: new("c"), EbsOptimized: new(true),
			TagSpecifications: []ec2.TagSpecification{{ResourceType: "instance", Tags: []ec2.Tag{{Key: new("a"), Value: new("b c")}}}}}
		out = &ec2.Reservation{ReservationId: new("r-1"), Instances: []ec2.Instance{{InstanceId: new("i-1"), LaunchTime: &when, State: &ec2.InstanceState{Code: new(int32(16)), Name: "running"},
			Tags: []ec2.Tag{{Key: new("a"), Value: new("b c")}}}, {InstanceId: new("i-2")}}}
		got, err := client.RunInstances(t.Context(), &sdkec2.RunInstancesInput{ImageId: new("ami-1"), MinCount: new(int32(1)), MaxCount: new(int32(2)), SecurityGroupIds: []string{"sg-1", "sg-2"},
			ClientToken: new("c"), EbsOptimized: new(true),
			TagSpecifications: []ec2types.TagSpecification{{ResourceType: "instance", Tags: []ec2types.Tag{{Key: new("a"), Value: new("b c")}}}}})
		if err != nil {
			t.Fatal(err)
		}
		if i := got.Instances; len(i) != 2 || !i[0].LaunchTime.Equal(when) || *i[0].State.Code != 16 || *i[0].Tags[0].Value != "b c" || *i[1].InstanceId != "i-2" {
			t.Errorf("RunInstances: %+v", got.Instances)
		}
		ours(t, ec2.OpRunInstances)
	})
	t.Run("Filters", func(t *testing.T) {
		want = &ec2.DescribeInstancesRequest{Filters: []ec2.Filter{{Name: new("tag:a"), Values: []string{"x", "y"}}}, InstanceIds: []string{"i-1"}, MaxResults: new(int32(5))}
		out = &ec2.DescribeInstancesResult{NextToken: new("n")}
		got, err := client.DescribeInstances(t.Context(), &sdkec2.DescribeInstancesInput{Filters: []ec2types.Filter{{Name: new("tag:a"), Values: []string{"x", "y"}}}, InstanceIds: []string{"i-1"}, MaxResults: new(int32(5))})
		if err != nil {
			t.Fatal(err)
		}
		if *got.NextToken != "n" {
			t.Errorf("DescribeInstances: %+v", got)
		}
		ours(t, ec2.OpDescribeInstances)
	})
	t.Run("Error", func(t *testing.T) {
		want = &ec2.DescribeInstancesRequest{InstanceIds: []string{"i-9"}}
		fault = &wire.Error{Code: "InvalidInstanceID.NotFound", Message: "The instance ID 'i-9' does not exist", Status: 400}
		_, err := client.DescribeInstances(t.Context(), &sdkec2.DescribeInstancesInput{InstanceIds: []string{"i-9"}})
		if e, ok := errors.AsType[smithy.APIError](err); !ok || e.ErrorCode() != "InvalidInstanceID.NotFound" || e.ErrorMessage() != "The instance ID 'i-9' does not exist" {
			t.Errorf("DescribeInstances: %v", err)
		}
		ours(t, ec2.OpDescribeInstances)
	})
}

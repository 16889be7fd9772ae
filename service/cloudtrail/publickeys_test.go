package cloudtrail_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"

	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

func TestListPublicKeysRefuses(t *testing.T) {
	c := cloudtest.Start(t)
	root := cloudtrail.NewFromConfig(c.Config())
	now := c.Clock.Now()
	for name, tc := range map[string]struct {
		in   cloudtrail.ListPublicKeysInput
		want string
	}{
		"Backwards": {cloudtrail.ListPublicKeysInput{StartTime: aws.Time(now), EndTime: aws.Time(now.Add(-time.Hour))}, "InvalidTimeRangeException"},
		"Future":    {cloudtrail.ListPublicKeysInput{StartTime: aws.Time(now.Add(time.Hour))}, "InvalidTimeRangeException"},
		"Token":     {cloudtrail.ListPublicKeysInput{NextToken: aws.String("made-up")}, "InvalidTokenException"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := root.ListPublicKeys(t.Context(), &tc.in); code(err) != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
	out, err := root.ListPublicKeys(t.Context(), &cloudtrail.ListPublicKeysInput{StartTime: aws.Time(now.Add(-time.Hour)), EndTime: aws.Time(now.Add(time.Hour))})
	if err != nil || len(out.PublicKeyList) != 0 {
		t.Errorf("before the first digest there are %d keys, %v", len(out.PublicKeyList), err)
	}
}

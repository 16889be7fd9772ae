package ssm_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/service/events"
)

// follow returns what gives the next events of Parameter Store that come to the default bus, each as its kind and some of its detail.
func (h *house) follow() func(n int) []string {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	came := make(chan string, 100)
	started, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		_ = h.FollowEvents(ctx, events.Following{Account: home, Region: "us-east-1", Bus: "default"}, func() { close(started) }, func(f events.Followed) error {
			var e struct {
				Source, Account, Region string
				Kind                    string `json:"detail-type"`
				Resources               []string
				Detail                  map[string]string
			}
			if err := json.Unmarshal(f.Event, &e); err != nil || e.Source != "aws.ssm" {
				return err
			}
			d := e.Detail
			words := []string{e.Kind, d["operation"], d["name"], d["type"], d["label"], d["exception"], d["parameter-name"], d["policy-type"], d["action-status"]}
			came <- strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ") + " " + strings.Join(e.Resources, " ")
			return nil
		})
	}()
	h.t.Cleanup(func() { cancel(); <-over })
	<-started
	return func(n int) (got []string) {
		h.t.Helper()
		for range n {
			select {
			case e := <-came:
				got = append(got, e)
			case <-time.After(time.Minute):
				h.t.Fatalf("no more events came than %q", got)
			}
		}
		return got
	}
}

// TestEvents tells of every change of a parameter.
func TestEvents(t *testing.T) {
	h := start(t)
	next := h.follow()
	h.put("/e", "v")
	h.put("/e", "v", overwrite)
	h.label("/e", 1, "l")
	image := func(in *ssm.PutParameterInput) { in.DataType = aws.String("aws:ec2:image") }
	h.put("/ami", "no-image", image)
	h.put("/ami", "ami-01234567", image)
	must(h.DeleteParameter(t.Context(), &ssm.DeleteParameterInput{Name: aws.String("/e")}))(t)
	want := []string{
		"Parameter Store Change Create /e String " + prefix + "/e",
		"Parameter Store Change Update /e String " + prefix + "/e",
		"Parameter Store Change LabelParameterVersion /e String l " + prefix + "/e",
		"Parameter Store Change Create /ami String Unable to Describe Resource " + prefix + "/ami",
		"Parameter Store Change Create /ami String " + prefix + "/ami",
		"Parameter Store Change Delete /e String " + prefix + "/e",
	}
	if d := cmp.Diff(want, next(len(want))); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	if p := h.get("/ami"); p.Version != 1 || *p.Value != "ami-01234567" || *p.DataType != "aws:ec2:image" {
		t.Errorf("/ami = %+v", p)
	}
}

// TestPolicies moves the clock through the policies of a parameter.
func TestPolicies(t *testing.T) {
	h := start(t)
	next := h.follow()
	const all = `[{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2026-12-27T01:30:00.000Z"}},
		{"Type":"ExpirationNotification","Version":"1.0","Attributes":{"Before":"15","Unit":"Days"}},
		{"Type":"NoChangeNotification","Version":"1.0","Attributes":{"After":"20","Unit":"Hours"}}]`
	if out := h.put("/p", "v", func(in *ssm.PutParameterInput) {
		in.Policies, in.Tier = aws.String(all), types.ParameterTierIntelligentTiering
	}); out.Tier != types.ParameterTierAdvanced {
		t.Errorf("the tier is %s", out.Tier)
	}
	statuses := func() string {
		d := must(h.DescribeParameters(t.Context(), &ssm.DescribeParametersInput{}))(t).Parameters[0]
		var s []string
		for _, p := range d.Policies {
			s = append(s, *p.PolicyType+" "+*p.PolicyStatus)
		}
		return strings.Join(s, ", ")
	}
	h.Advance(10 * time.Hour)
	h.put("/p", "v2", overwrite) // and the twenty hours begin again
	h.Advance(19 * time.Hour)
	if got := statuses(); got != "Expiration Pending, ExpirationNotification Pending, NoChangeNotification Pending" {
		t.Error(got)
	}
	h.Advance(time.Hour)
	if got := statuses(); got != "Expiration Pending, ExpirationNotification Pending, NoChangeNotification Finished" {
		t.Error(got)
	}
	h.Advance(14 * 24 * time.Hour)
	if got := statuses(); got != "Expiration Pending, ExpirationNotification Finished, NoChangeNotification Finished" {
		t.Error(got)
	}
	h.Advance(20 * 24 * time.Hour)
	_, err := h.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("/p")})
	wantError(t, err, "ParameterNotFound", "")
	arn := " " + prefix + "/p"
	want := []string{
		"Parameter Store Change Create /p String" + arn,
		"Parameter Store Change Update /p String" + arn,
		"Parameter Store Policy Action /p NoChangeNotification SUCCESS" + arn,
		"Parameter Store Policy Action /p ExpirationNotification SUCCESS" + arn,
		"Parameter Store Policy Action /p Expiration SUCCESS" + arn,
		"Parameter Store Change Delete /p String" + arn,
	}
	if d := cmp.Diff(want, next(len(want))); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
}

// TestPolicyRules refuses policies that make no sense.
func TestPolicyRules(t *testing.T) {
	h := start(t)
	const expires = `{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2027-12-02T21:34:33.000Z"}}`
	for _, c := range []struct{ name, policies, code string }{
		{"OK", `[` + expires + `]`, ""},
		{"Offset", `[{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2027-11-01T22:13:48.87+10:30:00"}}]`, ""},
		{"None", `[{}]`, ""},
		{"NoJSON", `[`, "ValidationException"},
		{"NoList", `{}`, "ValidationException"},
		{"NoObject", `[1]`, "ValidationException"},
		{"Type", `[{"Type":"Rotation","Version":"1.0","Attributes":{}}]`, "InvalidPolicyTypeException"},
		{"Version", `[{"Type":"Expiration","Version":"2","Attributes":{"Timestamp":"2027-12-02T21:34:33.000Z"}}]`, "InvalidPolicyAttributeException"},
		{"Past", `[{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2018-12-02T21:34:33.000Z"}}]`, "InvalidPolicyAttributeException"},
		{"NoTime", `[{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"tomorrow"}}]`, "InvalidPolicyAttributeException"},
		{"Unit", `[{"Type":"NoChangeNotification","Version":"1.0","Attributes":{"After":"20","Unit":"Weeks"}}]`, "InvalidPolicyAttributeException"},
		{"Zero", `[{"Type":"NoChangeNotification","Version":"1.0","Attributes":{"After":"0","Unit":"Days"}}]`, "InvalidPolicyAttributeException"},
		{"Two", `[` + expires + `,` + expires + `]`, "IncompatiblePolicyException"},
		{"NoticeOfNothing", `[{"Type":"ExpirationNotification","Version":"1.0","Attributes":{"Before":"15","Unit":"Days"}}]`, "IncompatiblePolicyException"},
		{"Eleven", `[` + strings.Repeat(`{},`, 10) + `{}]`, "PoliciesLimitExceededException"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := h.PutParameter(t.Context(), input("/"+c.name, "v", policies(c.policies)))
			if c.code == "" {
				must(0, err)(t)
				return
			}
			wantError(t, err, c.code, "")
		})
	}
	_, err := h.PutParameter(t.Context(), input("/standard", "v", func(in *ssm.PutParameterInput) { in.Policies = aws.String(`[` + expires + `]`) }))
	wantError(t, err, "ValidationException", "only supported for parameters that use the advanced-parameter tier")
	h.put("/OK", "v", overwrite, policies(`[{}]`))
	h.Advance(600 * 24 * time.Hour)
	h.get("/OK")
	_, err = h.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("/Offset")})
	wantError(t, err, "ParameterNotFound", "")
}

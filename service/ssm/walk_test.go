package ssm_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/internal/walk"
)

// walked is a request of an operation, and what it needs permission on.
type walked struct {
	name, on string
	run      func(h *house, c *ssm.Client) error
}

func answer[T any](_ T, err error) error { return err }

const (
	walkARN    = prefix + "/walk/p"
	settingARN = "arn:aws:ssm:us-east-1:" + home + ":servicesetting/ssm/parameter-store/high-throughput-enabled"
	sharing    = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + other + `"},"Action":["ssm:GetParameter","ssm:GetParameters","ssm:DescribeParameters"],"Resource":"` + walkARN + `"}]}`
)

var (
	walkName = aws.String("/walk/p")
	param    = types.ResourceTypeForTaggingParameter
)

var walks = []walked{
	{"PutParameter", walkARN, func(h *house, c *ssm.Client) error {
		return answer(c.PutParameter(h.t.Context(), input("/walk/p", "v", inAdvanced)))
	}},
	{"GetParameter", walkARN, func(h *house, c *ssm.Client) error {
		return answer(c.GetParameter(h.t.Context(), &ssm.GetParameterInput{Name: walkName}))
	}},
	{"GetParameters", walkARN, func(h *house, c *ssm.Client) error {
		return answer(c.GetParameters(h.t.Context(), &ssm.GetParametersInput{Names: []string{*walkName}}))
	}},
	{"GetParametersByPath", prefix + "/walk", func(h *house, c *ssm.Client) error {
		return answer(c.GetParametersByPath(h.t.Context(), &ssm.GetParametersByPathInput{Path: aws.String("/walk")}))
	}},
	{"GetParameterHistory", walkARN, func(h *house, c *ssm.Client) error {
		return answer(c.GetParameterHistory(h.t.Context(), &ssm.GetParameterHistoryInput{Name: walkName}))
	}},
	{"DescribeParameters", "arn:aws:ssm:us-east-1:" + home + ":*", func(h *house, c *ssm.Client) error {
		return answer(c.DescribeParameters(h.t.Context(), &ssm.DescribeParametersInput{}))
	}},
	{"LabelParameterVersion", walkARN, func(h *house, c *ssm.Client) error {
		return answer(c.LabelParameterVersion(h.t.Context(), &ssm.LabelParameterVersionInput{Name: walkName, Labels: []string{"l"}}))
	}},
	{"UnlabelParameterVersion", walkARN, func(h *house, c *ssm.Client) error {
		return answer(c.UnlabelParameterVersion(h.t.Context(), &ssm.UnlabelParameterVersionInput{Name: walkName, ParameterVersion: aws.Int64(1), Labels: []string{"l"}}))
	}},
	{"AddTagsToResource", walkARN, func(h *house, c *ssm.Client) error {
		return answer(c.AddTagsToResource(h.t.Context(), &ssm.AddTagsToResourceInput{ResourceType: param, ResourceId: walkName, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}}))
	}},
	{"ListTagsForResource", walkARN, func(h *house, c *ssm.Client) error {
		return answer(c.ListTagsForResource(h.t.Context(), &ssm.ListTagsForResourceInput{ResourceType: param, ResourceId: walkName}))
	}},
	{"RemoveTagsFromResource", walkARN, func(h *house, c *ssm.Client) error {
		return answer(c.RemoveTagsFromResource(h.t.Context(), &ssm.RemoveTagsFromResourceInput{ResourceType: param, ResourceId: walkName, TagKeys: []string{"k"}}))
	}},
	{"PutResourcePolicy", walkARN, func(h *house, c *ssm.Client) error {
		return answer(c.PutResourcePolicy(h.t.Context(), &ssm.PutResourcePolicyInput{ResourceArn: aws.String(walkARN), Policy: aws.String(sharing)}))
	}},
	{"GetResourcePolicies", walkARN, func(h *house, c *ssm.Client) error {
		return answer(c.GetResourcePolicies(h.t.Context(), &ssm.GetResourcePoliciesInput{ResourceArn: aws.String(walkARN)}))
	}},
	{"DeleteResourcePolicy", walkARN, func(h *house, c *ssm.Client) error {
		p := must(h.GetResourcePolicies(h.t.Context(), &ssm.GetResourcePoliciesInput{ResourceArn: aws.String(walkARN)}))(h.t).Policies[0]
		return answer(c.DeleteResourcePolicy(h.t.Context(), &ssm.DeleteResourcePolicyInput{ResourceArn: aws.String(walkARN), PolicyId: p.PolicyId, PolicyHash: p.PolicyHash}))
	}},
	{"DeleteParameter", walkARN, func(h *house, c *ssm.Client) error {
		return answer(c.DeleteParameter(h.t.Context(), &ssm.DeleteParameterInput{Name: walkName}))
	}},
	{"DeleteParameters", walkARN, func(h *house, c *ssm.Client) error {
		h.put("/walk/p", "v", overwrite)
		return answer(c.DeleteParameters(h.t.Context(), &ssm.DeleteParametersInput{Names: []string{*walkName}}))
	}},
	{"UpdateServiceSetting", settingARN, func(h *house, c *ssm.Client) error {
		return answer(c.UpdateServiceSetting(h.t.Context(), &ssm.UpdateServiceSettingInput{SettingId: aws.String(settingARN), SettingValue: aws.String("true")}))
	}},
	{"GetServiceSetting", settingARN, func(h *house, c *ssm.Client) error {
		return answer(c.GetServiceSetting(h.t.Context(), &ssm.GetServiceSettingInput{SettingId: aws.String(settingARN)}))
	}},
	{"ResetServiceSetting", settingARN, func(h *house, c *ssm.Client) error {
		return answer(c.ResetServiceSetting(h.t.Context(), &ssm.ResetServiceSettingInput{SettingId: aws.String(settingARN)}))
	}},
}

// TestWalk carries out every operation with just the permission it needs, sees it refused with all others, and finds both on record.
func TestWalk(t *testing.T) {
	h := start(t)
	var done []string
	for _, o := range walks {
		t.Run(o.name, func(t *testing.T) {
			who, action := "walker-"+o.name, "ssm:"+o.name
			others := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotAction":"` + action + `","Resource":"*"},
				{"Effect":"Allow","Action":"` + action + `","Resource":"` + prefix + `/elsewhere*"}]}`
			err := o.run(h, ssm.NewFromConfig(h.User(home, who, others)))
			wantError(t, err, "AccessDeniedException", "is not authorized to perform: "+action+" on resource: "+o.on)
			if err := o.run(h, ssm.NewFromConfig(h.User(home, who, allow(action, o.on)))); err != nil {
				t.Fatal(err)
			}
			for _, code := range []string{"AccessDenied", ""} {
				e, found := h.recorded(who, o.name, code)
				if !found {
					t.Errorf("there is no record of %s ending with %q", o.name, code)
					continue
				}
				reads := strings.HasPrefix(o.name, "Get") || strings.HasPrefix(o.name, "List") || strings.HasPrefix(o.name, "Describe")
				if e.EventSource != "ssm.amazonaws.com" || e.ReadOnly != reads {
					t.Errorf("recorded as %s", e.Raw)
				}
				if strings.HasPrefix(o.on, prefix) && !slices.ContainsFunc(e.Resources, func(r struct{ AccountID, Type, ARN string }) bool { return r.ARN == o.on && r.AccountID == home }) {
					t.Errorf("the record has the resources %v", e.Resources)
				}
			}
		})
		done = append(done, o.name)
	}
	if err := walk.Check(walk.File, done, nil); err != nil {
		t.Error(err)
	}
}

// recorded returns the last audit record of an operation of a user of home that ended with the error code, or with success if that is "".
func (h *house) recorded(user, operation, code string) (e cloudtest.Event, found bool) {
	for _, e := range slices.Backward(h.Trail(home)) {
		if e.EventName == operation && e.ErrorCode == code && e.UserIdentity.ARN == "arn:aws:iam::"+home+":user/"+user {
			return e, true
		}
	}
	return e, false
}

// TestConditions holds Parameter Store's own condition keys, and tags.
func TestConditions(t *testing.T) {
	h := start(t)
	h.put("/c/red", "v", func(in *ssm.PutParameterInput) {
		in.Tags = []types.Tag{{Key: aws.String("Team"), Value: aws.String("red")}}
	})
	h.put("/c/plain", "v")
	denied := func(err error) {
		t.Helper()
		wantError(t, err, "AccessDeniedException", "is not authorized to perform: ssm:")
	}
	as := func(name, effect, condition string) *ssm.Client {
		return ssm.NewFromConfig(h.User(home, name, allow("ssm:*", "*"), `{"Version":"2012-10-17","Statement":[{"Effect":"`+effect+`","Action":"ssm:*","Resource":"*","Condition":`+condition+`}]}`))
	}
	c := as("no-overwrite", "Deny", `{"StringEquals":{"ssm:Overwrite":"true"}}`)
	denied(answer(c.PutParameter(t.Context(), input("/c/plain", "v2", overwrite))))
	must(c.PutParameter(t.Context(), input("/c/new", "v")))(t)
	c = as("no-policies", "Deny", `{"StringEquals":{"ssm:Policies":"true"}}`)
	denied(answer(c.PutParameter(t.Context(), input("/c/p", "v", policies(`[{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2027-01-01T00:00:00Z"}}]`)))))
	must(c.PutParameter(t.Context(), input("/c/p", "v", policies(`[{}]`))))(t)
	c = as("no-recursion", "Deny", `{"StringEquals":{"ssm:Recursive":"true"}}`)
	denied(answer(c.GetParametersByPath(t.Context(), &ssm.GetParametersByPathInput{Path: aws.String("/c"), Recursive: aws.Bool(true)})))
	must(c.GetParametersByPath(t.Context(), &ssm.GetParametersByPathInput{Path: aws.String("/c")}))(t)
	for _, key := range []string{"aws:ResourceTag/Team", "ssm:resourceTag/team"} {
		c := as("not-red", "Deny", `{"StringEquals":{"`+key+`":"red"}}`)
		denied(answer(c.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("/c/red")})))
		must(c.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("/c/plain")}))(t)
	}
	c = ssm.NewFromConfig(h.User(home, "no-tags", allow("ssm:PutParameter", "*")))
	denied(answer(c.PutParameter(t.Context(), input("/c/t", "v", func(in *ssm.PutParameterInput) { in.Tags = []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}} }))))
}

// TestTags sets, lists and removes tags.
func TestTags(t *testing.T) {
	h := start(t)
	h.put("t", "v", func(in *ssm.PutParameterInput) { in.Tags = []types.Tag{{Key: aws.String("a"), Value: aws.String("1")}} })
	tag := func(kind types.ResourceTypeForTagging, id string, n int) error {
		in := &ssm.AddTagsToResourceInput{ResourceType: kind, ResourceId: &id}
		for i := range n {
			in.Tags = append(in.Tags, types.Tag{Key: aws.String("k" + strings.Repeat("x", i)), Value: aws.String("2")})
		}
		return answer(h.AddTagsToResource(t.Context(), in))
	}
	if err := tag(param, "/t", 2); err != nil {
		t.Fatal(err)
	}
	must(h.RemoveTagsFromResource(t.Context(), &ssm.RemoveTagsFromResourceInput{ResourceType: param, ResourceId: aws.String("t"), TagKeys: []string{"k", "none"}}))(t)
	var got []string
	for _, tag := range must(h.ListTagsForResource(t.Context(), &ssm.ListTagsForResourceInput{ResourceType: param, ResourceId: aws.String("t")}))(t).TagList {
		got = append(got, *tag.Key+"="+*tag.Value)
	}
	if want := []string{"a=1", "kx=2"}; !slices.Equal(got, want) {
		t.Errorf("tags %v, want %v", got, want)
	}
	wantError(t, tag(param, "none", 1), "InvalidResourceId", "")
	wantError(t, tag(types.ResourceTypeForTaggingDocument, "t", 1), "InvalidResourceId", "")
	wantError(t, tag(param, "t", 50), "TooManyTagsError", "")
}

package ssm_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestPut holds what PutParameter makes and refuses against what AWS does.
func TestPut(t *testing.T) {
	h := start(t)
	t.Run("OK", func(t *testing.T) {
		out := h.put("/app/db/host", "db1")
		if out.Version != 1 || out.Tier != types.ParameterTierStandard {
			t.Errorf("PutParameter = %d in %s", out.Version, out.Tier)
		}
		want := &types.Parameter{
			Name: aws.String("/app/db/host"), Value: aws.String("db1"), Version: 1, Type: types.ParameterTypeString, ARN: aws.String(prefix + "/app/db/host"),
			DataType: aws.String("text"), LastModifiedDate: &epoch,
		}
		if d := cmp.Diff(want, h.get("/app/db/host"), cmpopts.IgnoreUnexported(types.Parameter{})); d != "" {
			t.Errorf("GetParameter (-want +got):\n%s", d)
		}
	})
	t.Run("OneLevelWithAndWithoutSlash", func(t *testing.T) {
		h.put("plain", "1")
		for _, name := range []string{"plain", "/plain", " plain "} {
			if p := h.get(name); *p.Name != strings.TrimSpace(name) || *p.Value != "1" || *p.ARN != prefix+"/plain" {
				t.Errorf("%q: %s = %s, %s", name, *p.Name, *p.Value, *p.ARN)
			}
		}
		_, err := h.PutParameter(t.Context(), input("/plain", "2"))
		wantError(t, err, "ParameterAlreadyExists", "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.")
	})
	t.Run("OverwriteKeepsWhatIsNotGiven", func(t *testing.T) {
		h.put("/keep", "a1", func(in *ssm.PutParameterInput) {
			in.Description, in.AllowedPattern = aws.String("of a"), aws.String(`[a-z]\d`)
		})
		if out := h.put("/keep", "b2", overwrite, untyped); out.Version != 2 {
			t.Errorf("version %d", out.Version)
		}
		_, err := h.PutParameter(t.Context(), input("/keep", "secret-and-long", overwrite))
		wantError(t, err, "ParameterPatternMismatchException", `Parameter value, cannot be validated against allowedPattern: [a-z]\d`)
		if strings.Contains(err.Error(), "secret-and-long") {
			t.Error("the error tells the value")
		}
		d := must(h.DescribeParameters(t.Context(), &ssm.DescribeParametersInput{ParameterFilters: []types.ParameterStringFilter{{Key: aws.String("Name"), Values: []string{"/keep"}}}}))(t).Parameters
		if len(d) != 1 || *d[0].Description != "of a" || *d[0].AllowedPattern != `[a-z]\d` || d[0].Version != 2 || *d[0].LastModifiedUser != "arn:aws:iam::111122223333:root" {
			t.Errorf("DescribeParameters = %+v", d)
		}
	})
	t.Run("TypeChanges", func(t *testing.T) {
		h.put("/typed", "v")
		h.put("/typed", "v", overwrite, secure)
		if p := h.get("/typed"); p.Type != types.ParameterTypeSecureString || *p.Value != "v" {
			t.Errorf("%s %s", p.Type, *p.Value)
		}
		if p := h.get("/typed:1"); p.Type != types.ParameterTypeString || *p.Selector != ":1" {
			t.Errorf("%s %s", p.Type, *p.Selector)
		}
		h.put("/typed", "v", overwrite)
	})
	big := strings.Repeat("x", 4097)
	for _, c := range []struct {
		name       string
		in         *ssm.PutParameterInput
		code, text string
	}{
		{"NotQualified", input("a/b", "v"), "ValidationException", "Parameter name must be a fully qualified name."},
		{"Reserved", input("/aws/x", "v"), "AccessDeniedException", "No access to reserved parameter name: /aws/x."},
		{"PrefixAWS", input("AwsThing", "v"), "ValidationException", `can't be prefixed with "aws" or "ssm" (case-insensitive).`},
		{"PrefixSSM", input("/ssm/x/y", "v"), "ValidationException", `can't be prefixed with "ssm"`},
		{"InnerSpace", input("/a b", "v"), "ValidationException", "sub-paths divided by slash symbol"},
		{"TrailingSlash", input("/a/", "v"), "ValidationException", "sub-paths divided by slash symbol"},
		{"Colon", input("a:1", "v"), "ValidationException", "sub-paths"},
		{"SixteenLevels", input(strings.Repeat("/l", 16), "v"), "HierarchyLevelLimitExceededException", "maximum of 15 levels"},
		{"LongName", input("/"+strings.Repeat("n", 980), "v"), "ValidationException", "1011 characters"},
		{"NoType", input("/n", "v", untyped), "ValidationException", "A parameter type is required when you create a parameter."},
		{"NoValue", input("/n", ""), "ValidationException", "Member must have length greater than or equal to 1"},
		{"Nested", input("/n", "a{{ssm:b}}"), "ValidationException", `Parameter value can't nest another parameter. Do not use "{{}}" in the value.`},
		{"TooLargeForStandard", input("/n", big), "ValidationException", "Standard tier parameters support a maximum parameter value of 4096 characters. To create a larger parameter value"},
		{"TooLargeForAdvanced", input("/n", big+big, inAdvanced), "ValidationException", "a maximum parameter value of 8192 characters"},
		{"KeyOfString", input("/n", "v", func(in *ssm.PutParameterInput) { in.KeyId = aws.String("alias/x") }), "ValidationException", "KeyId is required for SecureString type parameter only."},
		{"NoKey", input("/n", "v", secure, func(in *ssm.PutParameterInput) { in.KeyId = aws.String("alias/none") }), "InvalidKeyId",
			"Alias arn:aws:kms:us-east-1:111122223333:alias/none is not found. (Service: AWSKMS; Status Code: 400; Error Code: NotFoundException"},
		{"DataType", input("/n", "v", func(in *ssm.PutParameterInput) { in.DataType = aws.String("TEXT") }), "ValidationException", "The following data type is not supported: TEXT"},
		{"ImageList", input("/n", "v", func(in *ssm.PutParameterInput) {
			in.DataType, in.Type = aws.String("aws:ec2:image"), types.ParameterTypeStringList
		}), "ValidationException", "only supported for parameters of the type String"},
		{"Pattern", input("/n", "v", func(in *ssm.PutParameterInput) { in.AllowedPattern = aws.String("(") }), "InvalidAllowedPatternException", "regular expression"},
		{"TagsAndOverwrite", input("/n", "v", overwrite, func(in *ssm.PutParameterInput) { in.Tags = []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}} }), "ValidationException",
			"Invalid request: tags and overwrite can't be used together."},
		{"TagOfAWS", input("/n", "v", func(in *ssm.PutParameterInput) {
			in.Tags = []types.Tag{{Key: aws.String("aws:k"), Value: aws.String("v")}}
		}), "ValidationException", "reserved"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := h.PutParameter(t.Context(), c.in)
			wantError(t, err, c.code, c.text)
		})
	}
	t.Run("FifteenLevels", func(t *testing.T) { h.put(strings.Repeat("/l", 15), "v") })
	t.Run("PatternThatLooksAhead", func(t *testing.T) {
		pattern := func(in *ssm.PutParameterInput) { in.AllowedPattern = aws.String(`(?=.*\d)[a-z0-9]+`) }
		h.put("/ahead", "a1", pattern)
		_, err := h.PutParameter(t.Context(), input("/ahead2", "aa", pattern))
		wantError(t, err, "ParameterPatternMismatchException", "allowedPattern")
	})
}

// TestTiers holds the tiers against AWS's rules.
func TestTiers(t *testing.T) {
	h := start(t)
	big := strings.Repeat("x", 5000)
	tier := func(tier types.ParameterTier) func(*ssm.PutParameterInput) {
		return func(in *ssm.PutParameterInput) { in.Tier = tier }
	}
	if out := h.put("/small", "v", tier(types.ParameterTierIntelligentTiering)); out.Tier != types.ParameterTierStandard {
		t.Errorf("a small one is %s", out.Tier)
	}
	if out := h.put("/small", big, overwrite, tier(types.ParameterTierIntelligentTiering)); out.Tier != types.ParameterTierAdvanced {
		t.Errorf("a large one is %s", out.Tier)
	}
	_, err := h.PutParameter(t.Context(), input("/small", "v", overwrite, tier(types.ParameterTierStandard)))
	wantError(t, err, "ValidationException", "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the advanced-parameter tier to the standard-parameter tier.")
	if out := h.put("/small", "v", overwrite); out.Tier != types.ParameterTierAdvanced {
		t.Errorf("an advanced one becomes %s", out.Tier)
	}

	setting := aws.String("arn:aws:ssm:us-east-1:" + home + ":servicesetting/ssm/parameter-store/default-parameter-tier")
	got := must(h.GetServiceSetting(t.Context(), &ssm.GetServiceSettingInput{SettingId: setting}))(t).ServiceSetting
	if *got.SettingValue != "Standard" || *got.Status != "Default" || *got.LastModifiedUser != "System" || *got.ARN != *setting || *got.SettingId != "/ssm/parameter-store/default-parameter-tier" {
		t.Errorf("GetServiceSetting = %+v", got)
	}
	must(h.UpdateServiceSetting(t.Context(), &ssm.UpdateServiceSettingInput{SettingId: setting, SettingValue: aws.String("Advanced")}))(t)
	if out := h.put("/byDefault", "v"); out.Tier != types.ParameterTierAdvanced {
		t.Errorf("the default is %s", out.Tier)
	}
	got = must(h.ResetServiceSetting(t.Context(), &ssm.ResetServiceSettingInput{SettingId: setting}))(t).ServiceSetting
	if *got.SettingValue != "Standard" || *got.Status != "Default" {
		t.Errorf("ResetServiceSetting = %+v", got)
	}
	if out := h.put("/byDefault2", "v"); out.Tier != types.ParameterTierStandard {
		t.Errorf("the default is %s", out.Tier)
	}
	_, err = h.UpdateServiceSetting(t.Context(), &ssm.UpdateServiceSettingInput{SettingId: setting, SettingValue: aws.String("Gold")})
	wantError(t, err, "ValidationException", "[Standard, Advanced, Intelligent-Tiering]")
	_, err = h.GetServiceSetting(t.Context(), &ssm.GetServiceSettingInput{SettingId: aws.String("/ssm/other")})
	wantError(t, err, "ServiceSettingNotFound", "The specified service setting wasn't found.")
	must(h.UpdateServiceSetting(t.Context(), &ssm.UpdateServiceSettingInput{SettingId: aws.String("/ssm/parameter-store/high-throughput-enabled"), SettingValue: aws.String("true")}))(t)
}

// TestVersions reads by versions, labels and ARNs.
func TestVersions(t *testing.T) {
	h := start(t)
	for i := range 3 {
		h.put("/v/a", fmt.Sprint("v", i+1), overwrite)
		h.Advance(time.Minute)
	}
	if out := h.label("/v/a", 1, "prod", "aws-x", "1st", "a/b", "ok_1.-"); !cmp.Equal(out.InvalidLabels, []string{"1st", "a/b", "aws-x"}) || out.ParameterVersion != 1 {
		t.Errorf("LabelParameterVersion = %+v", out)
	}
	for name, want := range map[string]string{"/v/a": "v3 ", "/v/a:1": "v1 :1", "/v/a:prod": "v1 :prod", prefix + "/v/a:2": "v2 :2", prefix + "/v/a": "v3 "} {
		p := h.get(name)
		if got := *p.Value + " " + aws.ToString(p.Selector); got != want || *p.Name != "/v/a" {
			t.Errorf("%s: %s %q, want %q", name, *p.Name, got, want)
		}
	}
	h.label("/v/a", 2, "prod") // moves
	if p := h.get("/v/a:prod"); *p.Value != "v2" {
		t.Errorf("prod is %s", *p.Value)
	}
	history := must(h.GetParameterHistory(t.Context(), &ssm.GetParameterHistoryInput{Name: aws.String("/v/a"), MaxResults: aws.Int32(2)}))(t)
	rest := must(h.GetParameterHistory(t.Context(), &ssm.GetParameterHistoryInput{Name: aws.String("/v/a"), MaxResults: aws.Int32(2), NextToken: history.NextToken}))(t)
	var got []string
	for _, v := range append(history.Parameters, rest.Parameters...) {
		got = append(got, fmt.Sprint(v.Version, *v.Value, v.Labels, v.LastModifiedDate.Sub(epoch)))
	}
	if want := []string{"1v1[ok_1.-] 0s", "2v2[prod] 1m0s", "3v3[] 2m0s"}; !cmp.Equal(got, want) || rest.NextToken != nil {
		t.Errorf("GetParameterHistory = %v", got)
	}
	un := must(h.UnlabelParameterVersion(t.Context(), &ssm.UnlabelParameterVersionInput{Name: aws.String("/v/a"), ParameterVersion: aws.Int64(2), Labels: []string{"prod", "none"}}))(t)
	if !cmp.Equal(un.RemovedLabels, []string{"prod"}) || !cmp.Equal(un.InvalidLabels, []string{"none"}) {
		t.Errorf("UnlabelParameterVersion = %+v", un)
	}
	read := func(name string) error {
		_, err := h.GetParameter(t.Context(), &ssm.GetParameterInput{Name: &name})
		return err
	}
	wantError(t, read("/v/a:9"), "ParameterVersionNotFound", "Systems Manager could not find version 9 of /v/a. Verify the version and try again.")
	wantError(t, read("/v/a:prod"), "ParameterVersionNotFound", "Systems Manager could not find label prod for parameter /v/a. Verify the label name and try again.")
	wantError(t, read("/v/a:1:2"), "ValidationException", "Please use correct syntax for referencing a version/label  <name>:<version/label>")
	wantError(t, read("/v//a"), "ValidationException", "sub-paths divided by slash symbol")
	wantError(t, read("v/a"), "ValidationException", "sub-paths divided by slash symbol")
	wantError(t, read("/v/none"), "ParameterNotFound", "/v/none")
	wantError(t, read("arn:aws:ssm:eu-west-1:"+home+":parameter/v/a"), "ValidationException", "ARN")
	_, err := h.LabelParameterVersion(t.Context(), &ssm.LabelParameterVersionInput{Name: aws.String("/v/a"), Labels: strings.Fields("a b c d e f g h i j")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.LabelParameterVersion(t.Context(), &ssm.LabelParameterVersionInput{Name: aws.String("/v/a"), Labels: []string{"k"}})
	wantError(t, err, "ParameterVersionLabelLimitExceeded", "A parameter version can have maximum 10 labels.Move one or more labels to another version and try again.")
	_, err = h.LabelParameterVersion(t.Context(), &ssm.LabelParameterVersionInput{Name: aws.String("/v/a"), ParameterVersion: aws.Int64(7), Labels: []string{"k"}})
	wantError(t, err, "ParameterVersionNotFound", "version 7 of /v/a")

	out := must(h.GetParameters(t.Context(), &ssm.GetParametersInput{Names: []string{"/v/none", "/v/a:2", "/v/a", "/v/a:99"}}))(t)
	var names []string
	for _, p := range out.Parameters {
		names = append(names, *p.Name+aws.ToString(p.Selector))
	}
	if !cmp.Equal(names, []string{"/v/a", "/v/a:2"}) || !cmp.Equal(out.InvalidParameters, []string{"/v/a:99", "/v/none"}) {
		t.Errorf("GetParameters = %v, %v", names, out.InvalidParameters)
	}
}

// TestHundredVersions drops the oldest version, unless it has a label.
func TestHundredVersions(t *testing.T) {
	h := start(t)
	for range 100 {
		h.put("/v", "x", overwrite)
	}
	h.label("/v", 1, "first")
	_, err := h.PutParameter(t.Context(), input("/v", "x", overwrite))
	wantError(t, err, "ParameterMaxVersionLimitExceeded", "You attempted to create a new version of /v by calling the PutParameter API with the overwrite flag. Version 1, the oldest version, can't be deleted "+
		"because it has a label associated with it. Move the label to another version of the parameter, and try again.")
	h.label("/v", 50, "first")
	if out := h.put("/v", "x", overwrite); out.Version != 101 {
		t.Errorf("version %d", out.Version)
	}
	_, err = h.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("/v:1")})
	wantError(t, err, "ParameterVersionNotFound", "version 1 of /v")
	if n := len(must(h.GetParameterHistory(t.Context(), &ssm.GetParameterHistoryInput{Name: aws.String("/v")}))(t).Parameters); n != 50 {
		t.Errorf("a page of history has %d versions", n)
	}
	must(h.DeleteParameter(t.Context(), &ssm.DeleteParameterInput{Name: aws.String("/v")}))(t)
	_, err = h.DeleteParameter(t.Context(), &ssm.DeleteParameterInput{Name: aws.String("/v")})
	wantError(t, err, "ParameterNotFound", "")
	if out := h.put("/v", "x"); out.Version != 1 {
		t.Errorf("made again as version %d", out.Version)
	}
	out := must(h.DeleteParameters(t.Context(), &ssm.DeleteParametersInput{Names: []string{"/v", "/w"}}))(t)
	if !cmp.Equal(out.DeletedParameters, []string{"/v"}) || !cmp.Equal(out.InvalidParameters, []string{"/w"}) {
		t.Errorf("DeleteParameters = %+v", out)
	}
}

// TestConcurrentPuts has many overwrite one parameter at once: each makes a version of its own, and none is lost.
func TestConcurrentPuts(t *testing.T) {
	h := start(t)
	var writers sync.WaitGroup
	var mu sync.Mutex
	made := make(map[int64]string)
	for w := range 6 {
		writers.Go(func() {
			for i := range 10 {
				value := fmt.Sprint(w, "-", i)
				out, err := h.PutParameter(t.Context(), input("/c", value, overwrite))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				made[out.Version] = value
				mu.Unlock()
				if p, err := h.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("/c")}); err != nil || p.Parameter.Version < out.Version {
					t.Errorf("after version %d was put: %v, %v", out.Version, p, err)
				}
			}
		})
	}
	writers.Wait()
	in := &ssm.GetParameterHistoryInput{Name: aws.String("/c"), MaxResults: aws.Int32(50)}
	n := int64(0)
	for {
		out := must(h.GetParameterHistory(t.Context(), in))(t)
		for _, v := range out.Parameters {
			if n++; v.Version != n || *v.Value != made[n] {
				t.Errorf("version %d is %d, %s, want %s", n, v.Version, *v.Value, made[n])
			}
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	if n != 60 || len(made) != 60 {
		t.Errorf("%d versions, %d answers", n, len(made))
	}
}

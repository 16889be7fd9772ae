package lambda_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	api "github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/internal/walk"
)

// walked is a request of an operation, and the permission that it needs.
type walked struct {
	name, action, on string
	also             string // another statement, for what the operation needs beside
	run              func(h *house, c *lambda.Client) error
}

func answer[T any](_ T, err error) error { return err }

const passing = `,{"Effect":"Allow","Action":"iam:PassRole","Resource":"` + roleARN + `","Condition":{"StringEquals":{"iam:PassedToService":"lambda.amazonaws.com"}}}`

var f = aws.String("f")

var walks = []walked{
	{"CreateFunction", "lambda:CreateFunction", functionARN + "f", passing, func(h *house, c *lambda.Client) error {
		return answer(c.CreateFunction(h.t.Context(), input("f")))
	}},
	{"GetFunction", "lambda:GetFunction", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.GetFunction(h.t.Context(), &lambda.GetFunctionInput{FunctionName: f}))
	}},
	{"GetFunctionConfiguration", "lambda:GetFunctionConfiguration", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.GetFunctionConfiguration(h.t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: f}))
	}},
	{"ListFunctions", "lambda:ListFunctions", "*", "", func(h *house, c *lambda.Client) error {
		return answer(c.ListFunctions(h.t.Context(), &lambda.ListFunctionsInput{}))
	}},
	{"UpdateFunctionCode", "lambda:UpdateFunctionCode", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.UpdateFunctionCode(h.t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: f, ZipFile: zipOf("bootstrap", "other")}))
	}},
	{"UpdateFunctionConfiguration", "lambda:UpdateFunctionConfiguration", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.UpdateFunctionConfiguration(h.t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: f, Timeout: aws.Int32(5)}))
	}},
	{"PublishVersion", "lambda:PublishVersion", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.PublishVersion(h.t.Context(), &lambda.PublishVersionInput{FunctionName: f}))
	}},
	{"ListVersionsByFunction", "lambda:ListVersionsByFunction", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.ListVersionsByFunction(h.t.Context(), &lambda.ListVersionsByFunctionInput{FunctionName: f}))
	}},
	{"CreateAlias", "lambda:CreateAlias", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.CreateAlias(h.t.Context(), &lambda.CreateAliasInput{FunctionName: f, Name: aws.String("a"), FunctionVersion: aws.String("1")}))
	}},
	{"GetAlias", "lambda:GetAlias", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.GetAlias(h.t.Context(), &lambda.GetAliasInput{FunctionName: f, Name: aws.String("a")}))
	}},
	{"UpdateAlias", "lambda:UpdateAlias", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.UpdateAlias(h.t.Context(), &lambda.UpdateAliasInput{FunctionName: f, Name: aws.String("a"), Description: aws.String("d")}))
	}},
	{"ListAliases", "lambda:ListAliases", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.ListAliases(h.t.Context(), &lambda.ListAliasesInput{FunctionName: f}))
	}},
	{"AddPermission", "lambda:AddPermission", functionARN + "f:a", "", func(h *house, c *lambda.Client) error {
		return answer(c.AddPermission(h.t.Context(), &lambda.AddPermissionInput{
			FunctionName: f, Qualifier: aws.String("a"), StatementId: aws.String("s"), Action: aws.String("lambda:InvokeFunction"), Principal: aws.String("events.amazonaws.com"),
		}))
	}},
	{"GetPolicy", "lambda:GetPolicy", functionARN + "f:a", "", func(h *house, c *lambda.Client) error {
		return answer(c.GetPolicy(h.t.Context(), &lambda.GetPolicyInput{FunctionName: f, Qualifier: aws.String("a")}))
	}},
	{"RemovePermission", "lambda:RemovePermission", functionARN + "f:a", "", func(h *house, c *lambda.Client) error {
		return answer(c.RemovePermission(h.t.Context(), &lambda.RemovePermissionInput{FunctionName: f, Qualifier: aws.String("a"), StatementId: aws.String("s")}))
	}},
	{"PutFunctionConcurrency", "lambda:PutFunctionConcurrency", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.PutFunctionConcurrency(h.t.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: f, ReservedConcurrentExecutions: aws.Int32(5)}))
	}},
	{"GetFunctionConcurrency", "lambda:GetFunctionConcurrency", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.GetFunctionConcurrency(h.t.Context(), &lambda.GetFunctionConcurrencyInput{FunctionName: f}))
	}},
	{"DeleteFunctionConcurrency", "lambda:DeleteFunctionConcurrency", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.DeleteFunctionConcurrency(h.t.Context(), &lambda.DeleteFunctionConcurrencyInput{FunctionName: f}))
	}},
	{"GetAccountSettings", "lambda:GetAccountSettings", "*", "", func(h *house, c *lambda.Client) error {
		return answer(c.GetAccountSettings(h.t.Context(), &lambda.GetAccountSettingsInput{}))
	}},
	{"PutFunctionEventInvokeConfig", "lambda:PutFunctionEventInvokeConfig", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.PutFunctionEventInvokeConfig(h.t.Context(), &lambda.PutFunctionEventInvokeConfigInput{FunctionName: f, MaximumRetryAttempts: aws.Int32(0)}))
	}},
	{"UpdateFunctionEventInvokeConfig", "lambda:UpdateFunctionEventInvokeConfig", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.UpdateFunctionEventInvokeConfig(h.t.Context(), &lambda.UpdateFunctionEventInvokeConfigInput{FunctionName: f, MaximumRetryAttempts: aws.Int32(1)}))
	}},
	{"GetFunctionEventInvokeConfig", "lambda:GetFunctionEventInvokeConfig", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.GetFunctionEventInvokeConfig(h.t.Context(), &lambda.GetFunctionEventInvokeConfigInput{FunctionName: f}))
	}},
	{"ListFunctionEventInvokeConfigs", "lambda:ListFunctionEventInvokeConfigs", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.ListFunctionEventInvokeConfigs(h.t.Context(), &lambda.ListFunctionEventInvokeConfigsInput{FunctionName: f}))
	}},
	{"DeleteFunctionEventInvokeConfig", "lambda:DeleteFunctionEventInvokeConfig", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.DeleteFunctionEventInvokeConfig(h.t.Context(), &lambda.DeleteFunctionEventInvokeConfigInput{FunctionName: f}))
	}},
	{"CreateFunctionUrlConfig", "lambda:CreateFunctionUrlConfig", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.CreateFunctionUrlConfig(h.t.Context(), &lambda.CreateFunctionUrlConfigInput{FunctionName: f, AuthType: types.FunctionUrlAuthTypeNone}))
	}},
	{"GetFunctionUrlConfig", "lambda:GetFunctionUrlConfig", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.GetFunctionUrlConfig(h.t.Context(), &lambda.GetFunctionUrlConfigInput{FunctionName: f}))
	}},
	{"UpdateFunctionUrlConfig", "lambda:UpdateFunctionUrlConfig", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.UpdateFunctionUrlConfig(h.t.Context(), &lambda.UpdateFunctionUrlConfigInput{FunctionName: f, AuthType: types.FunctionUrlAuthTypeAwsIam}))
	}},
	{"ListFunctionUrlConfigs", "lambda:ListFunctionUrlConfigs", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.ListFunctionUrlConfigs(h.t.Context(), &lambda.ListFunctionUrlConfigsInput{FunctionName: f}))
	}},
	{"DeleteFunctionUrlConfig", "lambda:DeleteFunctionUrlConfig", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.DeleteFunctionUrlConfig(h.t.Context(), &lambda.DeleteFunctionUrlConfigInput{FunctionName: f}))
	}},
	{"PutRuntimeManagementConfig", "lambda:PutRuntimeManagementConfig", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.PutRuntimeManagementConfig(h.t.Context(), &lambda.PutRuntimeManagementConfigInput{FunctionName: f, UpdateRuntimeOn: types.UpdateRuntimeOnAuto}))
	}},
	{"GetRuntimeManagementConfig", "lambda:GetRuntimeManagementConfig", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.GetRuntimeManagementConfig(h.t.Context(), &lambda.GetRuntimeManagementConfigInput{FunctionName: f}))
	}},
	{"GetFunctionRecursionConfig", "lambda:GetFunctionRecursionConfig", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.GetFunctionRecursionConfig(h.t.Context(), &lambda.GetFunctionRecursionConfigInput{FunctionName: f}))
	}},
	{"GetFunctionCodeSigningConfig", "lambda:GetFunctionCodeSigningConfig", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.GetFunctionCodeSigningConfig(h.t.Context(), &lambda.GetFunctionCodeSigningConfigInput{FunctionName: f}))
	}},
	{"Invoke", "lambda:InvokeFunction", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.Invoke(h.t.Context(), &lambda.InvokeInput{FunctionName: f, InvocationType: types.InvocationTypeEvent}))
	}},
	{"InvokeAsync", "lambda:InvokeFunction", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.InvokeAsync(h.t.Context(), &lambda.InvokeAsyncInput{FunctionName: f, InvokeArgs: strings.NewReader("{}")}))
	}},
	{"InvokeWithResponseStream", "lambda:InvokeFunction", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.InvokeWithResponseStream(h.t.Context(), &lambda.InvokeWithResponseStreamInput{FunctionName: f, InvocationType: types.ResponseStreamingInvocationTypeDryRun}))
	}},
	{"TagResource", "lambda:TagResource", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.TagResource(h.t.Context(), &lambda.TagResourceInput{Resource: aws.String(functionARN + "f"), Tags: map[string]string{"k": "v"}}))
	}},
	{"ListTags", "lambda:ListTags", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.ListTags(h.t.Context(), &lambda.ListTagsInput{Resource: aws.String(functionARN + "f")}))
	}},
	{"UntagResource", "lambda:UntagResource", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.UntagResource(h.t.Context(), &lambda.UntagResourceInput{Resource: aws.String(functionARN + "f"), TagKeys: []string{"k"}}))
	}},
	{"PublishLayerVersion", "lambda:PublishLayerVersion", layerARN + "l", "", func(h *house, c *lambda.Client) error {
		return answer(c.PublishLayerVersion(h.t.Context(), &lambda.PublishLayerVersionInput{LayerName: aws.String("l"), Content: &types.LayerVersionContentInput{ZipFile: zipOf("f", "x")}}))
	}},
	{"GetLayerVersion", "lambda:GetLayerVersion", layerARN + "l:1", "", func(h *house, c *lambda.Client) error {
		return answer(c.GetLayerVersion(h.t.Context(), &lambda.GetLayerVersionInput{LayerName: aws.String("l"), VersionNumber: aws.Int64(1)}))
	}},
	{"GetLayerVersionByArn", "lambda:GetLayerVersion", layerARN + "l:1", "", func(h *house, c *lambda.Client) error {
		return answer(c.GetLayerVersionByArn(h.t.Context(), &lambda.GetLayerVersionByArnInput{Arn: aws.String(layerARN + "l:1")}))
	}},
	{"ListLayers", "lambda:ListLayers", "*", "", func(h *house, c *lambda.Client) error {
		return answer(c.ListLayers(h.t.Context(), &lambda.ListLayersInput{}))
	}},
	{"ListLayerVersions", "lambda:ListLayerVersions", "*", "", func(h *house, c *lambda.Client) error {
		return answer(c.ListLayerVersions(h.t.Context(), &lambda.ListLayerVersionsInput{LayerName: aws.String("l")}))
	}},
	{"AddLayerVersionPermission", "lambda:AddLayerVersionPermission", layerARN + "l:1", "", func(h *house, c *lambda.Client) error {
		return answer(c.AddLayerVersionPermission(h.t.Context(), &lambda.AddLayerVersionPermissionInput{
			LayerName: aws.String("l"), VersionNumber: aws.Int64(1), StatementId: aws.String("s"), Action: aws.String("lambda:GetLayerVersion"), Principal: aws.String(other),
		}))
	}},
	{"GetLayerVersionPolicy", "lambda:GetLayerVersionPolicy", layerARN + "l:1", "", func(h *house, c *lambda.Client) error {
		return answer(c.GetLayerVersionPolicy(h.t.Context(), &lambda.GetLayerVersionPolicyInput{LayerName: aws.String("l"), VersionNumber: aws.Int64(1)}))
	}},
	{"RemoveLayerVersionPermission", "lambda:RemoveLayerVersionPermission", layerARN + "l:1", "", func(h *house, c *lambda.Client) error {
		return answer(c.RemoveLayerVersionPermission(h.t.Context(), &lambda.RemoveLayerVersionPermissionInput{
			LayerName: aws.String("l"), VersionNumber: aws.Int64(1), StatementId: aws.String("s"),
		}))
	}},
	{"DeleteLayerVersion", "lambda:DeleteLayerVersion", layerARN + "l:1", "", func(h *house, c *lambda.Client) error {
		return answer(c.DeleteLayerVersion(h.t.Context(), &lambda.DeleteLayerVersionInput{LayerName: aws.String("l"), VersionNumber: aws.Int64(1)}))
	}},
	{"DeleteAlias", "lambda:DeleteAlias", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.DeleteAlias(h.t.Context(), &lambda.DeleteAliasInput{FunctionName: f, Name: aws.String("a")}))
	}},
	{"DeleteFunction", "lambda:DeleteFunction", functionARN + "f", "", func(h *house, c *lambda.Client) error {
		return answer(c.DeleteFunction(h.t.Context(), &lambda.DeleteFunctionInput{FunctionName: f}))
	}},
}

// inTrail is what an operation is called in audit records: CloudTrail has names of its own for most of Lambda's.
func inTrail(operation string) string {
	for _, op := range api.Operations() {
		if op.Name == operation && op.EventName != "" {
			return op.EventName
		}
	}
	return operation
}

// TestWalk carries out every operation with just the permission it needs, sees it refused with all others, and finds both on record.
func TestWalk(t *testing.T) {
	h := start(t)
	var done []string
	for _, o := range walks {
		t.Run(o.name, func(t *testing.T) {
			who := "walker-" + o.name
			others := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotAction":"` + o.action + `","Resource":"*"},
				{"Effect":"Allow","Action":"` + o.action + `","Resource":"arn:aws:lambda:us-east-1:` + home + `:*:elsewhere*"}]}`
			err := o.run(h, lambda.NewFromConfig(h.User(home, who, others)))
			wantError(t, err, "AccessDeniedException", 403, "is not authorized to perform: "+o.action)
			if o.also != "" {
				err := o.run(h, lambda.NewFromConfig(h.User(home, who, allow(o.action, o.on))))
				wantError(t, err, "AccessDeniedException", 403, "is not authorized to perform: iam:PassRole on resource: "+roleARN)
			}
			just := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"` + o.action + `","Resource":"` + o.on + `"}` + o.also + `]}`
			if err := o.run(h, lambda.NewFromConfig(h.User(home, who, just))); err != nil {
				t.Fatal(err)
			}
			for _, code := range []string{"AccessDenied", ""} {
				e, found := h.recorded(who, inTrail(o.name), code)
				if !found {
					t.Errorf("there is no record of %s ending with %q", o.name, code)
					continue
				}
				if e.EventSource != "lambda.amazonaws.com" || e.ReadOnly != (o.name[:3] == "Get" || o.name[:4] == "List") {
					t.Errorf("recorded as %s", e.Raw)
				}
				if o.on != "*" && !slices.ContainsFunc(e.Resources, func(r struct{ AccountID, Type, ARN string }) bool { return r.ARN == o.on && r.AccountID == home }) {
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

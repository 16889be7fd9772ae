package lambda_test

import (
	"encoding/json"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-cmp/cmp"
)

func TestPermissions(t *testing.T) {
	h := start(t)
	h.create("f")
	add := func(sid, principal string, options ...func(*lambda.AddPermissionInput)) (*lambda.AddPermissionOutput, error) {
		in := &lambda.AddPermissionInput{FunctionName: f, StatementId: &sid, Action: aws.String("lambda:InvokeFunction"), Principal: &principal}
		for _, o := range options {
			o(in)
		}
		return h.AddPermission(t.Context(), in)
	}
	out := must(add("s", "events.amazonaws.com", func(in *lambda.AddPermissionInput) {
		in.SourceArn, in.SourceAccount = aws.String("arn:aws:events:us-east-1:"+home+":rule/r"), aws.String(home)
	}))(t)
	want := `{"Sid":"s","Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"` + functionARN +
		`f","Condition":{"ArnLike":{"AWS:SourceArn":"arn:aws:events:us-east-1:` + home + `:rule/r"},"StringEquals":{"AWS:SourceAccount":"` + home + `"}}}`
	if d := cmp.Diff(want, *out.Statement); d != "" {
		t.Errorf("the statement (-want +got):\n%s", d)
	}
	const invalid = "InvalidParameterValueException"
	_, err := add("s", "events.amazonaws.com")
	wantError(t, err, "ResourceConflictException", 409, "The statement id (s) provided already exists.")
	for _, who := range []string{"nobody", "arn:aws:iam::" + home + ":user/nobody", "arn:aws:s3:::bucket"} {
		_, err = add("t", who)
		wantError(t, err, invalid, 400, "The provided principal was invalid.")
	}
	_, err = add("t", other, func(in *lambda.AddPermissionInput) { in.FunctionUrlAuthType = types.FunctionUrlAuthTypeNone })
	wantError(t, err, invalid, 400, "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action")
	_, err = add("t", other, func(in *lambda.AddPermissionInput) { in.Qualifier = aws.String("$LATEST") })
	wantError(t, err, invalid, 400, "We currently do not support adding policies for $LATEST.")
	_, err = add("t", other, func(in *lambda.AddPermissionInput) { in.Qualifier = aws.String("nix") })
	wantError(t, err, "ResourceNotFoundException", 404, "Cannot find alias arn: "+functionARN+"f:nix")
	_, err = add("t", other, func(in *lambda.AddPermissionInput) { in.RevisionId = aws.String("x") })
	wantError(t, err, "PreconditionFailedException", 412, "The Revision Id provided does not match")

	// Another account reads it when it may, and nothing else.
	stranger := lambda.NewFromConfig(h.User(other, "ann", allow("*", "*")))
	read := func() error {
		_, err := stranger.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String(functionARN + "f")})
		return err
	}
	wantError(t, read(), "AccessDeniedException", 403, "lambda:GetFunctionConfiguration")
	must(add("t", other, func(in *lambda.AddPermissionInput) { in.Action = aws.String("lambda:*") }))(t)
	if err := read(); err != nil {
		t.Error(err)
	}
	_, err = stranger.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String(functionARN + "f"), Timeout: aws.Int32(5)})
	wantError(t, err, "AccessDeniedException", 403, "lambda:UpdateFunctionConfiguration")
	_, err = stranger.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String(functionARN + "g")})
	wantError(t, err, "AccessDeniedException", 403, "lambda:GetFunctionConfiguration")

	var p struct {
		ID        string `json:"Id"`
		Statement []struct{ Sid string }
	}
	got := must(h.GetPolicy(t.Context(), &lambda.GetPolicyInput{FunctionName: f}))(t)
	if err := json.Unmarshal([]byte(*got.Policy), &p); err != nil || p.ID != "default" || len(p.Statement) != 2 {
		t.Errorf("the policy is %s, %v", *got.Policy, err)
	}
	_, err = h.RemovePermission(t.Context(), &lambda.RemovePermissionInput{FunctionName: f, StatementId: aws.String("u")})
	wantError(t, err, "ResourceNotFoundException", 404, "Statement u is not found in resource policy.")
	for _, sid := range []string{"s", "t"} {
		must(h.RemovePermission(t.Context(), &lambda.RemovePermissionInput{FunctionName: f, StatementId: &sid}))(t)
	}
	_, err = h.GetPolicy(t.Context(), &lambda.GetPolicyInput{FunctionName: f})
	wantError(t, err, "ResourceNotFoundException", 404, "The resource you requested does not exist.")
	wantError(t, read(), "AccessDeniedException", 403, "lambda:GetFunctionConfiguration")

	// Who may add what is asked by whom it is for.
	bob := lambda.NewFromConfig(h.User(home, "bob", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"lambda:AddPermission","Resource":"*","Condition":{"StringEquals":{"lambda:Principal":"events.amazonaws.com"}}}]}`))
	for principal, ok := range map[string]bool{"events.amazonaws.com": true, "sns.amazonaws.com": false} {
		_, err := bob.AddPermission(t.Context(), &lambda.AddPermissionInput{FunctionName: f, StatementId: aws.String("b"), Action: aws.String("lambda:InvokeFunction"), Principal: &principal})
		if ok && err != nil {
			t.Error(err)
		} else if !ok {
			wantError(t, err, "AccessDeniedException", 403, "lambda:AddPermission")
		}
	}
}

func TestLayers(t *testing.T) {
	h := start(t)
	publish := func(text string) *lambda.PublishLayerVersionOutput {
		return must(h.PublishLayerVersion(t.Context(), &lambda.PublishLayerVersionInput{
			LayerName: aws.String("l"), Content: &types.LayerVersionContentInput{ZipFile: zipOf("python/l.py", text)}, CompatibleRuntimes: []types.Runtime{types.RuntimePython312},
		}))(t)
	}
	one := publish("one")
	if two := publish("two"); one.Version != 1 || two.Version != 2 || *two.LayerVersionArn != layerARN+"l:2" || *two.LayerArn != layerARN+"l" {
		t.Errorf("published %+v", two)
	}
	if _, status := download(t, *one.Content.Location); status != 200 {
		t.Errorf("the layer answers %d", status)
	}
	versions := must(h.ListLayerVersions(t.Context(), &lambda.ListLayerVersionsInput{LayerName: aws.String("l")}))(t).LayerVersions
	if len(versions) != 2 || versions[0].Version != 2 {
		t.Errorf("listed %+v", versions)
	}
	for runtime, want := range map[types.Runtime]int{types.RuntimePython312: 1, types.RuntimeNodejs22x: 0} {
		if got := must(h.ListLayers(t.Context(), &lambda.ListLayersInput{CompatibleRuntime: runtime}))(t).Layers; len(got) != want {
			t.Errorf("%s has %d layers", runtime, len(got))
		}
	}
	uses := func(arns ...string) error {
		_, err := h.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: f, Layers: arns})
		return err
	}
	h.create("f")
	if err := uses(layerARN + "l:1"); err != nil {
		t.Fatal(err)
	}
	wantError(t, uses(layerARN+"l:1", layerARN+"l:2"), "InvalidParameterValueException", 400, "Two different versions of the same layer")
	// A function keeps a layer that is gone.
	must(h.DeleteLayerVersion(t.Context(), &lambda.DeleteLayerVersionInput{LayerName: aws.String("l"), VersionNumber: aws.Int64(1)}))(t)
	_, err := h.GetLayerVersion(t.Context(), &lambda.GetLayerVersionInput{LayerName: aws.String("l"), VersionNumber: aws.Int64(1)})
	wantError(t, err, "ResourceNotFoundException", 404, "The resource you requested does not exist.")
	_, err = h.GetLayerVersion(t.Context(), &lambda.GetLayerVersionInput{LayerName: aws.String("l"), VersionNumber: aws.Int64(0)})
	wantError(t, err, "InvalidParameterValueException", 400, "Layer Version Cannot be less than 1")
	if got := must(h.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: f}))(t).Layers; len(got) != 1 || *got[0].Arn != layerARN+"l:1" {
		t.Errorf("the function has %+v", got)
	}
	if _, status := download(t, *one.Content.Location); status != 200 {
		t.Errorf("the layer of the function answers %d", status)
	}
	if err := uses(); err != nil {
		t.Fatal(err)
	}

	// Another account uses it when it may.
	h.Role(other, "runner", trust)
	stranger := lambda.NewFromConfig(h.User(other, "ann", allow("*", "*")))
	theirs := input("f", func(in *lambda.CreateFunctionInput) {
		in.Role, in.Layers = aws.String("arn:aws:iam::"+other+":role/runner"), []string{layerARN + "l:2"}
	})
	_, err = stranger.CreateFunction(t.Context(), theirs)
	wantError(t, err, "AccessDeniedException", 403, "lambda:GetLayerVersion")
	permit := &lambda.AddLayerVersionPermissionInput{
		LayerName: aws.String("l"), VersionNumber: aws.Int64(2), StatementId: aws.String("s"), Action: aws.String("lambda:GetLayerVersion"), Principal: aws.String(other),
	}
	must(h.AddLayerVersionPermission(t.Context(), permit))(t)
	_, err = h.AddLayerVersionPermission(t.Context(), permit)
	wantError(t, err, "ResourceConflictException", 409, "The statement id (s) provided already exists.")
	must(stranger.CreateFunction(t.Context(), theirs))(t)
	must(h.RemoveLayerVersionPermission(t.Context(), &lambda.RemoveLayerVersionPermissionInput{LayerName: aws.String("l"), VersionNumber: aws.Int64(2), StatementId: aws.String("s")}))(t)
	_, err = h.GetLayerVersionPolicy(t.Context(), &lambda.GetLayerVersionPolicyInput{LayerName: aws.String("l"), VersionNumber: aws.Int64(2)})
	wantError(t, err, "ResourceNotFoundException", 404, "No policy is associated with the given resource.")
}

func TestSettings(t *testing.T) {
	h := start(t)
	h.create("f")
	h.Role(home, "poor", trust)
	put := func(n int32) error {
		_, err := h.PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: f, ReservedConcurrentExecutions: &n})
		return err
	}
	const invalid = "InvalidParameterValueException"
	wantError(t, put(901), invalid, 400, "below its minimum value of [100]")
	if err := put(900); err != nil {
		t.Error(err)
	}
	settings := must(h.GetAccountSettings(t.Context(), &lambda.GetAccountSettingsInput{}))(t)
	if *settings.AccountLimit.UnreservedConcurrentExecutions != 100 || settings.AccountUsage.FunctionCount != 1 || settings.AccountUsage.TotalCodeSize == 0 {
		t.Errorf("the account has %+v, %+v", settings.AccountLimit, settings.AccountUsage)
	}
	_, err := h.PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: aws.String("f:1"), ReservedConcurrentExecutions: aws.Int32(1)})
	wantError(t, err, "ResourceNotFoundException", 404, "Function not found")

	events := func(change func(*lambda.PutFunctionEventInvokeConfigInput)) error {
		in := &lambda.PutFunctionEventInvokeConfigInput{FunctionName: f}
		change(in)
		_, err := h.PutFunctionEventInvokeConfig(t.Context(), in)
		return err
	}
	to := func(arn string) func(*lambda.PutFunctionEventInvokeConfigInput) {
		return func(in *lambda.PutFunctionEventInvokeConfigInput) {
			in.DestinationConfig = &types.DestinationConfig{OnFailure: &types.OnFailure{Destination: &arn}}
		}
	}
	wantError(t, events(func(*lambda.PutFunctionEventInvokeConfigInput) {}), invalid, 400, "You must specify at least one of error handling or destination setting.")
	wantError(t, events(to(functionARN+"f")), invalid, 400, "You can't specify the function as a destination for itself.")
	wantError(t, events(to("arn:aws:kms:us-east-1:"+home+":key/k")), invalid, 400, "The provided destination config DestinationConfig(onSuccess=null, onFailure=OnFailure(destination=arn:aws:kms")
	wantError(t, events(func(in *lambda.PutFunctionEventInvokeConfigInput) {
		in.Qualifier, in.MaximumRetryAttempts = aws.String("nix"), aws.Int32(1)
	}), "ResourceNotFoundException", 404, "The function doesn't exist.")
	_, err = h.GetFunctionEventInvokeConfig(t.Context(), &lambda.GetFunctionEventInvokeConfigInput{FunctionName: f})
	wantError(t, err, "ResourceNotFoundException", 404, "The function "+functionARN+"f:$LATEST doesn't have an EventInvokeConfig")
	if err := events(to("arn:aws:sqs:us-east-1:" + home + ":q")); err != nil {
		t.Error(err)
	}
	updated := must(h.UpdateFunctionEventInvokeConfig(t.Context(), &lambda.UpdateFunctionEventInvokeConfigInput{FunctionName: f, MaximumEventAgeInSeconds: aws.Int32(60)}))(t)
	if *updated.DestinationConfig.OnFailure.Destination != "arn:aws:sqs:us-east-1:"+home+":q" || *updated.MaximumEventAgeInSeconds != 60 {
		t.Errorf("updated to %+v", updated)
	}
	h.create("poor", func(in *lambda.CreateFunctionInput) { in.Role = aws.String("arn:aws:iam::" + home + ":role/poor") })
	wantError(t, events(func(in *lambda.PutFunctionEventInvokeConfigInput) {
		to("arn:aws:sqs:us-east-1:" + home + ":q")(in)
		in.FunctionName = aws.String("poor")
	}), invalid, 400, "The function's execution role does not have permissions to call SendMessage on arn:aws:sqs:us-east-1:"+home+":q")

	url := &lambda.CreateFunctionUrlConfigInput{FunctionName: f, AuthType: types.FunctionUrlAuthTypeAwsIam}
	made := must(h.CreateFunctionUrlConfig(t.Context(), url))(t)
	if made.InvokeMode != types.InvokeModeBuffered || *made.FunctionArn != functionARN+"f" {
		t.Errorf("made %+v", made)
	}
	_, err = h.CreateFunctionUrlConfig(t.Context(), url)
	wantError(t, err, "ResourceConflictException", 409, "FunctionUrlConfig exists for this Lambda function")
	got := must(h.UpdateFunctionUrlConfig(t.Context(), &lambda.UpdateFunctionUrlConfigInput{FunctionName: f, AuthType: types.FunctionUrlAuthTypeNone}))(t)
	if *got.FunctionUrl != *made.FunctionUrl || got.AuthType != types.FunctionUrlAuthTypeNone {
		t.Errorf("updated to %+v", got)
	}
	_, err = h.GetFunctionUrlConfig(t.Context(), &lambda.GetFunctionUrlConfigInput{FunctionName: aws.String("poor")})
	wantError(t, err, "ResourceNotFoundException", 404, "The resource you requested does not exist.")

	_, err = h.TagResource(t.Context(), &lambda.TagResourceInput{Resource: aws.String(functionARN + "f:1"), Tags: map[string]string{"k": "v"}})
	wantError(t, err, "ResourceNotFoundException", 404, "Function not found")
	_, err = h.PutRuntimeManagementConfig(t.Context(), &lambda.PutRuntimeManagementConfigInput{FunctionName: f, UpdateRuntimeOn: types.UpdateRuntimeOnFunctionUpdate})
	wantError(t, err, "NotImplemented", 501, "UpdateRuntimeOn FunctionUpdate")
	_, err = h.CreateEventSourceMapping(t.Context(), &lambda.CreateEventSourceMappingInput{FunctionName: f, EventSourceArn: aws.String("arn:aws:sqs:us-east-1:" + home + ":q")})
	wantError(t, err, "NotImplemented", 501, "lambda:CreateEventSourceMapping")
}

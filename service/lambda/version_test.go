package lambda_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

func TestVersions(t *testing.T) {
	h := start(t)
	created := h.create("f")
	for range 2 {
		if h.publish("f") != "1" {
			t.Error("publishing twice makes two versions")
		}
	}
	h.code("f", "#!/bin/sh\n") // the same
	if h.publish("f") != "1" {
		t.Error("the same code makes another version")
	}
	updated := h.code("f", "two")
	_, err := h.PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: f, CodeSha256: created.CodeSha256})
	wantError(t, err, "InvalidParameterValueException", 400, "is different from current CodeSHA256 in $LATEST ("+*updated.CodeSha256+")")
	_, err = h.PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: f, RevisionId: created.RevisionId})
	wantError(t, err, "PreconditionFailedException", 412, "The Revision Id provided does not match the latest Revision Id.")
	two := must(h.PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: f, RevisionId: updated.RevisionId, Description: aws.String("second")}))(t)
	if *two.Version != "2" || *two.FunctionArn != functionARN+"f:2" || *two.Description != "second" {
		t.Errorf("published %+v", two)
	}
	dry := must(h.UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: f, ZipFile: zipOf("bootstrap", "three"), DryRun: true}))(t)
	if got := must(h.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: f}))(t); *got.CodeSha256 == *dry.CodeSha256 || *got.CodeSha256 != *two.CodeSha256 {
		t.Error("a dry run changes the code")
	}
	must(h.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: f, Timeout: aws.Int32(9)}))(t)
	if got := must(h.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: f, Qualifier: aws.String("2")}))(t); *got.Timeout != 3 {
		t.Errorf("a version changes: %+v", got)
	}
	h.publish("f")
	if got, want := listed(t, h, nil), "$LATEST 1 2 3"; got != want {
		t.Errorf("listed %s, want %s", got, want)
	}
	must(h.CreateAlias(t.Context(), &lambda.CreateAliasInput{FunctionName: f, Name: aws.String("live"), FunctionVersion: aws.String("2")}))(t)
	_, err = h.DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: f, Qualifier: aws.String("2")})
	wantError(t, err, "ResourceConflictException", 409, "Unable to delete version 2 because the following aliases reference it: [live]")
	_, err = h.DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: f, Qualifier: aws.String("$LATEST")})
	wantError(t, err, "InvalidParameterValueException", 400, "$LATEST version cannot be deleted without deleting the function.")
	for range 2 {
		must(h.DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: f, Qualifier: aws.String("3")}))(t)
	}
	if h.publish("f") != "4" {
		t.Error("a number comes again")
	}
	must(h.DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: f}))(t)
	_, err = h.DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: f})
	wantError(t, err, "ResourceNotFoundException", 404, "Function not found: "+functionARN+"f")
	h.create("f")
	if got := listed(t, h, nil); got != "$LATEST" {
		t.Errorf("a new function has the versions %s", got)
	}
	_, err = h.GetAlias(t.Context(), &lambda.GetAliasInput{FunctionName: f, Name: aws.String("live")})
	wantError(t, err, "ResourceNotFoundException", 404, "Cannot find alias arn: "+functionARN+"f:live")
}

func listed(t *testing.T, h *house, size *int32) string {
	t.Helper()
	var versions []string
	for pages := lambda.NewListVersionsByFunctionPaginator(h.Client, &lambda.ListVersionsByFunctionInput{FunctionName: f, MaxItems: size}); pages.HasMorePages(); {
		for _, v := range must(pages.NextPage(t.Context()))(t).Versions {
			versions = append(versions, *v.Version)
		}
	}
	return strings.Join(versions, " ")
}

func TestListFunctions(t *testing.T) {
	h := start(t)
	for i := range 5 {
		h.create(fmt.Sprintf("f%d", i))
	}
	h.publish("f2")
	list := func(in lambda.ListFunctionsInput) string {
		var arns []string
		for pages := lambda.NewListFunctionsPaginator(h.Client, &in); pages.HasMorePages(); {
			for _, c := range must(pages.NextPage(t.Context()))(t).Functions {
				arns = append(arns, strings.TrimPrefix(*c.FunctionArn, functionARN))
			}
		}
		return strings.Join(arns, " ")
	}
	if got, want := list(lambda.ListFunctionsInput{MaxItems: aws.Int32(2)}), "f0 f1 f2 f3 f4"; got != want {
		t.Errorf("listed %s, want %s", got, want)
	}
	if got, want := list(lambda.ListFunctionsInput{MaxItems: aws.Int32(2), FunctionVersion: types.FunctionVersionAll}), "f0:$LATEST f1:$LATEST f2:$LATEST f2:1 f3:$LATEST f4:$LATEST"; got != want {
		t.Errorf("listed %s, want %s", got, want)
	}
	_, err := h.ListFunctions(t.Context(), &lambda.ListFunctionsInput{Marker: aws.String("x")})
	wantError(t, err, "InvalidParameterValueException", 400, "Invalid Marker.")
}

func TestAliases(t *testing.T) {
	h := start(t)
	h.create("f")
	h.publish("f")
	h.code("f", "two")
	h.publish("f")
	create := func(name, version string, weights map[string]float64) error {
		in := &lambda.CreateAliasInput{FunctionName: f, Name: &name, FunctionVersion: &version}
		if weights != nil {
			in.RoutingConfig = &types.AliasRoutingConfiguration{AdditionalVersionWeights: weights}
		}
		_, err := h.CreateAlias(t.Context(), in)
		return err
	}
	if err := create("live", "1", map[string]float64{"2": 0.25}); err != nil {
		t.Fatal(err)
	}
	const invalid = "InvalidParameterValueException"
	wantError(t, create("live", "1", nil), "ResourceConflictException", 409, "Alias already exists: "+functionARN+"f:live")
	wantError(t, create("a", "9", nil), "ResourceNotFoundException", 404, "Function not found: "+functionARN+"f:9")
	wantError(t, create("a", "1", map[string]float64{"9": 0.5}), "ResourceNotFoundException", 404, "Function not found: "+functionARN+"f:9")
	wantError(t, create("a", "1", map[string]float64{"1": 0.5}), invalid, 400, "Function version 1 is already included in routing configuration.")
	wantError(t, create("a", "$LATEST", map[string]float64{"1": 0.5}), invalid, 400, "$LATEST is not supported for an alias pointing to more than 1 version")
	wantError(t, create("a", "1", map[string]float64{"1": 0.5, "2": 0.5}), invalid, 400, "Number of items in AdditionalVersionWeights cannot be greater than 1")
	wantError(t, create("7", "1", nil), "ValidationException", 400, "1 validation error detected")
	got := must(h.GetAlias(t.Context(), &lambda.GetAliasInput{FunctionName: f, Name: aws.String("live")}))(t)
	if *got.AliasArn != functionARN+"f:live" || got.RoutingConfig.AdditionalVersionWeights["2"] != 0.25 {
		t.Errorf("got %+v", got)
	}
	through := must(h.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: f, Qualifier: aws.String("live")}))(t)
	if *through.Version != "1" || *through.FunctionArn != functionARN+"f:live" {
		t.Errorf("the alias is %+v", through)
	}
	_, err := h.UpdateAlias(t.Context(), &lambda.UpdateAliasInput{FunctionName: f, Name: aws.String("live"), RevisionId: aws.String("x")})
	wantError(t, err, "PreconditionFailedException", 412, "The Revision Id provided does not match")
	updated := must(h.UpdateAlias(t.Context(), &lambda.UpdateAliasInput{
		FunctionName: f, Name: aws.String("live"), FunctionVersion: aws.String("2"), RevisionId: got.RevisionId, RoutingConfig: &types.AliasRoutingConfiguration{},
	}))(t)
	if *updated.FunctionVersion != "2" || updated.RoutingConfig != nil || *updated.RevisionId == *got.RevisionId {
		t.Errorf("updated to %+v", updated)
	}
	for version, want := range map[string]int{"1": 0, "2": 1} {
		if got := must(h.ListAliases(t.Context(), &lambda.ListAliasesInput{FunctionName: f, FunctionVersion: &version}))(t).Aliases; len(got) != want {
			t.Errorf("version %s has %d aliases", version, len(got))
		}
	}
	for range 2 {
		must(h.DeleteAlias(t.Context(), &lambda.DeleteAliasInput{FunctionName: f, Name: aws.String("live")}))(t)
	}
	_, err = h.UpdateAlias(t.Context(), &lambda.UpdateAliasInput{FunctionName: f, Name: aws.String("live")})
	wantError(t, err, "ResourceNotFoundException", 404, "Cannot find alias arn: "+functionARN+"f:live")
}

package interop_test

import (
	"errors"
	"testing"

	sdklambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/holdfast-cloud/holdfast/wire"
	"github.com/holdfast-cloud/holdfast/wire/wiretest"
	"github.com/holdfast-cloud/holdfast/wire/wiretest/lambda"
)

func TestRESTJSON(t *testing.T) {
	var d double
	url := serve(t, wire.RESTJSON, &d, lambda.OpInvoke, lambda.OpCreateFunction, lambda.OpListFunctions, lambda.OpDeleteFunction, lambda.OpTagResource, lambda.OpListTags)
	client := sdklambda.NewFromConfig(wiretest.Client(url))

	t.Run("Payload", func(t *testing.T) {
		d = double{
			want: &lambda.InvocationRequest{FunctionName: new("f"), InvocationType: "RequestResponse", LogType: "Tail", Qualifier: new("v-1"), Payload: []byte(`{"a":1}`)},
			out:  &lambda.InvocationResponse{StatusCode: new(int32(202)), FunctionError: new("Unhandled"), ExecutedVersion: new("7"), Payload: []byte(`"x"`)},
		}
		got, err := client.Invoke(t.Context(), &sdklambda.InvokeInput{FunctionName: new("f"), InvocationType: lambdatypes.InvocationTypeRequestResponse,
			LogType: lambdatypes.LogTypeTail, Qualifier: new("v-1"), Payload: []byte(`{"a":1}`)})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "StatusCode", 202, got.StatusCode)
		same(t, "FunctionError", "Unhandled", *got.FunctionError)
		same(t, "Payload", `"x"`, string(got.Payload))
		ours(t, wire.RESTJSON, url, lambda.OpInvoke, &d)
	})
	t.Run("Body", func(t *testing.T) {
		d = double{
			want: &lambda.CreateFunctionRequest{FunctionName: new("f"), Role: new("arn:aws:iam::111122223333:role/r"), Runtime: "python3.13",
				Code: &lambda.FunctionCode{ZipFile: []byte{1, 2, 3}}, Environment: &lambda.Environment{Variables: map[string]string{"AB": "b"}},
				Tags: map[string]string{"k": "v"}, Layers: []string{"arn:aws:lambda:us-east-1:111122223333:layer:l:1"}, Timeout: new(int32(3))},
			out: &lambda.FunctionConfiguration{FunctionName: new("f"), CodeSize: new(int64(1 << 40)), Layers: []lambda.Layer{{Arn: new("l")}}},
		}
		got, err := client.CreateFunction(t.Context(), &sdklambda.CreateFunctionInput{FunctionName: new("f"), Role: new("arn:aws:iam::111122223333:role/r"), Runtime: lambdatypes.RuntimePython313,
			Code: &lambdatypes.FunctionCode{ZipFile: []byte{1, 2, 3}}, Environment: &lambdatypes.Environment{Variables: map[string]string{"AB": "b"}},
			Tags: map[string]string{"k": "v"}, Layers: []string{"arn:aws:lambda:us-east-1:111122223333:layer:l:1"}, Timeout: new(int32(3))})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "CodeSize", int64(1<<40), got.CodeSize)
		same(t, "Layers", "l", *got.Layers[0].Arn)
		ours(t, wire.RESTJSON, url, lambda.OpCreateFunction, &d)
	})
	t.Run("Query", func(t *testing.T) {
		d = double{
			want: &lambda.ListFunctionsRequest{MaxItems: new(int32(5)), Marker: new("m/&=")},
			out:  &lambda.ListFunctionsResponse{NextMarker: new("n"), Functions: []lambda.FunctionConfiguration{{FunctionName: new("f")}}},
		}
		got, err := client.ListFunctions(t.Context(), &sdklambda.ListFunctionsInput{MaxItems: new(int32(5)), Marker: new("m/&=")})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "Functions", "f", *got.Functions[0].FunctionName)
		ours(t, wire.RESTJSON, url, lambda.OpListFunctions, &d)
	})
	t.Run("LabelWithSlashes", func(t *testing.T) {
		arn := "arn:aws:lambda:us-east-1:111122223333:function:f"
		d = double{want: &lambda.ListTagsRequest{Resource: &arn}, out: &lambda.ListTagsResponse{Tags: map[string]string{"a": "b"}}}
		got, err := client.ListTags(t.Context(), &sdklambda.ListTagsInput{Resource: &arn})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "Tags", map[string]string{"a": "b"}, got.Tags)
		ours(t, wire.RESTJSON, url, lambda.OpListTags, &d)
	})
	t.Run("NoContent", func(t *testing.T) {
		arn := "arn:aws:lambda:us-east-1:111122223333:function:f"
		d = double{want: &lambda.TagResourceRequest{Resource: &arn, Tags: map[string]string{"a": "b"}}, out: lambda.OpTagResource.NewOutput()}
		if _, err := client.TagResource(t.Context(), &sdklambda.TagResourceInput{Resource: &arn, Tags: map[string]string{"a": "b"}}); err != nil {
			t.Fatal(err)
		}
		ours(t, wire.RESTJSON, url, lambda.OpTagResource, &d)
	})
	t.Run("ModeledError", func(t *testing.T) {
		d = double{want: &lambda.InvocationRequest{FunctionName: new("f")}, err: &lambda.TooManyRequestsException{Message: "slow", RetryAfterSeconds: new("9"), Type: new("User")}}
		_, err := client.Invoke(t.Context(), &sdklambda.InvokeInput{FunctionName: new("f")})
		e, ok := errors.AsType[*lambdatypes.TooManyRequestsException](err)
		if !ok || e.ErrorMessage() != "slow" || e.RetryAfterSeconds == nil || *e.RetryAfterSeconds != "9" {
			t.Errorf("Invoke: %v, want TooManyRequestsException: slow, after 9 seconds", err)
		}
		ours(t, wire.RESTJSON, url, lambda.OpInvoke, &d)
	})
	t.Run("PlainError", func(t *testing.T) {
		d = double{want: &lambda.InvocationRequest{FunctionName: new("f")}, err: &wire.Error{Code: "AccessDeniedException", Message: "no", Status: 403}}
		_, err := client.Invoke(t.Context(), &sdklambda.InvokeInput{FunctionName: new("f")})
		isError(t, err, "AccessDeniedException", "no")
		ours(t, wire.RESTJSON, url, lambda.OpInvoke, &d)
	})
}

package lambda_test

import (
	"context"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

//go:embed testdata/handler.py
var handler string

// python makes a function of testdata/handler.py, and skips the test where the host has no Python.
func (h *house) python(name string, options ...func(*lambda.CreateFunctionInput)) *lambda.CreateFunctionOutput {
	h.t.Helper()
	if !h.hasPython() {
		h.t.Skip("there is no python3")
	}
	return h.create(name, append([]func(*lambda.CreateFunctionInput){func(in *lambda.CreateFunctionInput) {
		in.Runtime, in.Handler, in.Code, in.Timeout = types.RuntimePython312, aws.String("handler.handler"), &types.FunctionCode{ZipFile: zipOf("handler.py", handler)}, aws.Int32(30)
	}}, options...)...)
}

func (h *house) hasPython() bool {
	_, err := exec.LookPath("python3")
	return err == nil
}

// invoke invokes a function and waits for it.
func (h *house) invoke(name, payload string, options ...func(*lambda.InvokeInput)) *lambda.InvokeOutput {
	h.t.Helper()
	in := &lambda.InvokeInput{FunctionName: &name, Payload: []byte(payload)}
	for _, o := range options {
		o(in)
	}
	return must(h.Invoke(h.t.Context(), in))(h.t)
}

// object reads a JSON object.
func object(t *testing.T, text []byte) (out map[string]any) {
	t.Helper()
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return out
}

func TestInvoke(t *testing.T) {
	h := start(t)
	h.python("f", func(in *lambda.CreateFunctionInput) {
		in.Environment = &types.Environment{Variables: map[string]string{"COLOUR": "blue"}}
	})
	t.Run("OK", func(t *testing.T) {
		out := h.invoke("f", `{"a":[1,"ä"]}`, func(in *lambda.InvokeInput) { in.LogType = types.LogTypeTail })
		if string(out.Payload) != `{"a": [1, "\u00e4"]}` && string(out.Payload) != `{"a": [1, "ä"]}` || out.StatusCode != 200 || out.FunctionError != nil || *out.ExecutedVersion != "$LATEST" {
			t.Errorf("got %s, %+v", out.Payload, out)
		}
		tail := must(base64.StdEncoding.DecodeString(*out.LogResult))(t)
		for _, want := range []string{"START RequestId: ", " Version: $LATEST\n", "END RequestId: ", "REPORT RequestId: ", "\tMemory Size: 128 MB\t"} {
			if !strings.Contains(string(tail), want) {
				t.Errorf("the log ends with %q, want %q in it", tail, want)
			}
		}
	})
	t.Run("NoPayload", func(t *testing.T) {
		if out := must(h.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: f}))(t); string(out.Payload) != "{}" {
			t.Errorf("got %s", out.Payload)
		}
	})
	t.Run("Raises", func(t *testing.T) {
		out := h.invoke("f", `{"do":"raise"}`)
		said := object(t, out.Payload)
		if aws.ToString(out.FunctionError) != "Unhandled" || said["errorType"] != "ValueError" || said["errorMessage"] != "this is intentional" || out.StatusCode != 200 {
			t.Errorf("got %s, %+v", out.Payload, out)
		}
	})
	t.Run("Exits", func(t *testing.T) {
		out := h.invoke("f", `{"do":"exit","status":3}`)
		if said := object(t, out.Payload); aws.ToString(out.FunctionError) != "Unhandled" || said["errorType"] != "Runtime.ExitError" {
			t.Errorf("got %s, %+v", out.Payload, out)
		}
	})
	t.Run("TooLargeResponse", func(t *testing.T) {
		out := h.invoke("f", `{"do":"big","bytes":6400000}`)
		want := `{"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes).","errorType":"Function.ResponseSizeTooLarge"}`
		if aws.ToString(out.FunctionError) != "Unhandled" || cmp.Diff(object(t, []byte(want)), object(t, out.Payload)) != "" {
			t.Errorf("got %.200s, %+v", out.Payload, out.FunctionError)
		}
	})
	t.Run("Environment", func(t *testing.T) {
		got := object(t, h.invoke("f", `{"do":"environment"}`).Payload)
		want := map[string]any{
			"COLOUR": "blue", "AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_REGION": "us-east-1", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
			"AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f", "_HANDLER": "handler.handler", "LAMBDA_TASK_ROOT": "/var/task",
		}
		maps.DeleteFunc(got, func(k string, _ any) bool { return want[k] == nil })
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("the environment (-want +got):\n%s", d)
		}
	})
	t.Run("Context", func(t *testing.T) {
		version := h.publish("f")
		must(h.CreateAlias(t.Context(), &lambda.CreateAliasInput{FunctionName: f, Name: aws.String("live"), FunctionVersion: &version}))(t)
		out := h.invoke("f", `{"do":"context"}`, func(in *lambda.InvokeInput) {
			in.Qualifier, in.ClientContext = aws.String("live"), aws.String(base64.StdEncoding.EncodeToString([]byte(`{"custom":{"k":"v"}}`)))
		})
		got := object(t, out.Payload)
		if got["arn"] != functionARN+"f:live" || got["version"] != "1" || *out.ExecutedVersion != "1" || got["client"].(map[string]any)["k"] != "v" {
			t.Errorf("got %v, %+v", got, out)
		}
	})
	t.Run("DryRun", func(t *testing.T) {
		out := h.invoke("f", `{"do":"raise"}`, func(in *lambda.InvokeInput) { in.InvocationType = types.InvocationTypeDryRun })
		if out.StatusCode != 204 || len(out.Payload) != 0 || out.ExecutedVersion != nil {
			t.Errorf("got %+v", out)
		}
	})
	for name, tt := range map[string]struct {
		in         *lambda.InvokeInput
		code, text string
		status     int
	}{
		"NotFound":    {&lambda.InvokeInput{FunctionName: aws.String("no")}, "ResourceNotFoundException", "Function not found: " + functionARN + "no:$LATEST", 404},
		"NoAlias":     {&lambda.InvokeInput{FunctionName: f, Qualifier: aws.String("no")}, "ResourceNotFoundException", "Function not found: " + functionARN + "f:no", 404},
		"NoJSON":      {&lambda.InvokeInput{FunctionName: f, Payload: []byte("\n no")}, "InvalidRequestContentException", "Could not parse request body into json: Could not parse payload into json: Unexpected character", 400},
		"HalfJSON":    {&lambda.InvokeInput{FunctionName: f, Payload: []byte(`{"a":`)}, "InvalidRequestContentException", "Unexpected end-of-input", 400},
		"Context":     {&lambda.InvokeInput{FunctionName: f, ClientContext: aws.String("bm8=")}, "InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object.", 400},
		"LargeEvent":  {&lambda.InvokeInput{FunctionName: f, InvocationType: types.InvocationTypeEvent, Payload: []byte(`"` + strings.Repeat("x", 1<<20) + `"`)}, "RequestEntityTooLargeException", "1048578 byte payload is too large for the Event invocation type (limit 1048576 bytes)", 413},
		"LargeInvoke": {&lambda.InvokeInput{FunctionName: f, Payload: []byte(`"` + strings.Repeat("x", 6<<20) + `"`)}, "RequestEntityTooLargeException", "Request must be smaller than 6291456 bytes for the InvokeFunction operation", 413},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.Invoke(t.Context(), tt.in)
			wantError(t, err, tt.code, tt.status, tt.text)
		})
	}
}

// A function that takes longer than it may is ended.
func TestTimeout(t *testing.T) {
	h := start(t)
	h.python("f", func(in *lambda.CreateFunctionInput) { in.Timeout = aws.Int32(1) })
	out := h.invoke("f", `{"do":"sleep","seconds":20}`)
	said := object(t, out.Payload)
	if text, _ := said["errorMessage"].(string); aws.ToString(out.FunctionError) != "Unhandled" || said["errorType"] != "Sandbox.Timedout" || !strings.HasSuffix(text, " Error: Task timed out after 1.00 seconds") {
		t.Errorf("got %s, %+v", out.Payload, out)
	}
	if out := h.invoke("f", `1`); string(out.Payload) != "1" {
		t.Errorf("the next got %s", out.Payload)
	}
}

// A function logs with its role's rights, in a stream of its instance.
func TestLogs(t *testing.T) {
	h := start(t)
	h.python("f")
	h.invoke("f", `{"do":"print","text":"hello from inside"}`)
	lines := h.logged("/aws/lambda/f")
	if len(lines) < 4 || !slices.Contains(lines, "hello from inside\n") || !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "REPORT RequestId: ") }) {
		t.Errorf("the log is %q", lines)
	}
	streams := must(cloudwatchlogs.NewFromConfig(h.Config()).DescribeLogStreams(t.Context(), &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: aws.String("/aws/lambda/f")}))(t).LogStreams
	if len(streams) != 1 || !strings.HasPrefix(*streams[0].LogStreamName, "2026/11/27/[$LATEST]") {
		t.Errorf("the streams are %+v", streams)
	}
	t.Run("JSON", func(t *testing.T) {
		h.python("j", func(in *lambda.CreateFunctionInput) {
			in.LoggingConfig = &types.LoggingConfig{LogFormat: types.LogFormatJson, LogGroup: aws.String("mine")}
		})
		h.invoke("j", `{}`)
		found := 0
		for _, l := range h.logged("mine") {
			var said struct {
				Type   string
				Record struct{ RequestID, Status string }
			}
			if json.Unmarshal([]byte(l), &said) == nil && strings.HasPrefix(said.Type, "platform.") && said.Record.RequestID != "" {
				found++
			}
		}
		if found != 2 {
			t.Errorf("the log is %q", h.logged("mine"))
		}
	})
	t.Run("Denied", func(t *testing.T) {
		h.Role(home, "mute", trust)
		h.python("m", func(in *lambda.CreateFunctionInput) { in.Role = aws.String("arn:aws:iam::" + home + ":role/mute") })
		if out := h.invoke("m", `5`); string(out.Payload) != "5" {
			t.Errorf("got %s", out.Payload)
		}
		h.Advance(0)
		_, err := cloudwatchlogs.NewFromConfig(h.Config()).DescribeLogStreams(t.Context(), &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: aws.String("/aws/lambda/m")})
		wantError(t, err, "ResourceNotFoundException", 400, "")
	})
}

// logged are the lines in a log group, after what functions have logged is written.
func (h *house) logged(group string) (lines []string) {
	h.t.Helper()
	h.Advance(time.Second)
	out := must(cloudwatchlogs.NewFromConfig(h.Config()).FilterLogEvents(h.t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: &group}))(h.t)
	for _, e := range out.Events {
		lines = append(lines, *e.Message)
	}
	return lines
}

// What its role may not do, a function may not.
func TestRole(t *testing.T) {
	h := start(t)
	h.Role(home, "none", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"aws:SourceAccount":"`+home+`"}}}]}`)
	h.python("f", func(in *lambda.CreateFunctionInput) { in.Role = aws.String("arn:aws:iam::" + home + ":role/none") })
	h.invoke("f", "1")
	assumed := func() bool {
		return slices.ContainsFunc(h.Trail(home), func(e cloudtest.Event) bool { return e.EventName == "AssumeRole" && e.ErrorCode == "" })
	}
	if !assumed() {
		t.Error("no session of the role is on record")
	}
	h.Role(home, "none", strings.Replace(trust, "lambda.amazonaws.com", "ec2.amazonaws.com", 1))
	must(h.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: f, Timeout: aws.Int32(9)}))
	_, err := h.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: f})
	wantError(t, err, "AccessDeniedException", 403, "The role defined for the function cannot be assumed by Lambda.")
}

// Concurrency that is reserved is the most that a function has.
func TestReservedConcurrency(t *testing.T) {
	h := start(t)
	h.python("f")
	must(h.PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: f, ReservedConcurrentExecutions: aws.Int32(0)}))(t)
	_, err := h.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: f})
	wantError(t, err, "TooManyRequestsException", 429, "Rate Exceeded.")
	if e, ok := errors.AsType[*types.TooManyRequestsException](err); !ok || e.Reason != types.ThrottleReasonReservedFunctionConcurrentInvocationLimitExceeded {
		t.Errorf("the reason is %+v", e)
	}
	must(h.PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: f, ReservedConcurrentExecutions: aws.Int32(1)}))(t)
	if out := h.invoke("f", "1"); string(out.Payload) != "1" {
		t.Errorf("got %s", out.Payload)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		for {
			_, err := h.Invoke(ctx, &lambda.InvokeInput{FunctionName: f, Payload: []byte(`{"do":"sleep","seconds":20}`)})
			if !errorsIs429(err) { // it may come while the other one runs
				ended <- err
				return
			}
		}
	}()
	for !errorsIs429(h.tryInvoke("f")) {
	}
	cancel()
	<-ended
}

func (h *house) tryInvoke(name string) error {
	_, err := h.Invoke(h.t.Context(), &lambda.InvokeInput{FunctionName: &name, Payload: []byte("1")})
	return err
}

func errorsIs429(err error) bool {
	_, ok := errors.AsType[*types.TooManyRequestsException](err)
	return ok
}

// A response that streams comes in parts, and says at the end how it went.
func TestResponseStream(t *testing.T) {
	h := start(t)
	h.python("f")
	read := func(payload string) (text, code string) {
		out := must(h.InvokeWithResponseStream(t.Context(), &lambda.InvokeWithResponseStreamInput{FunctionName: f, Payload: []byte(payload)}))(t)
		stream := out.GetStream()
		defer stream.Close()
		for e := range stream.Events() {
			switch e := e.(type) {
			case *types.InvokeWithResponseStreamResponseEventMemberPayloadChunk:
				text += string(e.Value.Payload)
			case *types.InvokeWithResponseStreamResponseEventMemberInvokeComplete:
				code = "complete " + aws.ToString(e.Value.ErrorCode)
			}
		}
		if err := stream.Err(); err != nil {
			t.Error(err)
		}
		return text, code
	}
	if text, code := read(`{"a":"b"}`); text != `{"a": "b"}` || code != "complete " {
		t.Errorf("got %q, %q", text, code)
	}
	if _, code := read(`{"do":"raise"}`); code != "complete Unhandled" {
		t.Errorf("got %q", code)
	}
}

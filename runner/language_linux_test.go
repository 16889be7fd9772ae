package runner_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/runner"
)

// written is a function of an interpreter's, in files.
func written(t testing.TB, r *runner.Runner, runtime, handler string, files ...file) (*runner.Function, *log) {
	t.Helper()
	if err := r.Supports(runtime, ""); err != nil {
		t.Skip(err)
	}
	l := new(log)
	return &runner.Function{
		ID: t.Name(), ARN: "arn:aws:lambda:us-east-1:111122223333:function:f", Name: "f", Version: "3", Account: "111122223333", Region: "us-east-1",
		Runtime: runtime, Handler: handler, Memory: 256, Timeout: 10 * time.Second, Log: l.add, Code: archive(t, files...),
	}, l
}

const python = `
import logging, os, sys, time, decimal
log = logging.getLogger()
log.setLevel(logging.INFO)

def echo(event, context):
    return event

def tell(event, context):
    left = context.get_remaining_time_in_millis()
    return {
        "id": context.aws_request_id, "arn": context.invoked_function_arn, "name": context.function_name, "version": context.function_version, "memory": context.memory_limit_in_mb,
        "group": context.log_group_name, "left": 0 < left <= 10000, "client": context.client_context and context.client_context.custom, "identity": context.identity.cognito_identity_id,
        "decimal": decimal.Decimal("1.5"), "env": os.environ["AWS_EXECUTION_ENV"], "trace": os.environ.get("_X_AMZN_TRACE_ID"), "layer": __import__("fromlayer").x, "path": sys.path[:3],
    }

def logs(event, context):
    print("printed")
    log.info("logged")
    log.debug("too quiet")

def fails(event, context):
    raise ValueError("what?\nthat")

def exits(event, context):
    sys.exit(3)

def set_(event, context):
    return {1, 2}
`

func TestPython(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	app := file{"pkg/app.py", python, 0o644}
	t.Run("OK", func(t *testing.T) {
		f, _ := written(t, r, "python3.11", "pkg/app.tell", app)
		f.Layers = []runner.Archive{archive(t, file{"python/fromlayer.py", "x = 'first'", 0o644}), archive(t, file{"python/fromlayer.py", "x = 'second'", 0o600})}
		result, err := r.Invoke(t.Context(), f, &runner.Invocation{RequestID: "id-1", ARN: f.ARN, Payload: []byte("{}"), TraceID: "Root=1", ClientContext: []byte(`{"custom":{"a":1}}`)})
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(result.Payload, &got); err != nil {
			t.Fatalf("%v: %s", err, result.Payload)
		}
		delete(got, "path")
		want := map[string]any{
			"id": "id-1", "arn": f.ARN, "name": "f", "version": "3", "memory": "256", "group": "/aws/lambda/f", "left": true, "client": map[string]any{"a": 1.0}, "identity": nil, "decimal": 1.5,
			"env": "AWS_Lambda_python3.11", "trace": "Root=1", "layer": "second",
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
	t.Run("Echo", func(t *testing.T) {
		f, _ := written(t, r, "python3.11", "pkg.app.echo", app)
		for range 3 {
			if got := invoke(t, r, f, `{"a": [1, "é", null]}`); string(got.Payload) != `{"a": [1, "\u00e9", null]}` {
				t.Errorf("got %s", got.Payload)
			}
		}
	})
	t.Run("Logs", func(t *testing.T) {
		f, _ := written(t, r, "python3.11", "pkg/app.logs", app)
		got := invoke(t, r, f, `{}`)
		if string(got.Payload) != "null" || !regexp.MustCompile(`\nprinted\n\[INFO\]\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\trequest-1\tlogged\nEND`).Match(got.Tail) {
			t.Errorf("got %s, log %s", got.Payload, got.Tail)
		}
	})
	for name, c := range map[string]struct{ handler, source, payload string }{
		"Raises":      {"pkg/app.fails", python, `{"errorMessage": "what?\nthat", "errorType": "ValueError", "requestId": "request-1", "stackTrace": ["  File \"/var/task/pkg/app.py\", line 23, in fails\n    raise ValueError(\"what?\\nthat\")\n"]}`},
		"Exits":       {"pkg/app.exits", python, `{"errorMessage": "3", "errorType": "SystemExit", "requestId": "request-1", "stackTrace": ["  File \"/var/task/pkg/app.py\", line 26, in exits\n    sys.exit(3)\n"]}`},
		"NotJSON":     {"pkg/app.set_", python, `{"errorMessage": "Unable to marshal response: Object of type set is not JSON serializable", "errorType": "Runtime.MarshalError", "requestId": "request-1", "stackTrace": []}`},
		"NoModule":    {"nothing.f", python, `{"errorMessage": "Unable to import module 'nothing': No module named 'nothing'", "errorType": "Runtime.ImportModuleError", "requestId": "", "stackTrace": []}`},
		"NoHandler":   {"pkg/app.nothing", python, `{"errorMessage": "Handler 'nothing' missing on module 'pkg/app'", "errorType": "Runtime.HandlerNotFound", "requestId": "", "stackTrace": []}`},
		"BadHandler":  {"app", python, `{"errorMessage": "Bad handler 'app': not enough values to unpack (expected 2, got 1)", "errorType": "Runtime.MalformedHandlerName", "requestId": "", "stackTrace": []}`},
		"SyntaxError": {"pkg/app.f", "def f(:\n", `"errorType": "Runtime.UserCodeSyntaxError"`},
		"ImportFails": {"pkg/app.f", "1/0", `{"errorMessage": "division by zero", "errorType": "ZeroDivisionError", "requestId": "", "stackTrace": [`},
	} {
		t.Run(name, func(t *testing.T) {
			f, l := written(t, r, "python3.11", c.handler, file{"pkg/app.py", c.source, 0o644})
			got := invoke(t, r, f, `{}`)
			if !strings.Contains(string(got.Payload), c.payload) || got.Failure != "Unhandled" {
				t.Errorf("got %s\nwant %s\nlog %s", got.Payload, c.payload, l)
			}
			if !strings.Contains(l.String(), "[ERROR] "+got.ErrorType) {
				t.Errorf("the log is %s", l)
			}
		})
	}
	t.Run("AnotherVersion", func(t *testing.T) {
		f, l := written(t, r, "python3.99", "pkg/app.echo", app)
		if got := invoke(t, r, f, `1`); string(got.Payload) != "1" || !strings.Contains(l.String(), "INIT_START Runtime Version: python:3.99, run by the host's /usr/bin/python3.") {
			t.Errorf("got %s, log %s", got.Payload, l)
		}
	})
}

const node = `
const sleep = (ms) => new Promise((r) => setTimeout(r, ms));
exports.echo = async (event) => event;
exports.deep = { down: async () => 'deep' };
exports.tell = async (event, context) => {
  const { awsRequestId, invokedFunctionArn, functionName, functionVersion, memoryLimitInMB, logGroupName, clientContext } = context;
  const left = context.getRemainingTimeInMillis();
  return { awsRequestId, invokedFunctionArn, functionName, functionVersion, memoryLimitInMB, logGroupName, clientContext, left: left > 0 && left <= 10000, env: process.env.AWS_EXECUTION_ENV,
    trace: process.env._X_AMZN_TRACE_ID, layer: require('fromlayer') };
};
exports.callback = (event, context, callback) => { setTimeout(() => callback(null, 'called back'), 10); };
exports.failback = (event, context, callback) => { callback(new TypeError('called back')); };
exports.done = (event, context) => { setTimeout(() => context.done(null, 'done'), 10); };
exports.nothing = (event) => { setTimeout(() => {}, 20); };
exports.undef = async () => {};
exports.impatient = (event, context, callback) => { context.callbackWaitsForEmptyEventLoop = false; setInterval(() => {}, 1000); callback(null, 'now'); };
exports.logs = async () => { console.log('a %s', 'b', { c: 1 }); console.error('bad'); };
exports.fails = async () => { await sleep(1); throw new RangeError('no'); };
exports.throws = () => { throw 'text'; };
exports.uncaught = async () => { setTimeout(() => { throw new Error('later'); }, 1); await sleep(5000); };
exports.rejects = async () => { Promise.reject(new Error('ignored')); await sleep(5000); };
exports.notFunction = 5;
exports.streams = awslambda.streamifyResponse(async (event, stream, context) => {
  stream.setContentType('text/plain');
  stream.write('one ');
  await sleep(1);
  stream.write(context.awsRequestId);
  if (event.fail) { throw new Error('half way'); }
  stream.end();
});
exports.http = awslambda.streamifyResponse(async (event, stream) => {
  stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201 });
  stream.write('body');
  stream.end();
});
exports.failsFirst = awslambda.streamifyResponse(async () => { throw new Error('at once'); });
`

func TestNode(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	app := file{"lib/app.js", node, 0o644}
	t.Run("OK", func(t *testing.T) {
		f, _ := written(t, r, "nodejs20.x", "lib/app.tell", app)
		f.Layers = []runner.Archive{archive(t, file{"nodejs/node_modules/fromlayer/index.js", "module.exports = 'layer'", 0o644})}
		result, err := r.Invoke(t.Context(), f, &runner.Invocation{RequestID: "id-1", ARN: f.ARN, Payload: []byte("{}"), TraceID: "Root=1", ClientContext: []byte(`{"custom":{"a":1}}`)})
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(result.Payload, &got); err != nil {
			t.Fatalf("%v: %s", err, result.Payload)
		}
		want := map[string]any{
			"awsRequestId": "id-1", "invokedFunctionArn": f.ARN, "functionName": "f", "functionVersion": "3", "memoryLimitInMB": "256", "logGroupName": "/aws/lambda/f", "left": true,
			"clientContext": map[string]any{"custom": map[string]any{"a": 1.0}}, "env": "AWS_Lambda_nodejs20.x", "trace": "Root=1", "layer": "layer",
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
	esm := file{"index.mjs", "import fs from 'node:fs';\nexport const handler = async (event) => ({ esm: typeof fs.readFileSync, event });\nexport default { other: async () => 'default' };", 0o644}
	typed := []file{{"package.json", `{"type":"module"}`, 0o644}, {"src/index.js", "export const handler = async () => import.meta.url;", 0o644}}
	for name, c := range map[string]struct {
		handler, payload, failure string
		files                     []file
	}{
		"Echo":             {"lib/app.echo", `{"a":[1,"é",null]}`, "", []file{app}},
		"Deep":             {"lib/app.deep.down", `"deep"`, "", []file{app}},
		"Callback":         {"lib/app.callback", `"called back"`, "", []file{app}},
		"Failback":         {"lib/app.failback", `{"errorType":"TypeError","errorMessage":"called back","trace":["TypeError: called back",`, "Unhandled", []file{app}},
		"Done":             {"lib/app.done", `"done"`, "", []file{app}},
		"Nothing":          {"lib/app.nothing", `null`, "", []file{app}},
		"Undefined":        {"lib/app.undef", `null`, "", []file{app}},
		"Impatient":        {"lib/app.impatient", `"now"`, "", []file{app}},
		"Fails":            {"lib/app.fails", `{"errorType":"RangeError","errorMessage":"no","trace":["RangeError: no",`, "Unhandled", []file{app}},
		"Throws":           {"lib/app.throws", `{"errorType":"string","errorMessage":"text","trace":[]}`, "Unhandled", []file{app}},
		"Uncaught":         {"lib/app.uncaught", `{"errorType":"Error","errorMessage":"later","trace":[`, "Unhandled", []file{app}},
		"Rejects":          {"lib/app.rejects", `{"errorType":"Runtime.UnhandledPromiseRejection","errorMessage":"ignored","trace":[`, "Unhandled", []file{app}},
		"ESM":              {"index.handler", `{"esm":"function","event":{"a":[1,"é",null]}}`, "", []file{esm}},
		"ESMDefault":       {"index.other", `"default"`, "", []file{esm}},
		"ESMByPackage":     {"src/index.handler", `"file:///var/task/src/index.js"`, "", typed},
		"NoModule":         {"nothing.f", `{"errorType":"Runtime.ImportModuleError","errorMessage":"Error: Cannot find module '/var/task/nothing'`, "Unhandled", []file{app}},
		"NoHandler":        {"lib/app.none", `{"errorType":"Runtime.HandlerNotFound","errorMessage":"lib/app.none is undefined or not exported"`, "Unhandled", []file{app}},
		"NotAFunction":     {"lib/app.notFunction", `{"errorType":"Runtime.HandlerNotFound","errorMessage":"lib/app.notFunction is not a function"`, "Unhandled", []file{app}},
		"BadHandler":       {"app", `{"errorType":"Runtime.MalformedHandlerName","errorMessage":"Bad handler"`, "Unhandled", []file{app}},
		"SyntaxError":      {"lib/app.f", `{"errorType":"Runtime.UserCodeSyntaxError"`, "Unhandled", []file{{"lib/app.js", "exports.f = (", 0o644}}},
		"ImportFails":      {"lib/app.f", `{"errorType":"Error","errorMessage":"at import"`, "Unhandled", []file{{"lib/app.js", "throw new Error('at import')", 0o644}}},
		"Streams":          {"lib/app.streams", `one request-1`, "", []file{app}},
		"StreamsHTTP":      {"lib/app.http", "{\"statusCode\":201}\x00\x00\x00\x00\x00\x00\x00\x00body", "", []file{app}},
		"StreamFailsFirst": {"lib/app.failsFirst", `{"errorType":"Error","errorMessage":"at once"`, "Unhandled", []file{app}},
	} {
		t.Run(name, func(t *testing.T) {
			f, l := written(t, r, "nodejs20.x", c.handler, c.files...)
			for range 2 {
				got := invoke(t, r, f, `{"a":[1,"é",null]}`)
				if !strings.HasPrefix(string(got.Payload), c.payload) || got.Failure != c.failure {
					t.Errorf("got %s, failure %q\nwant %s\nlog %s", got.Payload, got.Failure, c.payload, l)
				}
				if c.failure != "" {
					break // a second one would start another instance
				}
			}
		})
	}
	t.Run("Logs", func(t *testing.T) {
		f, _ := written(t, r, "nodejs20.x", "lib/app.logs", app)
		got := invoke(t, r, f, `{}`)
		if !regexp.MustCompile(`\n\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\trequest-1\tINFO\ta b \{ c: 1 \}\n\S+Z\trequest-1\tERROR\tbad\nEND`).Match(got.Tail) {
			t.Errorf("the log is %s", got.Tail)
		}
	})
	t.Run("StreamFailsLate", func(t *testing.T) {
		f, _ := written(t, r, "nodejs20.x", "lib/app.streams", app)
		var b bytes.Buffer
		got, err := r.Invoke(t.Context(), f, &runner.Invocation{RequestID: "id", Payload: []byte(`{"fail":true}`), Stream: &b})
		if err != nil || b.String() != "one id" || got.ErrorType != "Error" || !strings.Contains(string(got.Payload), "half way") {
			t.Errorf("got %v, %s, streamed %q", err, got.Payload, b.String())
		}
	})
}

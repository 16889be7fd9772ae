"""Runs a Python handler: asks the Lambda Runtime API for events and answers them."""

import decimal
import http.client
import importlib
import json
import logging
import os
import sys
import time
import traceback

TASK_ROOT = os.environ["LAMBDA_TASK_ROOT"]
API = "/2018-06-01/runtime"


class Client:
    """One connection to the Runtime API, which is made again when it was lost."""

    def __init__(self, address):
        self.address = address
        self.connection = None

    def call(self, method, path, body=None, headers=None):
        while True:
            fresh = self.connection is None
            if fresh:
                self.connection = http.client.HTTPConnection(self.address)
            try:
                self.connection.request(method, API + path, body, headers or {})
                response = self.connection.getresponse()
                return response, response.read()
            except (http.client.HTTPException, OSError):
                self.connection.close()
                self.connection = None
                if fresh:
                    raise


class CognitoIdentity:
    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")

    def __init__(self):
        self.cognito_identity_id = None
        self.cognito_identity_pool_id = None


class Client_:
    __slots__ = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")

    def __init__(self, fields):
        for name in self.__slots__:
            setattr(self, name, fields.get(name))


class ClientContext:
    __slots__ = ("custom", "env", "client")

    def __init__(self, fields):
        self.custom = fields.get("custom")
        self.env = fields.get("env")
        client = fields.get("client")
        self.client = Client_(client) if isinstance(client, dict) else None


class Context:
    """What a handler is told of its invocation."""

    def __init__(self, headers):
        self.aws_request_id = headers.get("Lambda-Runtime-Aws-Request-Id")
        self.invoked_function_arn = headers.get("Lambda-Runtime-Invoked-Function-Arn")
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.identity = CognitoIdentity()
        client = headers.get("Lambda-Runtime-Client-Context")
        self.client_context = ClientContext(json.loads(client)) if client else None
        self._deadline = int(headers.get("Lambda-Runtime-Deadline-Ms", "0"))

    def get_remaining_time_in_millis(self):
        return max(0, self._deadline - int(time.time() * 1000))

    def log(self, message):
        sys.stdout.write(str(message))


class Failure(Exception):
    """A failure of ours, not of the handler's code."""

    def __init__(self, kind, message, trace=()):
        super().__init__(message)
        self.body = {"errorMessage": message, "errorType": kind, "requestId": "", "stackTrace": list(trace)}


def encode(value):
    def default(o):
        if isinstance(o, decimal.Decimal):
            return float(o)
        raise TypeError(f"Object of type {type(o).__name__} is not JSON serializable")

    return json.dumps(value, default=default).encode()


def describe(e, request_id):
    """An exception as JSON: without the frames of this file."""
    if isinstance(e, Failure):
        return dict(e.body, requestId=request_id)
    frames = [f for f in traceback.extract_tb(e.__traceback__) if f.filename != __file__]
    trace = [line.rstrip("\n") + "\n" for line in traceback.format_list(frames)]
    return {"errorMessage": str(e), "errorType": type(e).__name__, "requestId": request_id, "stackTrace": trace}


def complain(body):
    lines = [f"[ERROR] {body['errorType']}: {body['errorMessage']}"]
    if body["stackTrace"]:
        lines += ["Traceback (most recent call last):"] + [t.rstrip("\n") for t in body["stackTrace"]]
    print("\n".join(lines), flush=True)


def load(handler):
    """Finds a handler: module.function, where the module may be in directories."""
    module_name, _, function_name = handler.rpartition(".")
    if not module_name or not function_name:
        raise Failure("Runtime.MalformedHandlerName", f"Bad handler '{handler}': not enough values to unpack (expected 2, got 1)")
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Failure("Runtime.BuiltInModuleConflict", f"Cannot use built-in module {module_name} as a handler module")
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as e:
        raise Failure("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {e}")
    except SyntaxError as e:
        raise Failure("Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {e}", [f'  File "{e.filename}" Line {e.lineno}\n    {e.text}'])
    try:
        return getattr(module, function_name)
    except AttributeError:
        raise Failure("Runtime.HandlerNotFound", f"Handler '{function_name}' missing on module '{module_name}'")


class LogFormatter(logging.Formatter):
    converter = time.gmtime
    request_id = ""

    def __init__(self):
        super().__init__("[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s", "%Y-%m-%dT%H:%M:%S")

    def format(self, record):
        record.aws_request_id = LogFormatter.request_id
        return super().format(record)


def main():
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    sys.path[:0] = [TASK_ROOT, f"/opt/python/lib/{version}/site-packages", "/opt/python"]
    log = logging.StreamHandler(sys.stdout)
    log.setFormatter(LogFormatter())
    logging.getLogger().addHandler(log)

    client = Client(os.environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        handler = load(os.environ["_HANDLER"])
    except BaseException as e:  # what exits while it is imported has failed as well
        body = describe(e, "")
        complain(body)
        client.call("POST", "/init/error", encode(body), {"Content-Type": "application/json", "Lambda-Runtime-Function-Error-Type": body["errorType"]})
        sys.exit(1)
    while True:
        serve(client, handler)


def serve(client, handler):
    response, event = client.call("GET", "/invocation/next")
    request_id = response.headers["Lambda-Runtime-Aws-Request-Id"]
    trace_id = response.headers.get("Lambda-Runtime-Trace-Id")
    if trace_id:
        os.environ["_X_AMZN_TRACE_ID"] = trace_id
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)
    LogFormatter.request_id = request_id
    end = False
    try:
        try:
            event = json.loads(event)
        except ValueError as e:
            raise Failure("Runtime.UnmarshalError", f"Unable to unmarshal input: {e}")
        result = handler(event, Context(response.headers))
        try:
            result = encode(result)
        except (TypeError, ValueError, RecursionError) as e:
            raise Failure("Runtime.MarshalError", f"Unable to marshal response: {e}")
    except BaseException as e:
        body = describe(e, request_id)
        complain(body)
        path, result = "error", encode(body)
        headers = {"Content-Type": "application/json", "Lambda-Runtime-Function-Error-Type": body["errorType"]}
        end = not isinstance(e, Exception)
    else:
        path, headers = "response", {"Content-Type": "application/json"}
    sys.stdout.flush()
    sys.stderr.flush()
    client.call("POST", f"/invocation/{request_id}/{path}", result, headers)
    if end:  # the handler wished to exit
        sys.exit(1)


main()

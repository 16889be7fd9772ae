"""A rotation function that changes the password of a user of Redis, in the four steps that Secrets Manager calls it for. It needs nothing but Python itself."""

import datetime
import hashlib
import hmac
import json
import os
import secrets
import socket
import urllib.error
import urllib.request


def handler(event, context):
    secret, token, step = event["SecretId"], event["ClientRequestToken"], event["Step"]
    answer = ask("GetSecretValue", {"SecretId": secret, "VersionStage": "AWSCURRENT"})
    at, current = answer["VersionId"], json.loads(answer["SecretString"])
    if step == "createSecret":
        pending = dict(current, password=secrets.token_hex(16))
        ask("PutSecretValue", {
            "SecretId": secret, "ClientRequestToken": token, "RotationToken": event["RotationToken"],
            "SecretString": json.dumps(pending), "VersionStages": ["AWSPENDING"],
        })
        return
    answer = ask("GetSecretValue", {"SecretId": secret, "VersionId": token, "VersionStage": "AWSPENDING"})
    pending = json.loads(answer["SecretString"])
    if step == "setSecret":
        redis(current, ["ACL", "SETUSER", pending["username"], "resetpass", ">" + pending["password"]])
    elif step == "testSecret":
        redis(pending, ["PING"])
    elif step == "finishSecret":
        ask("UpdateSecretVersionStage", {
            "SecretId": secret, "VersionStage": "AWSCURRENT", "MoveToVersionId": token, "RemoveFromVersionId": at,
        })
    else:
        raise ValueError("there is no such step")


def redis(user, command):
    """Logs in to Redis and runs a command."""
    with socket.create_connection((user["host"], user["port"]), timeout=10) as s, s.makefile("rb") as answers:
        for words in (["AUTH", user["username"], user["password"]], command):
            text = "*%d\r\n" % len(words) + "".join("$%d\r\n%s\r\n" % (len(w), w) for w in words)
            s.sendall(text.encode())
            if not answers.readline().startswith(b"+"):
                raise RuntimeError("Redis refuses " + words[0])


def ask(operation, body):
    """Calls Secrets Manager with the credentials of the function's role."""
    url, region = os.environ["AWS_ENDPOINT_URL"], os.environ["AWS_REGION"]
    data = json.dumps(body).encode()
    at = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "host": url.split("//")[1],
        "x-amz-date": at,
        "x-amz-security-token": os.environ["AWS_SESSION_TOKEN"],
        "x-amz-target": "secretsmanager." + operation,
    }
    signed = ";".join(headers)
    canonical = "\n".join(["POST", "/", "", *(k + ":" + v for k, v in headers.items()), "", signed, hashlib.sha256(data).hexdigest()])
    scope = "/".join([at[:8], region, "secretsmanager", "aws4_request"])
    key = ("AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    text = "\n".join(["AWS4-HMAC-SHA256", at, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    headers["authorization"] = "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (
        os.environ["AWS_ACCESS_KEY_ID"], scope, signed, hmac.new(key, text.encode(), hashlib.sha256).hexdigest(),
    )
    try:
        with urllib.request.urlopen(urllib.request.Request(url + "/", data, headers), timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as e:
        raise RuntimeError(operation + ": " + e.read().decode()) from None

"""A function that does what its event asks for."""
import base64
import json
import os
import time
import urllib.request


def handler(event, context):
    do = event.get("do") if isinstance(event, dict) else None
    if do == "raise":
        raise ValueError("this is intentional")
    if do == "sleep":
        time.sleep(event["seconds"])
    if do == "exit":
        os._exit(event["status"])
    if do == "big":
        return "x" * event["bytes"]
    if do == "print":
        print(event["text"])
    if do == "environment":
        return {k: v for k, v in os.environ.items() if not k.startswith("AWS_SE")}
    if do == "context":
        return {
            "arn": context.invoked_function_arn, "version": context.function_version, "name": context.function_name, "id": context.aws_request_id,
            "group": context.log_group_name, "stream": context.log_stream_name,
            "client": context.client_context.custom if context.client_context else None,
        }
    if do == "response":
        return event["response"]
    return event

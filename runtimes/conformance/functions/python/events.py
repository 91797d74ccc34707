"""Event handlers: what goes in, what comes out, what the context says."""

import json
import os
import time

not_callable = 42

_calls = 0


class OrderError(Exception):
    """An exception type of the function's own."""


def echo(event, context):
    return event


def json_value(event, context):
    return {"text": "grüße", "number": 1.5, "list": [True, None], "nested": {"a": []}}


def text(event, context):
    return "grüße, 世界"


def nothing(event, context):
    return None


def throws(event, context):
    raise Exception("the handler failed")


def throws_own_type(event, context):
    raise OrderError("no such order")


def not_json(event, context):
    return {"value": object()}


def environment(event, context):
    return {name: os.environ.get(name) for name in json.loads(event)}


def context(event, context):
    return {
        "requestId": context.request_id,
        "functionName": context.function.name,
        "functionHandler": context.function.handler,
        "memory": context.function.memory,
        "timeout": context.function.timeout,
        "region": context.region,
        "accountId": context.account_id,
        "logProject": context.service.log_project,
        "logStore": context.service.log_store,
        "qualifier": context.service.qualifier,
        "versionId": context.service.version_id,
    }


def count(event, context):
    global _calls
    _calls += 1
    return str(_calls)


def slow(event, context):
    time.sleep(0.1)
    return "late"

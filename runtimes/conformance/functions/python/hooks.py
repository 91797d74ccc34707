"""Hooks that say so when they are called."""

_called = []


def handler(event, context):
    return _called


def pre_freeze(context):
    _call("preFreeze")


def pre_stop(context):
    _call("preStop")


def post_thaw(context):
    _call("postThaw")


def initializer(context):
    _called.append("initializer")


def failing(context):
    raise Exception("cannot freeze")


def _call(name):
    _called.append(name)
    print(name)

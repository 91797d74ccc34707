"""A handler that knows whether its initializer has run."""

_state = "fresh"


def initialize(context):
    global _state
    print("initializing")
    _state = "initialized"


def state(event, context):
    return _state


def initialize_fails(context):
    raise Exception("no database")

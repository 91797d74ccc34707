"""Handlers that write to their log in every way."""

import sys
import threading

# Breaks instead of hanging where the second invocation does not come.
_both = threading.Barrier(2, timeout=10)


def lines(event, context):
    print("out 1")
    print("err 1", file=sys.stderr)
    sys.stdout.write("tail")
    return "done"


def pieces(event, context):
    sys.stdout.write("ab")
    sys.stdout.write("cd\n")
    sys.stdout.write("ef\ng")
    return "done"


def long_line(event, context):
    for _ in range(100_000):
        sys.stdout.write("x")


def wide(event, context):
    sys.stdout.write("世" * 40_000 + "\n")


def logger(event, context):
    context.logger.info("hello world")
    context.logger.error("bad thing")


def interleaved(event, context):
    name = event.decode()
    for step in (1, 2):
        print(name, step)
        _both.wait()
    print(name, 3)
    return event


def quiet(event, context):
    return "quiet"

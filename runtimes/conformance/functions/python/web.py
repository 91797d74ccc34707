"""WSGI applications."""

import json
import sys
import time

_cancelled = 0


def echo(environ, start_response):
    body = json.dumps(
        {
            "method": environ["REQUEST_METHOD"],
            "path": environ["PATH_INFO"].encode("latin-1").decode(),
            "query": environ["QUERY_STRING"],
            "contentType": environ.get("CONTENT_TYPE"),
            "custom": environ.get("HTTP_X_CUSTOM"),
            "remote": environ["REMOTE_ADDR"],
            "scheme": environ["wsgi.url_scheme"],
            "body": environ["wsgi.input"].read().decode(),
        }
    ).encode()
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("X-Mixed-Case", "yes"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
    ]
    start_response("201 Created", headers)
    return [body]


def status(environ, start_response):
    code = environ["PATH_INFO"].rpartition("/")[2]
    start_response(code + " Of The Path", [("Content-Type", "text/plain")])
    if code in ("204", "304") or environ["REQUEST_METHOD"] == "HEAD":
        return []
    return [b"status " + code.encode()]


def stream_echo(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"ready\n"
    yield from iter(lambda: environ["wsgi.input"].read(3), b"")


def mirror(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return iter(lambda: environ["wsgi.input"].read(65_536), b"")


def fails(environ, start_response):
    raise Exception("the page failed")


def fails_midway(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"part"
    raise Exception("the page failed")


def until_cancelled(environ, start_response):
    global _cancelled
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] != "/wait":
        return [str(_cancelled).encode()]
    try:
        while True:
            write(b"tick")
            time.sleep(0.01)
    except ConnectionAbortedError:
        _cancelled += 1
        raise


def odd_names(a, b):
    b("200 OK", [("Content-Type", "text/plain")])
    return [b"odd"]


def logs(environ, start_response):
    print("before")
    sys.stdout.write("partial")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"logged"]

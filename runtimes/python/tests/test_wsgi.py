"""PEP 3333."""

from __future__ import annotations

import json
import textwrap
import unittest

from thaw_shim import frame
from thaw_shim.wsgi import _host_and_port, _unquote

from .daemon import Answer, Daemon


def _daemon(code: str, **specialize: object) -> Daemon:
    return Daemon({"index.py": textwrap.dedent(code)}, **specialize)


def _upload(daemon: Daemon, stream: int, data: bytes) -> Answer:
    """Sends a body within its window, while the answer comes."""
    answer = daemon.answers.setdefault(stream, Answer())
    sent = 0
    while sent < len(data):
        room = frame.WINDOW + getattr(answer, "credit", 0) - sent
        if room == 0:
            daemon.step()
            continue
        size = min(frame.DATA_MAX, room, len(data) - sent)
        daemon.send(frame.pack_data(stream, int(sent + size == len(data)), data[sent : sent + size]))
        sent += size
    return daemon.answer(stream)


class TextTest(unittest.TestCase):
    """Small conversions."""

    def test_unquote(self) -> None:
        for text, wanted in (
            ("/a b", "/a b"),
            ("/%41%2f%2F", "/A//"),
            ("/%C3%A9", "/é".encode().decode("latin-1")),
            ("/é", "/é"),
            ("/世", "/世".encode().decode("latin-1")),
            ("/%zz%4%", "/%zz%4%"),
            ("%", "%"),
        ):
            with self.subTest(text):
                self.assertEqual(_unquote(text), wanted)

    def test_host_and_port(self) -> None:
        for host, wanted in (
            ("a.b:80", ("a.b", "80")),
            ("a.b", ("a.b", "")),
            ("a.b:", ("a.b", "")),
            ("[::1]:8080", ("[::1]", "8080")),
            ("[::1]", ("[::1]", "")),
            ("", ("", "")),
        ):
            with self.subTest(host):
                self.assertEqual(_host_and_port(host), wanted)


class EnvironTest(unittest.TestCase):
    """What the application is told."""

    def test_all_keys(self) -> None:
        code = """
            import json, sys
            from wsgiref.validate import check_environ
            def handler(environ, start_response):
                environ["wsgi.errors"].write("to the log")
                context = environ.pop("fc.context")
                start_response("200 OK", [])
                shown = {k: v for k, v in environ.items() if not k.startswith("wsgi.")}
                shown["context"] = [context.request_id, context.function.name]
                shown["wsgi"] = [environ["wsgi.version"], environ["wsgi.url_scheme"], environ["wsgi.multithread"],
                                 environ["wsgi.run_once"], environ["wsgi.input"].read().decode()]
                check_environ(environ)
                return [json.dumps(shown).encode()]
        """
        headers = ["Host", "app.example:8080", "Content-Type", "text/plain", "Content-Length", "4", "X-A", "1"]
        headers += ["x-a", "2", "Cookie", "a=1", "Cookie", "b=2", "X_Forged", "no", "Accept", "*/*"]
        with _daemon(code) as daemon:
            daemon.start()
            self.assertEqual(daemon.started, [(frame.READY, {"handler": "http"})])
            stream = daemon.http("/a%20b/%C3%A9?x=%20&y", "POST", headers, b"body", base="/http/app/f", id="1-a")
            answer = daemon.answer(stream)
            self.assertIsNone(answer.error)
            self.assertEqual(answer.logs[2], "to the log")
            url = "/http/app/f/a%20b/%C3%A9?x=%20&y"
            self.assertEqual(
                json.loads(answer.body),
                {
                    "REQUEST_METHOD": "POST",
                    "SCRIPT_NAME": "/http/app/f",
                    "PATH_INFO": "/a b/é".encode().decode("latin-1"),
                    "QUERY_STRING": "x=%20&y",
                    "REQUEST_URI": url,
                    "fc.request_uri": url,
                    "REMOTE_ADDR": "10.0.0.1",
                    "SERVER_NAME": "app.example",
                    "SERVER_PORT": "8080",
                    "SERVER_PROTOCOL": "HTTP/1.1",
                    "SERVER_SOFTWARE": "Thaw",
                    "CONTENT_TYPE": "text/plain",
                    "CONTENT_LENGTH": "4",
                    "HTTP_HOST": "app.example:8080",
                    "HTTP_X_A": "1,2",
                    "HTTP_COOKIE": "a=1; b=2",
                    "HTTP_ACCEPT": "*/*",
                    "context": ["1-a", "f"],
                    "wsgi": [[1, 0], "http", False, False, "body"],
                },
            )

    def test_an_absolute_target_and_no_host(self) -> None:
        code = """
            def handler(environ, start_response):
                start_response("200 OK", [])
                keys = ("PATH_INFO", "QUERY_STRING", "SERVER_NAME", "SERVER_PORT")
                return ["|".join(environ[key] for key in keys).encode()]
        """
        with _daemon(code) as daemon:
            daemon.start()
            self.assertEqual(daemon.answer(daemon.http("http://a.b/c?d")).body, b"/c|d|localhost|80")
            self.assertEqual(daemon.answer(daemon.http("?d", scheme="https")).body, b"|d|localhost|443")


class InputTest(unittest.TestCase):
    """``wsgi.input``."""

    def test_every_way_to_read(self) -> None:
        code = """
            import hashlib, json
            def handler(environ, start_response):
                body = environ["wsgi.input"]
                parts = [body.read(0), body.read(5), body.readline(), body.readline(3), body.readline()]
                parts += body.readlines(1)
                parts.append(next(body))
                start_response("200 OK", [])
                for part in parts:
                    yield part + b"|"
                size = sum(len(line) for line in body)
                yield b"%d|" % size
                yield body.read() + body.read(1) + body.readline()
        """
        data = b"12345 first\nsecond\nthird\nfourth\n" + b"x" * 99 + b"\n"
        data += (b"y" * 999 + b"\n") * 1000
        wanted = b"|12345| first\n|sec|ond\n|third\n|fourth\n|%d|" % (len(data) - 32)
        for concurrency in (1, 2):
            with self.subTest(concurrency), _daemon(code, handlerType="http", concurrency=concurrency) as daemon:
                daemon.start()
                self.assertEqual(_upload(daemon, daemon.http("/", "POST", end=False), data).body, wanted)
                self.assertEqual(daemon.answer(daemon.http("/", "POST", body=data[:40_000])).body[:13], wanted[:13])

    def test_credit_is_given_only_for_what_is_read(self) -> None:
        code = """
            def handler(environ, start_response):
                write = start_response("200 OK", [])
                write(b"go")
                environ["wsgi.input"].read(200_000)
                write(b"on")
                return []
        """
        with _daemon(code) as daemon:
            daemon.start()
            stream = daemon.http("/", "POST", end=False)
            while getattr(daemon.answers.get(stream), "body", b"") != b"go":
                daemon.step()
            for _ in range(4):
                daemon.send(frame.pack_data(stream, 0, b"x" * frame.DATA_MAX))
            answer = daemon.answer(stream)
            self.assertEqual(answer.body, b"goon")
            self.assertLessEqual(getattr(answer, "credit", 0), 4 * frame.DATA_MAX)
            self.assertEqual(daemon.answer(daemon.http("/", "POST")).body, b"goon")

    def test_a_reader_is_told_when_the_caller_goes(self) -> None:
        code = """
            def handler(environ, start_response):
                print("reading")
                try:
                    environ["wsgi.input"].read()
                except ConnectionAbortedError:
                    print("told")
                    raise
        """
        for concurrency in (1, 2):
            with self.subTest(concurrency), _daemon(code, concurrency=concurrency) as daemon:
                daemon.start()
                stream = daemon.http("/", "POST", end=False, body=b"a")
                daemon.step()
                daemon.send(frame.pack(frame.CANCEL, stream))
                answer = daemon.answer(stream)
                self.assertEqual((answer.error, answer.logs[1]), (None, "reading\ntold\n"))


class ResponseTest(unittest.TestCase):
    """What the application says."""

    def _answers(self, code: str, *urls: str, **more: object) -> list[Answer]:
        with _daemon(code, handlerType="http") as daemon:
            daemon.start()
            return [daemon.answer(daemon.http(url, **more)) for url in urls]

    def test_close_is_always_called_and_its_log_belongs_to_the_request(self) -> None:
        code = """
            class Body:
                def __init__(self, fails): self.fails = fails
                def __iter__(self):
                    yield b"one"
                    if self.fails: raise ValueError("midway")
                    yield b"two"
                def close(self): print("closed")
            def handler(environ, start_response):
                start_response("200 OK", [("A", "1")])
                return Body(environ["PATH_INFO"] == "/fail")
        """
        good, bad = self._answers(code, "/", "/fail")
        self.assertEqual((good.body, good.error, good.logs[1]), (b"onetwo", None, "closed\n"))
        self.assertEqual((bad.body, bad.error["errorMessage"], bad.logs[1]), (b"one", "midway", "closed\n"))

    def test_start_response_may_come_late_and_the_head_waits_for_a_byte(self) -> None:
        code = """
            import sys
            def handler(environ, start_response):
                yield b"" if environ["PATH_INFO"] == "/never" else start_response("200 OK", [("A", "1")]) and b""
                try:
                    raise KeyError
                except KeyError:
                    start_response("500 Oh", [("A", "2")], sys.exc_info())
                yield b"x"
        """
        (answer,) = self._answers(code, "/")
        self.assertEqual((answer.head, answer.body), ({"status": 500, "headers": ["A", "2"]}, b"x"))

    def test_exc_info_after_the_head_has_gone_raises(self) -> None:
        code = """
            import sys
            def handler(environ, start_response):
                start_response("200 OK", [])
                yield b"x"
                try:
                    raise KeyError("late")
                except KeyError:
                    start_response("500 Oh", [], sys.exc_info())
        """
        (answer,) = self._answers(code, "/")
        self.assertEqual((answer.body, answer.error["errorType"]), (b"x", "KeyError"))

    def test_mistakes_are_errors(self) -> None:
        code = """
            def handler(environ, start_response):
                path = environ["PATH_INFO"]
                if path == "/never": return [b"x"]
                if path == "/empty": return []
                if path == "/none": start_response("200 OK", []); return None
                if path == "/twice": start_response("200 OK", []); start_response("200 OK", [])
                if path == "/status": start_response("OK", [])
                if path == "/header": start_response("200 OK", [("A", "b\\r\\nC: d")])
                if path == "/number": start_response("200 OK", [("A", 1)])
                if path == "/text": start_response("200 OK", []); return ["text"]
                if path == "/huge": start_response("200 OK", [("A", "x" * 1_100_000)]); return [b"x"]
        """
        kinds = ("AssertionError", "AssertionError", "TypeError", "AssertionError", "ValueError", "ValueError")
        kinds += ("TypeError", "TypeError", "ValueError")
        urls = ("/never", "/empty", "/none", "/twice", "/status", "/header", "/number", "/text", "/huge")
        answers = self._answers(code, *urls)
        self.assertEqual([answer.error["errorType"] for answer in answers], list(kinds))
        self.assertEqual([answer.head for answer in answers], [None] * len(urls))

    def test_write_and_the_iterable_follow_each_other(self) -> None:
        code = """
            def handler(environ, start_response):
                write = start_response("200 OK", [])
                write(b"a")
                write(b"")
                write(b"b")
                return [b"c"]
        """
        (answer,) = self._answers(code, "/")
        self.assertEqual(answer.body, b"abc")

    def test_content_length_bounds_the_body_but_not_the_code(self) -> None:
        code = """
            def handler(environ, start_response):
                start_response("200 OK", [("content-length", "3")])
                if environ["PATH_INFO"] == "/list": return [b"abcdef"]
                return body()
            def body():
                yield b"ab"
                yield b"c"
                print("after the last byte")
                yield b"def"
                print("never")
        """
        for answer, log in zip(self._answers(code, "/", "/list"), ("after the last byte\n", "")):
            self.assertEqual(
                (answer.head["headers"], answer.body, answer.logs[1]), (["content-length", "3"], b"abc", log)
            )

    def test_head_and_statuses_without_a_body(self) -> None:
        code = """
            def handler(environ, start_response):
                start_response(environ["PATH_INFO"][1:], [("Content-Length", "3")])
                print("made")
                return iter([b"abc"]) if environ["QUERY_STRING"] else [b"abc"]
        """
        for url, method in (("/200?i", "HEAD"), ("/200", "HEAD"), ("/204", "GET"), ("/304?i", "GET")):
            with self.subTest(url):
                (answer,) = self._answers(code, url, method=method)
                self.assertEqual((answer.head["status"], answer.body), (int(url[1:4]), b""))
                self.assertEqual(answer.head["headers"], ["Content-Length", "3"])

    def test_file_wrapper(self) -> None:
        code = """
            import io
            class File(io.BytesIO):
                def close(self): print("closed")
            def handler(environ, start_response):
                start_response("200 OK", [])
                return environ["wsgi.file_wrapper"](File(b"x" * 1_000_000))
        """
        (answer,) = self._answers(code, "/")
        self.assertEqual((len(answer.body), answer.logs[1]), (1_000_000, "closed\n"))

    def test_latin_1_headers_and_many_of_them(self) -> None:
        code = """
            def handler(environ, start_response):
                start_response("200 OK", [("X", environ["HTTP_X"]), ("Set-Cookie", "a"), ("Set-Cookie", "b")])
                return (b"x",)
        """
        (answer,) = self._answers(code, "/", headers=["X", '\xe9"\\'])
        self.assertEqual(answer.head["headers"], ["X", '\xe9"\\', "Set-Cookie", "a", "Set-Cookie", "b"])

    def test_a_generator_ends_when_the_caller_goes(self) -> None:
        code = """
            def handler(environ, start_response):
                start_response("200 OK", [])
                try:
                    while True:
                        yield b"x" * 50_000
                except GeneratorExit:
                    print("told")
        """
        for concurrency in (1, 2):
            with self.subTest(concurrency), _daemon(code, concurrency=concurrency) as daemon:
                daemon.start()
                for _ in range(2):
                    stream = daemon.http("/")
                    daemon.step()
                    daemon.send(frame.pack(frame.CANCEL, stream))
                    answer = daemon.answer(stream)
                    self.assertEqual((answer.error, answer.logs[1]), (None, "told\n"))

    def test_wsgiref_s_validator_has_nothing_to_say(self) -> None:
        code = """
            from wsgiref.validate import validator
            def app(environ, start_response):
                body = environ["wsgi.input"].read(100)
                start_response("200 OK", [("Content-Type", "text/plain")])
                return [b"<", body, b">"]
            handler = validator(app)
        """
        with _daemon(code, handlerType="http") as daemon:
            daemon.start()
            answer = daemon.answer(daemon.http("/", "POST", body=b"body"))
            self.assertEqual((answer.error, answer.body), (None, b"<body>"))

    def test_many_at_once(self) -> None:
        code = """
            def handler(environ, start_response):
                start_response("200 OK", [])
                for block in iter(lambda: environ["wsgi.input"].read(10_000), b""):
                    print(environ["PATH_INFO"], len(block))
                    yield block
        """
        with _daemon(code, concurrency=8) as daemon:
            daemon.start()
            streams = [daemon.http("/%d" % i, "POST", end=False) for i in range(8)]
            for round_ in range(6):
                for stream in streams:
                    daemon.send(frame.pack_data(stream, int(round_ == 5), bytes([stream]) * 40_000))
            for i, stream in enumerate(streams):
                answer = daemon.answer(stream)
                self.assertEqual(answer.body, bytes([stream]) * 240_000)
                self.assertEqual(answer.logs[1], "/%d 10000\n" % i * 24)

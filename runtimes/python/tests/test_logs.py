"""What user code prints, and where it arrives."""

from __future__ import annotations

import textwrap
import unittest

from thaw_shim import frame
from thaw_shim.logs import _cut_lines

from .daemon import Daemon

_LINE = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z "


def _daemon(code: str, **specialize: object) -> Daemon:
    return Daemon({"index.py": textwrap.dedent(code)}, **specialize)


def _texts(frames: bytes) -> list[bytes]:
    reader = frame.FrameReader()
    view = memoryview(frames)
    texts = []
    while view:
        room = reader.room()
        count = min(len(room), len(view))
        room[:count] = view[:count]
        reader.received(count)
        view = view[count:]
        while True:
            one = reader.next()
            if one is None:
                break
            texts.append(bytes(one[2][1:]))
    return texts


class CutTest(unittest.TestCase):
    """Lines into frames."""

    def _cut(self, data: bytes) -> tuple[list[bytes], bytes]:
        tail = bytearray(data)
        return _texts(_cut_lines(1, 1, tail)), bytes(tail)

    def test_complete_lines_go_and_the_rest_stays(self) -> None:
        self.assertEqual(self._cut(b"a\nb\nc"), ([b"a\nb\n"], b"c"))
        self.assertEqual(self._cut(b"a"), ([], b"a"))
        self.assertEqual(self._cut(b""), ([], b""))

    def test_long_text_is_cut_between_lines_where_it_can_be(self) -> None:
        line = b"x" * 999 + b"\n"
        texts, tail = self._cut(line * 100 + b"rest")
        self.assertEqual(b"".join(texts), line * 100)
        self.assertEqual(tail, b"rest")
        self.assertTrue(all(text.endswith(b"\n") and len(text) <= frame.LOG_MAX for text in texts))

    def test_a_line_without_end_is_cut_at_a_character(self) -> None:
        for character in ("é", "世", "\U0001f600"):
            data = ("x" + character * 40_000).encode()
            texts, tail = self._cut(data)
            self.assertEqual(b"".join(texts) + tail, data)
            for text in texts:
                self.assertLessEqual(len(text), frame.LOG_MAX)
                text.decode()

    def test_exactly_one_frame(self) -> None:
        self.assertEqual(self._cut(b"x" * frame.LOG_MAX), ([b"x" * frame.LOG_MAX], b""))
        data = b"x" * (frame.LOG_MAX - 1) + b"\n"
        self.assertEqual(self._cut(data), ([data], b""))

    def test_bytes_that_are_no_text_become_text(self) -> None:
        self.assertEqual(self._cut(b"\xff\xfe\n"), (["\ufffd\ufffd\n".encode()], b""))
        texts, _ = self._cut(b"\x80" * 40_000 + b"\n")
        self.assertEqual(b"".join(texts).decode(), "\ufffd" * 40_000 + "\n")


class StreamsTest(unittest.TestCase):
    """``sys.stdout`` and ``sys.stderr``."""

    def test_they_look_like_the_real_ones(self) -> None:
        code = """
            import io, sys
            def handler(event, context):
                for name, stream in (("out", sys.stdout), ("err", sys.stderr)):
                    print("a", "b", sep="", file=stream, flush=True)
                    stream.buffer.write(b"bytes " + name.encode())
                    stream.buffer.write(bytearray(b" and\\n"))
                    stream.buffer.flush()
                    stream.writelines(["one\\n", "two\\n", "\\ud800\\n"])
                return [
                    sys.stdout.fileno(), sys.stderr.fileno(), sys.stdout.buffer.fileno(), sys.stdout.isatty(),
                    sys.stdout.encoding, sys.stdout.writable(), sys.stdout.readable(), sys.stdout.name,
                    isinstance(sys.stdout, io.TextIOBase), sys.stdout.closed,
                ]
        """
        with _daemon(code) as daemon:
            daemon.start()
            answer = daemon.invoke()
            self.assertEqual(answer.body, b'[1, 2, 1, false, "utf-8", true, false, "<stdout>", true, false]')
            self.assertEqual(answer.logs[1], "ab\nbytes out and\none\ntwo\n\\ud800\n")
            self.assertEqual(answer.logs[2], "ab\nbytes err and\none\ntwo\n\\ud800\n")

    def test_a_line_goes_at_once_and_a_crash_does_not_lose_it(self) -> None:
        code = """
            import os
            def handler(event, context):
                print("the last words")
                os._exit(9)
        """
        with _daemon(code) as daemon:
            daemon.start()
            stream = daemon.request()
            daemon.step()
            self.assertEqual(daemon.answers[stream].logs[1], "the last words\n")
            self.assertEqual(daemon.exit_code(), 9)

    def test_text_outside_invocations(self) -> None:
        code = """
            import threading
            print("loading")
            release = threading.Event()
            late = threading.Event()
            def later():
                late.wait()
                print("later")
            def initializer(context):
                print("initializing", end="")
            def handler(event, context):
                threading.Thread(target=later).start()
                return "ok"
            def pre_freeze(context):
                late.set()
        """
        for concurrency in (1, 2):
            function = {"initializer": "index.initializer", "preFreeze": "index.pre_freeze"}
            with self.subTest(concurrency), _daemon(code, function=function, concurrency=concurrency) as daemon:
                daemon.start()
                self.assertEqual(daemon.outside[1], "loading\ninitializing")
                daemon.invoke()
                daemon.stream += 1
                daemon.send(frame.pack(frame.HOOK, daemon.stream, b'{"hook":"preFreeze"}'))
                answer = daemon.answer(daemon.stream)
                while "later" not in daemon.outside[1] + answer.logs[1]:
                    daemon.step()

    def test_threads_of_the_user_s_write_to_their_invocation(self) -> None:
        code = """
            import threading, asyncio
            both = threading.Barrier(2, timeout=10)
            def handler(event, context):
                name = event.decode()
                both.wait()
                def inner():
                    print("inner", name)
                    thread = threading.Thread(target=print, args=("deep", name))
                    thread.start()
                    thread.join()
                thread = threading.Thread(target=inner)
                thread.start()
                thread.join()
                async def work():
                    await asyncio.get_running_loop().run_in_executor(None, both.wait)
                    print("task", name)
                asyncio.run(work())
        """
        with _daemon(code, concurrency=2) as daemon:
            daemon.start()
            for _ in range(3):
                streams = [(daemon.request(name.encode()), name) for name in ("a", "b")]
                for stream, name in streams:
                    answer = daemon.answer(stream)
                    self.assertIsNone(answer.error)
                    self.assertEqual(answer.logs[1], "inner {0}\ndeep {0}\ntask {0}\n".format(name))

    def test_an_exception_in_a_thread_is_printed(self) -> None:
        code = """
            import threading
            def handler(event, context):
                thread = threading.Thread(target=lambda: 1 / 0)
                thread.start()
                thread.join()
        """
        with _daemon(code) as daemon:
            daemon.start()
            answer = daemon.invoke()
            self.assertIsNone(answer.error)
            self.assertIn("ZeroDivisionError", answer.logs[2])

    def test_many_threads_never_mix_their_lines(self) -> None:
        code = """
            import threading
            def handler(event, context):
                def work(name):
                    for _ in range(200):
                        print((name * 50) + "\\n", end="")
                threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
                for thread in threads: thread.start()
                for thread in threads: thread.join()
        """
        with _daemon(code) as daemon:
            daemon.start()
            lines = daemon.invoke().logs[1].splitlines()
            self.assertEqual(sorted(lines), sorted(name * 50 for name in "abcd" for _ in range(200)))


class LoggingTest(unittest.TestCase):
    """The root logger and the context's."""

    def test_root_and_context(self) -> None:
        code = """
            def handler(event, context):
                import logging
                logging.getLogger().debug("not shown")
                logging.info("plain")
                logging.getLogger("a.b").warning("named %d", 1)
                context.logger.error("from the context")
                try:
                    1 / 0
                except ZeroDivisionError:
                    context.logger.exception("caught")
        """
        with _daemon(code) as daemon:
            daemon.start()
            for _ in range(2):
                answer = daemon.invoke(id="1-x")
                lines = answer.logs[1].splitlines()
                for line, text in zip(
                    lines,
                    (r"\[INFO\] plain", r"\[WARNING\] named 1", r"\[ERROR\] from the context", r"\[ERROR\] caught"),
                ):
                    self.assertRegex(line, _LINE + "1-x " + text + "$")
                self.assertEqual(
                    (lines[4], lines[-1]), ("Traceback (most recent call last):", "ZeroDivisionError: division by zero")
                )
                self.assertEqual(answer.logs[2], "")

    def test_basic_config_at_import_changes_nothing_and_levels_can_be_set(self) -> None:
        code = """
            import logging
            logging.basicConfig(level=logging.DEBUG)
            logging.info("at load")
            def handler(event, context):
                context.logger.setLevel("DEBUG")
                context.logger.debug("now shown")
        """
        with _daemon(code) as daemon:
            daemon.start()
            self.assertRegex(daemon.outside[1], _LINE + r"c-1 \[INFO\] at load\n$")
            self.assertRegex(daemon.invoke().logs[1], r"\[DEBUG\] now shown\n$")

    def test_a_module_of_the_user_s_named_logging(self) -> None:
        with Daemon(
            {"index.py": "import logging\ndef handler(e, c): return logging.x", "logging.py": "x = 'mine'"}
        ) as daemon:
            daemon.start()
            self.assertEqual(daemon.invoke().body, b"mine")

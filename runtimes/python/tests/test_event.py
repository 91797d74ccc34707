"""Event handlers, their context, their errors, and the life of the process."""

from __future__ import annotations

import json
import os
import textwrap
import unittest

from thaw_shim import frame

from .daemon import Daemon


def _daemon(code: str, **specialize: object) -> Daemon:
    return Daemon({"index.py": textwrap.dedent(code)}, **specialize)


class ResultTest(unittest.TestCase):
    """Section 4."""

    def test_the_programming_model_runs_as_it_stands(self) -> None:
        code = """
            import json
            def handler(event, context):
                evt = json.loads(event)
                result = 'hello %s' % evt.get('name', 'world')
                return result
        """
        with _daemon(code) as daemon:
            daemon.start()
            self.assertEqual(daemon.invoke(b"{}").body, b"hello world")
            self.assertEqual(daemon.invoke(b'{"name": "thaw"}').body, b"hello thaw")

    def test_every_kind_of_result(self) -> None:
        code = """
            import array
            def handler(event, context):
                return eval(event)
        """
        with _daemon(code) as daemon:
            daemon.start()
            for source, body in (
                ("b'\\x00\\xff'", b"\x00\xff"),
                ("bytearray(b'ab')", b"ab"),
                ("memoryview(b'abcd')[::2]", b"ac"),
                ("memoryview(array.array('H', [1, 2]))", b"\1\0\2\0"),
                ("'ü'", "ü".encode()),
                ("None", b""),
                ("{'a': [1, None, 'x']}", b'{"a": [1, null, "x"]}'),
                ("0", b"0"),
                ("False", b"false"),
                ("''", b""),
            ):
                with self.subTest(source):
                    self.assertEqual(daemon.invoke(source.encode()).body, body)
            self.assertEqual(daemon.invoke(b"{1, 2}").error["errorType"], "TypeError")
            self.assertEqual(daemon.invoke(b"'\\ud800'").error["errorType"], "UnicodeEncodeError")

    def test_coroutines_share_one_loop(self) -> None:
        code = """
            import asyncio
            loops = []
            async def initializer(context):
                loops.append(asyncio.get_running_loop())
            async def handler(event, context):
                await asyncio.sleep(0)
                print("from a task")
                if event == b"raise":
                    raise KeyError("k")
                return "same" if loops[0] is asyncio.get_running_loop() else "other"
        """
        with _daemon(code, function={"initializer": "index.initializer"}) as daemon:
            daemon.start()
            self.assertEqual([kind for kind, _ in daemon.started], [frame.INITIALIZING, frame.READY])
            answer = daemon.invoke()
            self.assertEqual((answer.body, answer.logs[1]), (b"same", "from a task\n"))
            self.assertEqual(daemon.invoke(b"raise").error["errorType"], "KeyError")
            self.assertEqual(daemon.invoke().body, b"same")

    def test_a_large_answer_waits_for_credit(self) -> None:
        with _daemon("def handler(event, context): return b'x' * 1_000_000") as daemon:
            daemon.start()
            stream = daemon.request()
            while len(getattr(daemon.answers.get(stream), "body", b"")) < frame.WINDOW:
                daemon.step(grant=False)
            daemon.socket.settimeout(0.1)
            with self.assertRaises(OSError):
                daemon.step(grant=False)
            daemon.socket.settimeout(20)
            daemon.send(frame.pack_credit(stream, frame.WINDOW))
            self.assertEqual(len(daemon.answer(stream).body), 1_000_000)

    def test_a_large_answer_that_is_cancelled_ends(self) -> None:
        for concurrency in (1, 2):
            code = "def handler(event, context): return b'x' * 1_000_000"
            with self.subTest(concurrency), _daemon(code, concurrency=concurrency) as daemon:
                daemon.start()
                stream = daemon.request()
                daemon.step(grant=False)
                daemon.send(frame.pack(frame.CANCEL, stream))
                answer = daemon.answer(stream, grant=False)
                self.assertIsNone(answer.error)
                self.assertLessEqual(len(answer.body), frame.WINDOW)
                self.assertEqual(len(daemon.invoke().body), 1_000_000)


class ContextTest(unittest.TestCase):
    """Function Compute's attributes."""

    def test_all_of_them(self) -> None:
        code = """
            def handler(event, context):
                c, f, s, t = context.credentials, context.function, context.service, context.tracing
                return [
                    context.request_id, context.retry_count, context.region, context.account_id,
                    context.log_project, context.log_store,
                    c.access_key_id, c.access_key_secret, c.security_token,
                    f.name, f.handler, f.memory, f.timeout, f.version_id, f.qualifier,
                    s.name, s.log_project, s.log_store, s.qualifier, s.version_id,
                    t.open_tracing_span_context, t.open_tracing_span_baggages, t.jaeger_endpoint,
                ]
        """
        with _daemon(code, logProject="p", logStore="s") as daemon:
            daemon.start()
            answer = daemon.invoke(id="1-a", retry=2, qualifier="prod", versionId="7")
            self.assertEqual(
                json.loads(answer.body),
                ["1-a", 2, "local", "1", "p", "s", "", "", ""]
                + ["f", "index.handler", 128, 3, "7", "prod"]
                + ["", "p", "s", "prod", "7", "", {}, ""],
            )
            self.assertEqual(json.loads(daemon.invoke().body)[13:15], ["LATEST", "LATEST"])


class ErrorTest(unittest.TestCase):
    """Section 2 and 7."""

    def test_a_stack_trace_has_only_the_user_s_frames(self) -> None:
        code = """
            def handler(event, context):
                return inner()
            def inner():
                raise ValueError("bad")
        """
        with _daemon(code) as daemon:
            daemon.start()
            file = os.path.join(daemon.code, "index.py")
            self.assertEqual(
                daemon.invoke().error,
                {
                    "errorType": "ValueError",
                    "errorMessage": "bad",
                    "stackTrace": [
                        [file, 3, "handler", "return inner()"],
                        [file, 5, "inner", 'raise ValueError("bad")'],
                    ],
                    "handled": False,
                },
            )

    def test_errors_that_are_hard_to_tell(self) -> None:
        code = """
            class Odd(Exception):
                def __str__(self): raise RuntimeError
            def handler(event, context):
                if event == b"odd": raise Odd
                if event == b"deep": return handler(event, context)
                if event == b"long": raise Exception("x" * 5_000_000)
                if event == b"surrogate": raise Exception("\\ud800")
                raise KeyboardInterrupt
        """
        with _daemon(code) as daemon:
            daemon.start()
            self.assertEqual(daemon.invoke(b"odd").error["errorType"], "Odd")
            self.assertEqual(daemon.invoke(b"deep").error["errorType"], "RecursionError")
            self.assertEqual(len(daemon.invoke(b"long").error["errorMessage"]), 32_768)
            self.assertEqual(daemon.invoke(b"surrogate").error["errorMessage"], "\ud800")
            self.assertEqual(daemon.invoke(b"").error["errorType"], "KeyboardInterrupt")

    def test_an_exit_ends_every_stream_and_the_process(self) -> None:
        code = """
            import sys, threading
            both = threading.Barrier(2, timeout=10)
            def handler(event, context):
                both.wait()
                if event == b"exit": sys.exit(0)
                threading.Event().wait()
        """
        with _daemon(code, concurrency=2) as daemon:
            daemon.start()
            streams = daemon.request(b"exit"), daemon.request(b"wait")
            for stream in streams:
                self.assertEqual(daemon.answer(stream).error["errorType"], "SystemExit")
            self.assertEqual(daemon.exit_code(), 1)

    def test_an_exit_in_the_one_slot(self) -> None:
        with _daemon("def handler(event, context): raise SystemExit(4)") as daemon:
            daemon.start()
            error = daemon.invoke().error
            self.assertEqual((error["errorType"], error["errorMessage"], error["handled"]), ("SystemExit", "4", False))
            self.assertTrue(error["fatal"], "the process ends because of it")
            self.assertEqual(daemon.exit_code(), 1)


class HookTest(unittest.TestCase):
    """HOOK and HOOK_END."""

    def _hook(self, daemon: Daemon, name: str) -> dict:
        daemon.stream += 1
        daemon.send(frame.pack(frame.HOOK, daemon.stream, json.dumps({"hook": name}).encode()))
        return daemon.answer(daemon.stream).hook

    def test_configured_or_not(self) -> None:
        code = """
            def handler(event, context): return "ok"
            def freeze(context): print("freezing", end="")
            def stop(context): raise ValueError(context.request_id)
        """
        for concurrency in (1, 3):
            function = {"preFreeze": "index.freeze", "preStop": "index.stop", "postThaw": None}
            with self.subTest(concurrency), _daemon(code, function=function, concurrency=concurrency) as daemon:
                daemon.start()
                self.assertEqual(self._hook(daemon, "preFreeze"), {})
                self.assertEqual(daemon.answers[daemon.stream].logs[1], "freezing")
                self.assertEqual(self._hook(daemon, "postThaw")["error"]["errorType"], "HandlerNotFound")
                self.assertEqual(self._hook(daemon, "preStop")["error"]["errorMessage"], "c-1")
                self.assertEqual(daemon.invoke().body, b"ok")


class ProcessTest(unittest.TestCase):
    """What happens to the link when the process does odd things."""

    def test_it_exits_when_the_daemon_closes_though_a_handler_runs(self) -> None:
        for concurrency in (1, 2):
            code = """
                import time
                def handler(event, context):
                    print("running")
                    time.sleep(60)
            """
            with self.subTest(concurrency), _daemon(code, concurrency=concurrency) as daemon:
                daemon.start()
                stream = daemon.request()
                while "running" not in getattr(daemon.answers.get(stream), "logs", {1: ""})[1]:
                    daemon.step()
                daemon.socket.close()
                self.assertEqual(daemon.exit_code(), 0)

    def test_forked_children_stay_off_the_link(self) -> None:
        code = """
            import os, subprocess, sys
            def handler(event, context):
                pid = os.fork()
                if pid == 0:
                    print("in the child")
                    if event == b"exit": sys.exit(7)
                    if event == b"raise": raise ValueError("child")
                    return "from the child"
                return str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """
        for concurrency in (1, 2):
            with self.subTest(concurrency), _daemon(code, concurrency=concurrency) as daemon:
                daemon.start()
                for event, body in ((b"return", b"0"), (b"exit", b"7"), (b"raise", b"1")):
                    answer = daemon.invoke(event)
                    self.assertEqual((answer.body, answer.logs[1]), (body, ""))
            self.assertEqual(daemon.output.count("in the child\n"), 3)
            self.assertIn("ValueError: child", daemon.output)

    def test_multiprocessing_and_subprocess(self) -> None:
        code = """
            import multiprocessing, subprocess, sys
            def work(x):
                print("working")
                return x * 2
            def handler(event, context):
                with multiprocessing.get_context(event.decode()).Pool(2) as pool:
                    numbers = pool.map(work, [1, 2, 3])
                    # Leaving the block ends the workers by a signal; a spawned one would lose what it has buffered.
                    pool.close()
                    pool.join()
                subprocess.run(["echo", "a child's line"], stdout=sys.stdout, check=True)
                return numbers
        """
        with _daemon(code) as daemon:
            daemon.start()
            for method in (b"fork", b"spawn"):
                self.assertEqual(daemon.invoke(method).body, b"[2, 4, 6]")
        # Two processes write a word and its end of line one after the other, so the lines of both may mix.
        self.assertEqual(daemon.output.count("working"), 6)
        self.assertEqual(daemon.output.count("a child's line\n"), 2)

    def test_signal_handlers_work_in_a_handler_and_between_two(self) -> None:
        code = """
            import signal, time
            def ring(*_):
                print("ring")
                raise TimeoutError("rang")
            signal.signal(signal.SIGALRM, ring)
            def handler(event, context):
                signal.setitimer(signal.ITIMER_REAL, 0.02 if event == b"wait" else 0.5)
                if event == b"wait":
                    time.sleep(10)
                return "ok"
        """
        with _daemon(code) as daemon:
            daemon.start()
            self.assertEqual(daemon.invoke(b"wait").error["errorMessage"], "rang")
            self.assertEqual(daemon.invoke(b"").body, b"ok")
            while "TimeoutError: rang" not in daemon.outside[2]:
                daemon.step()
            self.assertEqual(daemon.outside[1], "ring\n")
            self.assertEqual(daemon.invoke(b"wait").error["errorMessage"], "rang")

    def test_what_breaks_the_protocol_ends_the_process(self) -> None:
        for data in (
            frame.pack(frame.READY, 0, b"{}"),
            frame.pack(frame.SPECIALIZE, 0, b"{}"),
            frame.pack_head(frame.REQUEST, 0, 1, b"{}", b""),
            frame.pack_head(frame.REQUEST, 1, 1, b"[]", b""),
            b"\0\0\0\0",
        ):
            with self.subTest(data), _daemon("def handler(event, context): pass") as daemon:
                daemon.start()
                daemon.send(data)
                self.assertEqual(daemon.exit_code(), 1)

    def test_a_sender_beyond_its_window_breaks_the_protocol(self) -> None:
        code = """
            import threading
            def handler(environ, start_response):
                start_response("200 OK", [])
                yield b"waiting"
                threading.Event().wait()
        """
        with _daemon(code, concurrency=2) as daemon:
            daemon.start()
            stream = daemon.http(end=False)
            daemon.step()
            for _ in range(5):
                daemon.send(frame.pack_data(stream, 0, b"x" * frame.DATA_MAX))
            self.assertEqual(daemon.exit_code(), 1)

    def test_frames_for_streams_that_ended_are_dropped(self) -> None:
        with _daemon("def handler(event, context): return event") as daemon:
            daemon.start()
            stream = daemon.request(b"1")
            daemon.answer(stream)
            daemon.send(frame.pack_data(stream, 1, b"x") + frame.pack_credit(stream, 5) + frame.pack(frame.CANCEL, 99))
            self.assertEqual(daemon.invoke(b"2").body, b"2")

    def test_the_link_is_not_inherited(self) -> None:
        code = """
            import os, subprocess
            def handler(event, context):
                return subprocess.run(["ls", "-l", "/proc/self/fd"], stdout=subprocess.PIPE, close_fds=False).stdout
        """
        with _daemon(code) as daemon:
            daemon.start()
            self.assertNotIn(b"socket", daemon.invoke().body)

    def test_a_signal_handler_may_throw_out_of_a_print(self) -> None:
        code = """
            import signal
            class Ring(Exception): pass
            def ring(*_):
                print("ring")
                raise Ring
            signal.signal(signal.SIGALRM, ring)
            def handler(event, context):
                try:
                    signal.setitimer(signal.ITIMER_REAL, 0.001)
                    while True:
                        print("x" * 100)
                except Ring:
                    return "rang"
        """
        with _daemon(code) as daemon:
            daemon.start()
            for _ in range(200):
                answer = daemon.invoke()
                self.assertEqual((answer.error, answer.body), (None, b"rang"))
                self.assertEqual(answer.logs[1].count("ring"), 1)

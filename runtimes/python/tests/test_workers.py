"""More slots than one: who runs what, and that nobody waits for long."""

from __future__ import annotations

import json
import textwrap
import unittest

from thaw_shim import frame

from .daemon import Daemon

SLOTS = 16


def _daemon(code: str) -> Daemon:
    return Daemon({"index.py": textwrap.dedent(code)}, concurrency=SLOTS)


def _requests(daemon: Daemon, *bodies: bytes) -> list[int]:
    """Sends requests that arrive together."""
    streams = []
    frames = b""
    for body in bodies:
        daemon.stream += 1
        streams.append(daemon.stream)
        head = json.dumps({"id": "1-%d" % daemon.stream, "kind": "event", "deadline": 0}).encode()
        frames += frame.pack_head(frame.REQUEST, daemon.stream, frame.END, head, body)
    daemon.send(frames)
    return streams


class WorkersTest(unittest.TestCase):
    """docs/RUNTIMES.md promises nothing of threads, only that slots are slots."""

    def test_fast_invocations_then_slow_ones_side_by_side(self) -> None:
        code = """
            import threading
            all_of_them = threading.Barrier(16, timeout=15)
            def handler(event, context):
                if event == b"slow":
                    all_of_them.wait()
                return event + context.request_id.encode()
        """
        with _daemon(code) as daemon:
            daemon.start()
            for _ in range(3):
                for _ in range(20):
                    streams = _requests(daemon, *[b"fast"] * SLOTS)
                    for stream in streams:
                        self.assertEqual(daemon.answer(stream).body, b"fast1-%d" % stream)
                streams = _requests(daemon, *[b"slow"] * SLOTS)
                for stream in streams:
                    self.assertEqual(daemon.answer(stream).body, b"slow1-%d" % stream)

    def test_what_is_finished_does_not_wait_for_what_is_not(self) -> None:
        code = """
            import threading
            go = threading.Event()
            def handler(event, context):
                if event == b"wait":
                    go.wait(15)
                if event == b"go":
                    go.set()
                print("did", event.decode())
                return event
        """
        with _daemon(code) as daemon:
            daemon.start()
            daemon.invoke(b"")
            before, stuck, behind = _requests(daemon, b"before", b"wait", b"behind")
            self.assertEqual(daemon.answer(before).body, b"before")
            self.assertEqual(daemon.answer(behind).body, b"behind")
            self.assertEqual(daemon.invoke(b"go").body, b"go")
            answer = daemon.answer(stuck)
            self.assertEqual((answer.body, answer.logs[1]), (b"wait", "did wait\n"))

    def test_a_handler_may_wait_for_its_own_body(self) -> None:
        code = """
            def handler(event, context):
                return str(len(event))
        """
        with _daemon(code) as daemon:
            daemon.start()
            self.assertEqual(daemon.invoke(b"x").body, b"1")
            stream = daemon.request(b"x" * 10, end=False)
            self.assertEqual(daemon.invoke(b"yy").body, b"2")
            daemon.send(frame.pack_data(stream, frame.END, b"x" * 5))
            self.assertEqual(daemon.answer(stream).body, b"15")

    def test_an_invocation_s_lines_find_home_whoever_runs_it(self) -> None:
        code = """
            import threading, time
            def handler(event, context):
                time.sleep(int(event) / 1000)
                helper = threading.Thread(target=print, args=("by a thread of", context.request_id))
                helper.start()
                helper.join()
                print("by", context.request_id)
        """
        with _daemon(code) as daemon:
            daemon.start()
            for _ in range(3):
                for stream in _requests(daemon, *[b"0", b"3"] * 8):
                    logs = daemon.answer(stream).logs[1]
                    self.assertEqual(logs, "by a thread of 1-%d\nby 1-%d\n" % (stream, stream))

"""The daemon's side of the link, as far as the tests of one shim need it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile

from thaw_shim import frame

SHIM = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "shim.py")

#: Seconds after which a shim that says nothing has failed the test.
PATIENCE = 20


class Answer:
    """All that came on one stream, up to its end."""

    def __init__(self) -> None:
        self.head = None
        self.body = b""
        self.error = None
        self.hook = None
        self.logs = {1: "", 2: ""}


class Daemon:
    """Starts a shim with the given files as its code package; stops it and cleans up on exit."""

    def __init__(self, files: dict[str, str], handler: str = "index.handler", **specialize: object) -> None:
        self.directory = tempfile.mkdtemp(prefix="thaw-python-")
        self.code = os.path.join(self.directory, "code")
        self.layer = os.path.join(self.directory, "opt")
        os.mkdir(self.layer)
        for name, text in files.items():
            path = os.path.join(self.code, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        function = {"name": "f", "handler": handler, "memory": 128, "timeout": 3, "initializer": None}
        function.update({"versionId": "LATEST", "qualifier": "LATEST"})
        function.update(specialize.pop("function", {}))
        self.specialize = {
            "instanceId": "c-1",
            "function": function,
            "handlerType": "auto",
            "codePath": self.code,
            "layerPath": self.layer,
            "environment": {},
            "concurrency": 1,
            "region": "local",
            "accountId": "1",
            "logProject": "",
            "logStore": "",
            **specialize,
        }
        self.answers = {}
        self.outside = {1: "", 2: ""}
        self.frames = []
        self.stream = 0
        self.reader = frame.FrameReader()

    def __enter__(self) -> Daemon:
        path = os.path.join(self.directory, "link")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
            server.listen(1)
            server.settimeout(PATIENCE)
            environment = {**os.environ, "THAW_LINK": path}
            self.process = subprocess.Popen(
                [sys.executable, "-u", "-B", SHIM],
                env=environment,
                cwd=self.code,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            self.socket, _ = server.accept()
        self.socket.settimeout(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
        try:
            self.output = self.process.communicate(timeout=PATIENCE)[0].decode()
        finally:
            self.process.kill()
            self.process.wait()
            shutil.rmtree(self.directory)

    def next(self) -> tuple[int, int, bytes]:
        """The next frame; EOFError when the shim has closed."""
        while True:
            found = self.reader.next()
            if found is not None:
                return found[0], found[1], bytes(found[2])
            count = self.socket.recv_into(self.reader.room())
            if count == 0:
                raise EOFError
            self.reader.received(count)

    def send(self, data: bytes) -> None:
        """Sends whole frames, or what the test wants to be none."""
        self.socket.sendall(data)

    def boot(self) -> dict:
        """HELLO and SPECIALIZE; returns the HELLO."""
        kind, _, payload = self.next()
        assert kind == frame.HELLO, kind
        self.send(frame.pack(frame.SPECIALIZE, 0, json.dumps(self.specialize).encode()))
        return json.loads(payload)

    def start(self) -> Daemon:
        """Up to READY or START_FAILED, which stand in ``started`` with the frames before them."""
        self.boot()
        self.started = []
        while True:
            kind, stream, payload = self.next()
            if kind == frame.LOG:
                self.outside[payload[0]] += payload[1:].decode()
                continue
            self.started.append((kind, json.loads(payload) if payload else None))
            if kind in (frame.READY, frame.START_FAILED):
                return self

    def request(self, body: bytes = b"", end: bool = True, **head: object) -> int:
        """Sends a REQUEST; returns its stream."""
        self.stream += 1
        head = {"id": "1-%d" % self.stream, "kind": "event", "deadline": 0, **head}
        self.send(frame.pack_head(frame.REQUEST, self.stream, int(end), json.dumps(head).encode(), body))
        return self.stream

    def http(self, url: str = "/", method: str = "GET", headers: tuple = (), body: bytes = b"", **more: object) -> int:
        """Sends a REQUEST of kind http."""
        head = {"method": method, "url": url, "base": "", "headers": list(headers), "remote": "10.0.0.1"}
        return self.request(body, kind="http", **{**head, "scheme": "http", **more})

    def answer(self, stream: int, grant: bool = True) -> Answer:
        """Reads until the stream ends."""
        while True:
            answer = self.answers.setdefault(stream, Answer())
            if getattr(answer, "ended", False):
                return answer
            self.step(grant)

    def step(self, grant: bool = True) -> tuple[int, int, bytes]:
        """Reads one frame and keeps what it says."""
        kind, stream, payload = self.next()
        self.frames.append((kind, stream))
        if kind == frame.LOG and stream == 0:
            self.outside[payload[0]] += payload[1:].decode()
            return kind, stream, payload
        answer = self.answers.setdefault(stream, Answer())
        assert not getattr(answer, "ended", False), "a frame after the end of its stream"
        if kind == frame.LOG:
            answer.logs[payload[0]] += payload[1:].decode()
        elif kind in (frame.RESPONSE, frame.DATA):
            if kind == frame.RESPONSE:
                flags, head, body = frame.split_head(memoryview(payload))
                answer.head = json.loads(bytes(head))
            else:
                flags, body = frame.split_data(memoryview(payload))
                assert len(body) <= frame.DATA_MAX
            answer.body += body
            answer.ended = bool(flags & frame.END)
            if grant and body and not answer.ended:
                self.send(frame.pack_credit(stream, len(body)))
        elif kind == frame.ERROR:
            answer.error = json.loads(payload)
            answer.ended = True
        elif kind == frame.HOOK_END:
            answer.hook = json.loads(payload)
            answer.ended = True
        elif kind == frame.CREDIT:
            answer.credit = getattr(answer, "credit", 0) + struct.unpack(">I", payload)[0]
        else:
            raise AssertionError("frame 0x%02x" % kind)
        return kind, stream, payload

    def invoke(self, body: bytes = b"", **head: object) -> Answer:
        """One event, from request to end."""
        return self.answer(self.request(body, **head))

    def exit_code(self) -> int:
        """Waits for the shim to end."""
        return self.process.wait(timeout=PATIENCE)

"""What user code prints: it travels in LOG frames on the stream of the invocation that printed it."""

from __future__ import annotations

import io
import os
import sys

from .exchange import Exchange
from .frame import LOG_MAX, pack_log
from .lean import RLock
from .link import release_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from .link import Link

STDOUT = 1
STDERR = 2


class Logs:
    """Cuts what is written into lines and sends each line as soon as it is complete.

    Lines are not held back for the answer: those that come before a crash are the ones that matter most.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._lock = RLock()
        self._outside: dict[int, bytearray] = {}
        self._instance_id = ""
        #: The invocation that the calling thread works for.
        self.current: Callable[[], Optional[Exchange]] = _nothing
        link.end_log = self._end
        self.stdout = _text_stream(self, STDOUT)
        self.stderr = _text_stream(self, STDERR)

    def replace_streams(self, instance_id: str) -> None:
        """Puts ours in the place of ``sys.stdout`` and ``sys.stderr``."""
        self._instance_id = instance_id
        sys.stdout = self.stdout
        sys.stderr = self.stderr

    def request_id(self) -> str:
        """The id of the request that the calling thread works for; outside of requests the instance's own."""
        exchange = self.current()
        return (exchange.request_id if exchange is not None else "") or self._instance_id

    def write(self, source: int, data: bytes) -> None:
        """Takes bytes that were written to a source (1 stdout, 2 stderr)."""
        if self._link.forked:
            # A child of user code: the link is not its own, but the descriptors are.
            _write_fully(source, data)
            return
        with self._lock:
            exchange = self.current()
            if exchange is None or exchange.closed:
                stream, tails = 0, self._outside
            else:
                stream = exchange.stream
                if exchange.tails is None:
                    exchange.tails = {}
                tails = exchange.tails
            tail = tails.get(source)
            if tail is None:
                tail = tails[source] = bytearray()
            tail += data
            if b"\n" in data or len(tail) >= LOG_MAX:
                frames = _cut_lines(stream, source, tail)
                self._link.send(frames)

    def end_outside(self) -> None:
        """Sends the lines under way that belong to no invocation."""
        with self._lock:
            frames = _end_tails(0, self._outside)
            if frames:
                self._link.send(frames)

    def _end(self, exchange: Exchange) -> bytes:
        release_all(self._lock)
        # Under the lock: a thread of the user's that prints at this moment is either before the end or outside.
        with self._lock:
            exchange.closed = True
            return _end_tails(exchange.stream, exchange.tails) if exchange.tails else b""


class _Source(io.BufferedIOBase):
    """The binary layer of ``sys.stdout`` or ``sys.stderr``."""

    def __init__(self, logs: Logs, source: int) -> None:
        self._logs = logs
        self._source = source
        self.name = "<stdout>" if source == STDOUT else "<stderr>"
        self.mode = "wb"

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        """The descriptor itself, for children that inherit it."""
        return self._source

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        self._logs.write(self._source, data if isinstance(data, bytes) else bytes(data))
        return size


def _text_stream(logs: Logs, source: int) -> io.TextIOWrapper:
    # Write-through: a text that never became bytes would be lost when the process ends.
    return io.TextIOWrapper(
        _Source(logs, source), encoding="utf-8", errors="backslashreplace", newline="\n", write_through=True
    )


def _cut_lines(stream: int, source: int, tail: bytearray) -> bytes:
    """Takes the complete lines, or as much as a frame must not exceed, from the front of ``tail``."""
    frames = []
    start = 0
    complete = tail.rfind(b"\n") + 1
    while True:
        limit = start + LOG_MAX
        if len(tail) < limit:
            end = complete
        else:
            # Lines stay whole where they can; a character always does.
            end = tail.rfind(b"\n", start, limit) + 1 or _character_end(tail, limit)
        if end <= start:
            break
        frames.append(pack_log(stream, source, _utf8(tail[start:end])))
        start = end
    del tail[:start]
    return b"".join(frames)


def _end_tails(stream: int, tails: dict[int, bytearray]) -> bytes:
    frames = b"".join(pack_log(stream, source, _utf8(tail)) for source, tail in tails.items() if tail)
    tails.clear()
    return frames


def _character_end(data: bytearray, limit: int) -> int:
    """The last place up to ``limit`` where no UTF-8 character is cut."""
    for end in range(limit, limit - 4, -1):
        if end == len(data) or data[end] & 0xC0 != 0x80:
            return end
    return limit


def _utf8(data: bytearray) -> bytes:
    """The bytes as valid UTF-8: through ``sys.stdout.buffer`` anything can come."""
    return bytes(data) if data.isascii() else data.decode("utf-8", "replace").encode("utf-8")


def _write_fully(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _nothing() -> None:
    return None


class LoggingHook:
    """Gives ``logging`` its handler at the moment somebody imports it.

    Function Compute's root logger has a handler and level INFO before user code runs. Importing ``logging`` at boot
    only for that would cost every cold start several milliseconds, also of functions that never log.
    """

    def __init__(self, logs: Logs) -> None:
        self._logs = logs

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """The importer's question for a module: ours is ``logging`` and nothing else, and only once."""
        if name != "logging":
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                break
        else:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            self.install(module)

        spec.loader.exec_module = exec_module
        return spec

    def install(self, logging: Any) -> None:
        """Adds the handler to the root logger."""
        if not hasattr(logging, "StreamHandler"):
            # The code package has a module of that name; it is not the standard library's.
            return
        global _ready_handler
        handler = _ready_handler
        if handler is None:
            handler = _add_handler(logging)
        # Another import of ``logging`` would be another instance's, which there is not.
        _ready_handler = None
        handler.stream = self._logs.stdout
        handler.formatter.logs = self._logs


#: Of the root logger, where it was made before anybody knew whose logs it will write.
_ready_handler: Any = None


def make_logging_ready() -> None:
    """For a process that is forked into instances: what ``watch_logging`` would do in each of them, but for its stream."""
    global _ready_handler
    import logging

    _ready_handler = _add_handler(logging)


def _add_handler(logging: Any) -> Any:
    import time

    class Formatter(logging.Formatter):
        """``2022-04-01T10:04:19.024Z <request id> [INFO] message``."""

        #: Set with the handler's stream.
        logs: Any = None

        def __init__(self) -> None:
            super().__init__("%(asctime)s %(request_id)s [%(levelname)s] %(message)s")

        def format(self, record: Any) -> str:
            record.request_id = self.logs.request_id()
            return super().format(record)

        def formatTime(self, record: Any, datefmt: object = None) -> str:  # noqa: N802
            whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            return "%s.%03dZ" % (whole, record.created % 1 * 1000)

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    return handler


def watch_logging(logs: Logs) -> None:
    """Sees to it that ``logging`` writes where the platform expects it, whenever it is imported."""
    hook = LoggingHook(logs)
    if "logging" in sys.modules:
        hook.install(sys.modules["logging"])
    else:
        sys.meta_path.insert(0, hook)

"""One stream of the link as the shim sees it: an invocation or a hook."""

from __future__ import annotations

from .frame import (
    DATA_MAX,
    END,
    ERROR,
    HEAD_OVERHEAD,
    HOOK_END,
    PAYLOAD_MAX,
    RESPONSE,
    WINDOW,
    ProtocolError,
    pack,
    pack_credit,
    pack_data,
    pack_head,
)
from .lean import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from threading import Condition

    from .link import Link

#: Consumed bytes are granted in portions of this size, or earlier when the reader is about to wait.
_GRANT_AT = WINDOW // 4

#: Larger answers leave alone.
_TOGETHER_MAX = 16_384

_GONE = "nobody waits for the answer any more"


class Exchange:
    """One invocation: the body that has come, the answer that goes, and what may still be under way.

    Two sides touch it: whoever reads the link calls ``arrived``, ``granted`` and ``cancel``, whoever runs the handler
    calls the rest. Every counter has one writer, so that the sides need a lock only to wait for each other.
    """

    # What most exchanges never change stands in the class: making one is part of every invocation.

    #: Lines under way, by source; see Logs.
    tails: dict[int, bytearray] | None = None
    #: Wakes the worker that waits for this exchange; made by the first wait, see ``Link.wait``.
    changed: Condition | None = None
    #: Nobody waits for the answer any more.
    cancelled = False
    #: The frame that ends the stream has been handed to the link.
    closed = False
    #: The answer may leave together with others that are finished at the same time.
    unhurried = False
    #: All of the request body, where it came with the request and has not been taken.
    _whole: bytes | None = None
    _chunks: deque[bytes]
    _request_ended = False
    _responded = False
    _arrived = 0
    _taken = 0
    _owed = 0
    _credit = WINDOW
    _sent = 0

    def __init__(self, link: Link, stream: int, request_id: str = "") -> None:
        self._link = link
        self.stream = stream
        self.request_id = request_id

    # What the reader of the link tells.

    def opened(self, flags: int, body: memoryview) -> None:
        """What of the request body came with the request."""
        if flags & END and len(body) <= WINDOW:
            self._whole = bytes(body)
            self._request_ended = True
            return
        self._chunks = deque()
        self.arrived(flags, body)

    def arrived(self, flags: int, body: memoryview) -> None:
        """A further piece of the request body."""
        if self._request_ended:
            raise ProtocolError("stream %d goes on after its end" % self.stream)
        self._arrived += len(body)
        if self._arrived - self._taken > WINDOW:
            raise ProtocolError("stream %d sends more than its window" % self.stream)
        if body:
            self._chunks.append(bytes(body))
        if flags & END:
            self._request_ended = True

    def granted(self, count: int) -> None:
        """The daemon has consumed ``count`` bytes of the answer."""
        self._credit += count

    def cancel(self) -> None:
        """Nobody waits for the answer any more."""
        self.cancelled = True

    # What the handler's side does.

    def whole_body(self) -> bytes | None:
        """The request body if all of it is here and nothing has been taken yet."""
        whole = self._whole
        if whole is not None:
            self._whole = None
            self._chunks = deque()
            return whole
        if not self._request_ended:
            return None
        chunks = self._chunks
        if len(chunks) == 1:
            return chunks.popleft()
        body = b"".join(chunks)
        chunks.clear()
        return body

    def read_body(self) -> bytes:
        """All of the request body, granted as it comes."""
        body = self.whole_body()
        return b"".join(iter(self.take, b"")) if body is None else body

    def take(self) -> bytes:
        """The next piece of the request body, empty at its end."""
        if self._whole is not None:
            return self.whole_body() or b""
        chunks = self._chunks
        if not chunks:
            if not self._request_ended:
                self._grant()
                self._link.wait(self, self._can_take)
            if not chunks:
                if self._request_ended:
                    return b""
                raise ConnectionAbortedError(_GONE)
        chunk = chunks.popleft()
        self._taken += len(chunk)
        self._owed += len(chunk)
        if self._owed >= _GRANT_AT:
            self._grant()
        return chunk

    def respond(self, head: bytes, body: bytes | bytearray | memoryview, end: bool) -> None:
        """The head, with as much of the body as one frame may carry, then the rest of the body."""
        if len(head) + HEAD_OVERHEAD + DATA_MAX > PAYLOAD_MAX:
            raise ValueError("the head of the response has %d bytes" % len(head))
        size = len(body)
        self._responded = True
        if size <= DATA_MAX:
            self._sent = size
            if not end:
                self._link.send(pack_head(RESPONSE, self.stream, 0, head, body))
                return
            frames = self._close() + pack_head(RESPONSE, self.stream, END, head, body)
            if self.unhurried and size <= _TOGETHER_MAX:
                self._link.send_soon(frames)
            else:
                self._link.send(frames)
            return
        view = memoryview(body)
        self._sent = DATA_MAX
        self._link.send(pack_head(RESPONSE, self.stream, 0, head, view[:DATA_MAX]))
        self.write(view[DATA_MAX:], end)

    def write(self, body: bytes | bytearray | memoryview, end: bool = False) -> None:
        """More of the answer; waits for the window. After a CANCEL it raises ConnectionAbortedError."""
        view = memoryview(body)
        while view:
            if not self.closed:
                self._link.poll()
                if self._sent >= self._credit:
                    self._link.wait(self, self._can_write)
            if self.cancelled or self.closed:
                raise ConnectionAbortedError(_GONE)
            size = min(len(view), DATA_MAX, self._credit - self._sent)
            self._sent += size
            last = end and size == len(view)
            logs = self._close() if last else b""
            self._link.send(logs + pack_data(self.stream, END if last else 0, view[:size]))
            view = view[size:]

    def finish(self, head: bytes = b"{}") -> None:
        """Ends the answer where it is; ``head`` goes along if none has gone yet."""
        if self.closed:
            return
        if not self._responded:
            self.respond(head, b"", True)
        else:
            logs = self._close()
            self._link.send(logs + pack_data(self.stream, END))

    def fail(self, error: bytes) -> None:
        """Ends the stream with the error that the function made."""
        if not self.closed:
            logs = self._close()
            self._link.send(logs + pack(ERROR, self.stream, error))

    def _close(self) -> bytes:
        """Takes the exchange off the link. The log frames that it returns must stand before the end."""
        return self._link.close_exchange(self)

    def _grant(self) -> None:
        # At the end of the body there is nothing left that credit could be for.
        if self._owed and not self._request_ended:
            owed, self._owed = self._owed, 0
            self._link.send(pack_credit(self.stream, owed))

    def _can_take(self) -> bool:
        return bool(self._chunks) or self._request_ended or self.cancelled or self.closed

    def _can_write(self) -> bool:
        return self._sent < self._credit or self.cancelled or self.closed


class HookExchange(Exchange):
    """A run of a hook: it has no bodies and an end of its own."""

    _request_ended = True

    def finish(self, head: bytes = b"{}") -> None:
        """The hook has run."""
        if not self.closed:
            logs = self._close()
            self._link.send(logs + pack(HOOK_END, self.stream, head))

    def fail(self, error: bytes) -> None:
        """The hook threw."""
        self.finish(b'{"error":' + error + b"}")

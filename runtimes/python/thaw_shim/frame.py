"""The frames of the link, byte for byte as in docs/RUNTIMES.md section 2."""

from __future__ import annotations

from struct import Struct

HELLO = 0x01
SPECIALIZE = 0x02
INITIALIZING = 0x03
READY = 0x04
START_FAILED = 0x05
HOOK = 0x06
HOOK_END = 0x07
LOADED = 0x09
PROCEED = 0x0A
REQUEST = 0x10
DATA = 0x11
CREDIT = 0x12
CANCEL = 0x13
RESPONSE = 0x14
ERROR = 0x15
LOG = 0x16

#: The only flag: no further body follows.
END = 0x01

#: Bytes of payload in one frame.
PAYLOAD_MAX = 1_048_576
#: Body bytes under way in one direction of one stream.
WINDOW = 262_144
#: Body bytes in one DATA frame, so that streams share the connection fairly.
DATA_MAX = 65_536
#: Bytes of text in one LOG frame.
LOG_MAX = 32_768

#: Bytes that ``length`` counts besides the payload: type and stream.
_OVERHEAD = 5
_LENGTH_MAX = PAYLOAD_MAX + _OVERHEAD
#: Bytes before the head in a payload that has one: flags and headLength.
HEAD_OVERHEAD = 5

_KINDS = frozenset(
    (HELLO, SPECIALIZE, INITIALIZING, READY, START_FAILED, HOOK, HOOK_END, LOADED, PROCEED)
    + (REQUEST, DATA, CREDIT, CANCEL, RESPONSE, ERROR, LOG)
)

_U32 = Struct(">I")
_FRAME = Struct(">IBI")
_FRAME_FLAGS = Struct(">IBIB")
_FRAME_HEAD = Struct(">IBIBI")
_FRAME_CREDIT = Struct(">IBII")
_HEAD = Struct(">BI")

_BUFFER_BYTES = 131_072
#: Holds what most instances are ever told at once; the whole of a buffer is memory of its own from the start.
_FIRST_BUFFER_BYTES = 8192


class ProtocolError(Exception):
    """The other side broke the contract of the link; the connection is of no use any more."""


def pack(kind: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame whose payload is taken as it is."""
    return _FRAME.pack(len(payload) + _OVERHEAD, kind, stream) + payload


def pack_head(kind: int, stream: int, flags: int, head: bytes, body: bytes | bytearray | memoryview) -> bytes:
    """A REQUEST or RESPONSE."""
    length = _OVERHEAD + HEAD_OVERHEAD + len(head) + len(body)
    return b"".join((_FRAME_HEAD.pack(length, kind, stream, flags, len(head)), head, body))


def pack_data(stream: int, flags: int, body: bytes | bytearray | memoryview = b"") -> bytes:
    """A DATA frame."""
    return b"".join((_FRAME_FLAGS.pack(len(body) + 6, DATA, stream, flags), body))


def pack_credit(stream: int, count: int) -> bytes:
    """A CREDIT frame: the receiver has consumed ``count`` bytes more."""
    return _FRAME_CREDIT.pack(9, CREDIT, stream, count)


def pack_log(stream: int, source: int, text: bytes) -> bytes:
    """A LOG frame; ``source`` is 1 for stdout and 2 for stderr."""
    return _FRAME_FLAGS.pack(len(text) + 6, LOG, stream, source) + text


def split_head(payload: memoryview) -> tuple[int, memoryview, memoryview]:
    """Flags, head and body of a REQUEST or RESPONSE."""
    if len(payload) < HEAD_OVERHEAD:
        raise ProtocolError("a head frame of %d bytes" % len(payload))
    flags, length = _HEAD.unpack_from(payload)
    body = HEAD_OVERHEAD + length
    if body > len(payload):
        raise ProtocolError("a head of %d bytes in a frame of %d" % (length, len(payload)))
    if flags > END:
        raise ProtocolError("unknown flags 0x%02x" % flags)
    return flags, payload[HEAD_OVERHEAD:body], payload[body:]


def split_data(payload: memoryview) -> tuple[int, memoryview]:
    """Flags and body of a DATA frame."""
    if not payload:
        raise ProtocolError("a DATA frame without flags")
    if payload[0] > END:
        raise ProtocolError("unknown flags 0x%02x" % payload[0])
    return payload[0], payload[1:]


def split_credit(payload: memoryview) -> int:
    """The bytes that a CREDIT frame grants."""
    if len(payload) != 4:
        raise ProtocolError("a CREDIT of %d bytes" % len(payload))
    return _U32.unpack(payload)[0]


class FrameReader:
    """Cuts what arrives into frames.

    Payloads are views of one reused buffer, because most of them are looked at once and never kept: a view is good
    until the next call of ``room``.
    """

    __slots__ = ("_buffer", "_end", "_start", "_view")

    def __init__(self) -> None:
        self._allocate(_FIRST_BUFFER_BYTES)
        self._start = 0
        self._end = 0

    def next(self) -> tuple[int, int, memoryview] | None:
        """Type, stream and payload of the next complete frame, if there is one."""
        start = self._start
        have = self._end - start
        if have < 9:
            # Too short for the smallest frame; what is there of the length is judged with the rest.
            if have >= 4:
                self._check_length(start)
            return None
        length, kind, stream = _FRAME.unpack_from(self._buffer, start)
        if not _OVERHEAD <= length <= _LENGTH_MAX:
            self._check_length(start)
        if have < 4 + length:
            return None
        if kind not in _KINDS:
            raise ProtocolError("a frame of unknown type 0x%02x" % kind)
        self._start = end = start + 4 + length
        return kind, stream, self._view[start + 9 : end]

    def _check_length(self, start: int) -> None:
        length = _U32.unpack_from(self._buffer, start)[0]
        if not _OVERHEAD <= length <= _LENGTH_MAX:
            raise ProtocolError("a frame of length %d" % length)

    def room(self) -> memoryview:
        """Where to receive: never empty, and after enough rounds the frame under way fits."""
        start, end = self._start, self._end
        if start == end:
            if end == len(self._buffer) < _BUFFER_BYTES:
                # There was more than it holds, and is likely to be again.
                self._allocate(_BUFFER_BYTES)
            self._start = self._end = 0
            return self._view
        have = end - start
        needed = 4 + _U32.unpack_from(self._buffer, start)[0] if have >= 4 else 4
        if start + needed > len(self._buffer) or end == len(self._buffer):
            rest = bytes(self._view[start:end])
            if needed > len(self._buffer):
                self._allocate(max(needed, _BUFFER_BYTES))
            self._buffer[:have] = rest
            self._start, self._end = 0, have
        return self._view[self._end :]

    def received(self, count: int) -> None:
        """``count`` bytes have arrived in ``room``."""
        self._end += count

    def _allocate(self, size: int) -> None:
        # Never resized: a view that user code still holds would forbid it.
        self._buffer = bytearray(size)
        self._view = memoryview(self._buffer)

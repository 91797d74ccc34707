"""The codec against the vectors that every shim's codec must pass."""

from __future__ import annotations

import json
import os
import unittest

from thaw_shim import frame, lean

_VECTORS = os.path.join(os.path.dirname(__file__), "..", "..", "conformance", "frames.json")
_JSON = ("HELLO", "SPECIALIZE", "READY", "START_FAILED", "HOOK", "HOOK_END", "ERROR")
_SOURCES = {1: "stdout", 2: "stderr"}


def _vectors() -> dict:
    with open(_VECTORS, encoding="utf-8") as file:
        return json.load(file)


def _text(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _encode(meaning: dict) -> bytes:
    name, stream = meaning["type"], meaning["stream"]
    kind = getattr(frame, name)
    end = frame.END if meaning.get("end") else 0
    if name in _JSON:
        return frame.pack(kind, stream, _text(meaning["json"]))
    if name in ("REQUEST", "RESPONSE"):
        return frame.pack_head(kind, stream, end, _text(meaning["head"]), bytes.fromhex(meaning["bodyHex"]))
    if name == "DATA":
        return frame.pack_data(stream, end, bytes.fromhex(meaning["bodyHex"]))
    if name == "CREDIT":
        return frame.pack_credit(stream, meaning["credit"])
    if name == "LOG":
        source = {"stdout": 1, "stderr": 2}[meaning["source"]]
        return frame.pack_log(stream, source, meaning["text"].encode())
    return frame.pack(kind, stream)


def _decode(kind: int, stream: int, payload: memoryview) -> dict:
    name = next(key for key in _NAMES if getattr(frame, key) == kind)
    meaning: dict = {"type": name, "stream": stream}
    if name in _JSON:
        meaning["json"] = lean.decode_json(payload)
    elif name in ("REQUEST", "RESPONSE"):
        flags, head, body = frame.split_head(payload)
        meaning.update(head=lean.decode_json(head), end=flags == frame.END, bodyHex=body.hex())
    elif name == "DATA":
        flags, body = frame.split_data(payload)
        meaning.update(end=flags == frame.END, bodyHex=body.hex())
    elif name == "CREDIT":
        meaning["credit"] = frame.split_credit(payload)
    elif name == "LOG":
        meaning.update(source=_SOURCES[payload[0]], text=str(payload[1:], "utf-8"))
    return meaning


_NAMES = (*_JSON, "INITIALIZING", "LOADED", "PROCEED", "REQUEST", "DATA", "CREDIT", "CANCEL", "RESPONSE", "LOG")


def _read(reader: frame.FrameReader, data: bytes) -> list[dict]:
    found = []
    view = memoryview(data)
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
            found.append(_decode(*one))
    return found


@unittest.skipUnless(os.path.exists(_VECTORS), "there are no vectors")
class VectorsTest(unittest.TestCase):
    """frames.json."""

    def test_frames_mean_what_they_say(self) -> None:
        for vector in _vectors()["frames"]:
            with self.subTest(vector["name"]):
                data = bytes.fromhex(vector["hex"])
                meaning = {key: value for key, value in vector.items() if key not in ("name", "hex")}
                self.assertEqual(_read(frame.FrameReader(), data), [meaning])
                self.assertEqual(_encode(meaning), data)

    def test_frames_arrive_however_they_are_cut(self) -> None:
        vectors = _vectors()
        for stream in vectors["streams"]:
            with self.subTest(stream["name"]):
                reader = frame.FrameReader()
                found = [one for chunk in stream["chunks"] for one in _read(reader, bytes.fromhex(chunk))]
                wanted = [
                    _read(frame.FrameReader(), bytes.fromhex(vectors["frames"][i]["hex"]))[0] for i in stream["frames"]
                ]
                self.assertEqual(found, wanted)

    def test_what_is_invalid_is_refused(self) -> None:
        for vector in _vectors()["invalid"]:
            with self.subTest(vector["name"]), self.assertRaises((frame.ProtocolError, ValueError)):
                _read(frame.FrameReader(), bytes.fromhex(vector["hex"]))


class FrameReaderTest(unittest.TestCase):
    """The buffer."""

    def test_a_frame_of_the_largest_size_fits(self) -> None:
        reader = frame.FrameReader()
        data = frame.pack(frame.HELLO, 0, b'"' + b"x" * (frame.PAYLOAD_MAX - 2) + b'"')
        for _ in range(3):
            found = _read(reader, b"".join((frame.pack(frame.CANCEL, 1), data, frame.pack(frame.CANCEL, 2))))
            self.assertEqual([one["type"] for one in found], ["CANCEL", "HELLO", "CANCEL"])
            self.assertEqual(len(found[1]["json"]), frame.PAYLOAD_MAX - 2)


class JsonTest(unittest.TestCase):
    """The scanner without ``json``."""

    def test_it_reads_what_json_reads(self) -> None:
        for value in (None, True, 1, -1.5, 1e300, "grüße \n \U0001f600", [1, [2]], {"a": {"b": [None]}}):
            text = json.dumps(value)
            self.assertEqual(lean.decode_json(memoryview(text.encode())), value)

    def test_it_refuses_what_is_no_json(self) -> None:
        for text in (b"", b"{", b"nope", b"}", b"\xff"):
            with self.subTest(text), self.assertRaises(ValueError):
                lean.decode_json(memoryview(text))

"""What the shim needs of the standard library at boot, taken from the C modules below the public ones.

``socket`` pulls in ``selectors`` and ``enum``, ``json`` pulls in ``re``: together they double the boot time of a bare
interpreter. The C modules are the same in every CPython from 3.9 on; an interpreter without them gets the public ones.
"""

from __future__ import annotations

__all__ = ("AF_UNIX", "MSG_DONTWAIT", "RLock", "Socket", "allocate_lock", "decode_json", "deque", "quote")

try:
    from _collections import deque
    from _json import encode_basestring_ascii as quote
    from _json import make_scanner
    from _socket import AF_UNIX, MSG_DONTWAIT
    from _socket import socket as Socket
    from _thread import RLock, allocate_lock

    class _Rules:
        """What ``json.JSONDecoder`` would tell the scanner."""

        strict = False
        object_hook = None
        object_pairs_hook = None
        parse_float = float
        parse_int = int
        parse_constant = float
        memo: dict[str, str] = {}

    _scan = make_scanner(_Rules())
except ImportError:
    import json
    from collections import deque
    from json.encoder import encode_basestring_ascii as quote
    from socket import AF_UNIX, MSG_DONTWAIT
    from socket import socket as Socket
    from threading import Lock as allocate_lock
    from threading import RLock

    _scan = json.JSONDecoder(strict=False).scan_once


def decode_json(text: memoryview) -> object:
    """The value of JSON text that has no space around it, as every head of a frame."""
    try:
        return _scan(str(text, "utf-8"), 0)[0]
    except StopIteration:
        raise ValueError("not JSON") from None

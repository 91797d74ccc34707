"""How an exception of the user's code is told to the daemon. Imported when the first one is thrown."""

from __future__ import annotations

import json
import linecache
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Optional

#: Characters of a name, of a message, and of one line of source. As JSON each may take twelve bytes, and all of it must
#: fit into one frame.
_NAME_MAX = 256
_MESSAGE_MAX = 32_768
_SOURCE_MAX = 128
#: Frames at each end of a stack trace; a recursion without end has a thousand in between.
_FRAMES_MAX = 100

_OUR_OWN = os.path.dirname(os.path.abspath(__file__)) + os.sep


def describe(error: BaseException) -> bytes:
    """The Error of docs/RUNTIMES.md section 2, with Function Compute's stack trace: a list of lists."""
    description: dict[str, object] = {
        "errorType": getattr(error, "error_type", type(error).__name__)[:_NAME_MAX],
        "errorMessage": _message(error),
        "stackTrace": _stack_trace(error),
        "handled": False,
    }
    if isinstance(error, SystemExit):
        description["fatal"] = True
    return json.dumps(description).encode("ascii")


def _message(error: BaseException) -> str:
    try:
        return str(error)[:_MESSAGE_MAX]
    except Exception as unprintable:
        return "<the message could not be made: %s>" % type(unprintable).__name__


def _stack_trace(error: BaseException) -> list[list[object]]:
    frames = list(_user_frames(error.__traceback__))
    if isinstance(error, SyntaxError) and error.filename and not hasattr(error, "error_type"):
        frames.append((error.filename, error.lineno or 0, "<module>"))
    if len(frames) > 2 * _FRAMES_MAX:
        frames[_FRAMES_MAX:-_FRAMES_MAX] = []
    return [[name, line, function, _source(name, line)] for name, line, function in frames]


def _user_frames(traceback: Optional[TracebackType]) -> Iterator[tuple[str, int, str]]:
    while traceback is not None:
        code = traceback.tb_frame.f_code
        name = code.co_filename
        if not name.startswith((_OUR_OWN, "<frozen importlib")):
            yield name, traceback.tb_lineno or 0, code.co_name
        traceback = traceback.tb_next


def _source(name: str, line: int) -> str:
    return linecache.getline(name, line).strip()[:_SOURCE_MAX]

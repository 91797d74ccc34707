"""Event handlers: bytes and a context in, anything out."""

from __future__ import annotations

from .context import Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Union

    from .context import Contexts
    from .exchange import Exchange


class EventHandler:
    """Calls ``handler(event, context)`` for each request."""

    kind = "event"

    def __init__(self, handler: Callable[[bytes, Context], object], contexts: Contexts) -> None:
        self._handler = handler
        self._contexts = contexts

    def __call__(self, exchange: Exchange, head: dict) -> None:
        event = exchange.read_body()
        body = result_bytes(settle(self._handler(event, Context(self._contexts, head))))
        exchange.respond(b"{}", body, True)


def settle(result: object) -> object:
    """What a call of user code really returns: a coroutine is run to its end."""
    if hasattr(type(result), "__await__"):
        from .coroutine import run

        return run(result)
    return result


def result_bytes(result: object) -> Union[bytes, bytearray]:
    """The answer that a handler's result becomes, docs/RUNTIMES.md section 4."""
    if isinstance(result, (bytes, bytearray)):
        return result
    if isinstance(result, str):
        return result.encode("utf-8")
    if result is None:
        return b""
    if isinstance(result, memoryview):
        # Also of wider items and with gaps: what counts are its bytes.
        return result.tobytes()
    import json

    return json.dumps(result).encode("utf-8")

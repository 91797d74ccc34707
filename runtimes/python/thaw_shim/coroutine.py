"""Runs coroutines of user code. Imported when the first handler returns one, because asyncio is large."""

from __future__ import annotations

import asyncio
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable

_of_thread = threading.local()


def run(awaitable: Awaitable[object]) -> object:
    """The result of a coroutine.

    The loop stays with its thread, unlike that of ``asyncio.run``: clients that user code keeps between invocations
    are bound to the loop they were made in.
    """
    loop = getattr(_of_thread, "loop", None)
    if loop is None or loop.is_closed():
        loop = _of_thread.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
    return loop.run_until_complete(_wait_for(awaitable))


async def _wait_for(awaitable: Awaitable[object]) -> object:
    return await awaitable

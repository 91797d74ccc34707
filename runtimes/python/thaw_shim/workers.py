"""Threads that run invocations side by side. Imported only where an instance has more than one slot."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from queue import SimpleQueue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Optional

    from .exchange import Exchange

_current: ContextVar[Optional[Exchange]] = ContextVar("thaw_exchange", default=None)


class Workers:
    """As many threads as there ever were invocations at once, at most one for each slot."""

    def __init__(self, slots: int, run: Callable[[Exchange, object], None]) -> None:
        self._slots = slots
        self._run = run
        self._jobs: SimpleQueue[tuple[Exchange, object]] = SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._threads = 0
        _let_threads_inherit()

    def submit(self, exchange: Exchange, what: object) -> None:
        """Gives a job to an idle thread, else to a new one, else to the first that becomes idle."""
        self._jobs.put((exchange, what))
        with self._lock:
            if self._idle > 0:
                self._idle -= 1
                return
            if self._threads >= self._slots:
                return
            self._threads += 1
        threading.Thread(target=self._work, name="thaw-%d" % self._threads, daemon=True).start()

    def current(self) -> Optional[Exchange]:
        """The exchange that the calling thread works for, or else the one that started the thread."""
        exchange = _current.get()
        if exchange is None:
            return getattr(threading.current_thread(), "_thaw_exchange", None)
        return exchange

    def _work(self) -> None:
        while True:
            exchange, what = self._jobs.get()
            token = _current.set(exchange)
            try:
                self._run(exchange, what)
            finally:
                _current.reset(token)
                # Nothing of an invocation stays alive while the thread waits for the next.
                del exchange, what
            with self._lock:
                self._idle += 1


def _let_threads_inherit() -> None:
    """Makes a thread that user code starts remember for which invocation, so that its log lines find home."""
    start = threading.Thread.start

    def remember_and_start(thread: threading.Thread) -> None:
        thread._thaw_exchange = _current.get() or getattr(threading.current_thread(), "_thaw_exchange", None)
        start(thread)

    threading.Thread.start = remember_and_start

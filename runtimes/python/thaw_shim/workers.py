"""Threads that run invocations side by side. Imported only where an instance has more than one slot."""

from __future__ import annotations

import threading
from _thread import allocate_lock, get_ident
from contextvars import ContextVar
from queue import SimpleQueue
from time import perf_counter, sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Optional

    from .exchange import Exchange
    from .link import Link

    Job = tuple[Exchange, object]

_current: ContextVar[Optional[Exchange]] = ContextVar("thaw_exchange", default=None)

#: A handler of which the lookout sees the same invocation twice this far apart is not waited for any longer.
_TICK_S = 0.001
#: Ticks without an invocation after which the lookout sleeps until it is woken.
_TICKS_IDLE = 10
#: Handlers that take longer on average get a thread each: by then the switch costs little, and waiting much.
_SLOW_S = 0.0001
#: What one invocation may count for in that average, so that a single pause of the machine does not decide.
_COUNTED_S_MAX = 0.0004
_AVERAGED = 8
#: Answers that are finished wait so long at most for those behind them.
_HELD_S = 0.0002
#: Invocations that get a thread each before the leader tries one itself again; doubled while that turns out wrong.
_SPREAD_MIN = 64
_SPREAD_MAX = 4096
#: So many in a row in the leader's thread make it forget how often it was wrong before.
_STREAK = 256


class Workers:
    """At most one thread for each slot, and one more that reads the link: the leader.

    A thread switch for each invocation costs more than most handlers do. So the leader runs them itself, one after the
    other, and their answers leave together. When one turns out to wait or to work long, another thread becomes the leader
    and the rest get threads of their own for a while::

        leader:   read ─▶ run, run, run ─▶ send ─▶ read ...
        lookout:  the same run since my last look? ─▶ another thread leads from here

    An invocation thus waits for another for about two milliseconds, once, and then side by side with it.
    """

    def __init__(self, link: Link, slots: int, run: Callable[[Exchange, object], None]) -> None:
        self._link = link
        self._threads_max = slots + 1
        self._run = run
        #: None: become the leader.
        self._jobs: SimpleQueue[Optional[Job]] = SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._threads = 0
        #: Of the present leader: one entry while it runs a handler. Whoever takes that out decides who leads.
        self._term: list[int] = []
        self._leader = 0
        #: Counts what leaders ran themselves.
        self._turn = 0
        #: Invocations that still get a thread each.
        self._spread = 0
        self._spread_next = _SPREAD_MIN
        self._average = 0.0
        self._streak = 0
        self._is_dozing = False
        self._alarm = allocate_lock()
        self._alarm.acquire()
        link.before_wait = self._step_aside
        _let_threads_inherit()

    def current(self) -> Optional[Exchange]:
        """The exchange that the calling thread works for, or else the one that started the thread."""
        exchange = _current.get()
        if exchange is None:
            return getattr(threading.current_thread(), "_thaw_exchange", None)
        return exchange

    def start(self) -> None:
        """Begins to take what the daemon sends."""
        self._submit(None)

    def look_out(self) -> None:
        """Sees to it that nobody waits for a slow handler. For the main thread, where signal handlers run; never returns."""
        seen = idle = 0
        while True:
            if idle >= _TICKS_IDLE:
                self._doze(seen)
                idle = 0
            sleep(_TICK_S)
            turn = self._turn
            if turn != seen:
                seen, idle = turn, 0
            elif self._term:
                self._depose(self._term)
            else:
                idle += 1

    def _doze(self, seen: int) -> None:
        self._is_dozing = True
        # A leader that begins between these lines finds the mark.
        if not self._term and self._turn == seen:
            self._alarm.acquire()
        self._is_dozing = False

    def _wake_lookout(self) -> None:
        self._is_dozing = False
        try:
            self._alarm.release()
        except RuntimeError:
            # It was awake already.
            pass

    def _depose(self, term: list[int]) -> None:
        try:
            term.pop()
        except IndexError:
            # The handler has ended at this moment.
            return
        self._spread_out()
        self._submit(None)

    def _step_aside(self) -> None:
        """This thread is about to wait for frames, which somebody else has to read then."""
        if self._leader == get_ident():
            self._depose(self._term)

    def _submit(self, job: Optional[Job]) -> None:
        """Gives a job to an idle thread, else to a new one, else to the first that becomes idle."""
        self._jobs.put(job)
        with self._lock:
            if self._idle > 0:
                self._idle -= 1
                return
            if self._threads >= self._threads_max:
                return
            self._threads += 1
        threading.Thread(target=self._work, name="thaw-%d" % self._threads, daemon=True).start()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                self._lead()
            else:
                _current.set(job[0])
                self._run(*job)
            # Nothing of an invocation stays alive while the thread waits for the next.
            del job
            _current.set(None)
            with self._lock:
                self._idle += 1

    def _lead(self) -> None:
        """Reads the link until a handler takes too long."""
        link, run = self._link, self._run
        term: list[int] = []
        self._term = term
        self._leader = get_ident()
        # What the leader before had finished.
        link.flush()
        held_since = 0.0
        while True:
            if not link.has_work:
                link.flush()
                _current.set(None)
                exchange = None
            exchange, what = link.next_work()
            if self._spread:
                self._spread -= 1
                self._submit((exchange, what))
                continue
            exchange.unhurried = True
            self._turn += 1
            term.append(self._turn)
            if self._is_dozing:
                self._wake_lookout()
            _current.set(exchange)
            began = perf_counter()
            run(exchange, what)
            ended = perf_counter()
            try:
                term.pop()
            except IndexError:
                link.flush()
                return
            self._judge(ended - began)
            if not link.has_unsent:
                held_since = ended
            elif ended - held_since > _HELD_S:
                link.flush()
                held_since = ended

    def _judge(self, took: float) -> None:
        average = self._average = self._average + (min(took, _COUNTED_S_MAX) - self._average) / _AVERAGED
        if average > _SLOW_S:
            self._spread_out()
            return
        self._streak += 1
        if self._streak == _STREAK:
            self._spread_next = _SPREAD_MIN

    def _spread_out(self) -> None:
        self._spread = self._spread_next
        self._spread_next = min(2 * self._spread_next, _SPREAD_MAX)
        self._streak = 0
        # The first try after this decides alone.
        self._average = _SLOW_S


def _let_threads_inherit() -> None:
    """Makes a thread that user code starts remember for which invocation, so that its log lines find home."""
    start = threading.Thread.start

    def remember_and_start(thread: threading.Thread) -> None:
        thread._thaw_exchange = _current.get() or getattr(threading.current_thread(), "_thaw_exchange", None)
        start(thread)

    threading.Thread.start = remember_and_start

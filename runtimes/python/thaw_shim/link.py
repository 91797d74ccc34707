"""The connection to the daemon."""

from __future__ import annotations

import os

from .exchange import Exchange, HookExchange
from .frame import (
    CANCEL,
    CREDIT,
    DATA,
    HOOK,
    PROCEED,
    REQUEST,
    SPECIALIZE,
    FrameReader,
    ProtocolError,
    split_credit,
    split_data,
    split_head,
)
from .lean import AF_UNIX, MSG_DONTWAIT, RLock, Socket, allocate_lock, decode_json, deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, NoReturn

    #: A request with its head, or a hook with its name.
    Work = tuple[Exchange, Any]

#: Streams open at once. The daemon opens no more than there are slots, which are far fewer.
_EXCHANGES_MAX = 1024


class Link:
    """Frames both ways over one socket.

    With one slot the handler's thread reads the link itself whenever it has to wait (``poll`` and ``wait``): a call
    then costs no switch of threads. With more slots one of the workers calls ``next_work`` at a time, see Workers.
    """

    def __init__(self, path: str) -> None:
        # Not inheritable by programs that user code executes, like every descriptor that Python opens.
        self._socket = Socket(AF_UNIX)
        self._socket.connect(path)
        self._reader = FrameReader()
        self._receiving = allocate_lock()
        self._sending = RLock()
        #: Frames that leave before whatever is sent next, in this order.
        self._unsent: deque[bytes] = deque()
        self._backlog: deque[Work] = deque()
        self._last_stream = 0
        #: Bytes have been received that are not yet accounted for.
        self._torn = False
        #: The streams that have not ended.
        self.exchanges: dict[int, Exchange] = {}
        #: This process is a child that user code forked: the link is its parent's.
        self.forked = False
        #: Whether another thread reads the link while a handler waits; set once, before the first request.
        self.threaded = False
        #: Called by a handler's thread that is about to wait for the link: it may be the one that reads it.
        self.before_wait: Callable[[], None] = _nothing
        #: Ends the log of an exchange, see Logs; returns the frames for the line under way.
        self.end_log: Callable[[Exchange], bytes] = _no_log
        os.register_at_fork(after_in_child=self._leave)

    # Sending.

    def send(self, frames: bytes) -> None:
        """Writes whole frames, whichever thread asks."""
        if self._sending._is_owned():
            # The same thread again: a signal handler of the user's that prints. Its frame waits for the one below.
            self._unsent.append(frames)
            return
        with self._sending:
            try:
                # What waits goes first, also what a signal handler left that threw before the ``finally`` could know of it.
                if self._unsent:
                    self._unsent.append(frames)
                else:
                    self._send_whole(frames)
            finally:
                self._send_unsent()

    def send_soon(self, frames: bytes) -> None:
        """Leaves with the next frames that are sent, or with ``flush``; whoever calls this sees to that."""
        self._unsent.append(frames)

    @property
    def has_unsent(self) -> bool:
        """Something waits for ``flush``."""
        return bool(self._unsent)

    def flush(self) -> None:
        """Writes what ``send_soon`` took, in one piece."""
        if self._unsent:
            self.send(b"")

    def _send_unsent(self) -> None:
        unsent = self._unsent
        while unsent:
            frames = [unsent.popleft()]
            try:
                while True:
                    frames.append(unsent.popleft())
            except IndexError:
                self._send_whole(b"".join(frames))

    def _send_whole(self, frames: bytes) -> None:
        """Sends all of it, even where a signal handler of the user's throws meanwhile; that goes on afterwards."""
        view = memoryview(frames)
        sent: list[int] = []
        thrown = None
        while True:
            try:
                rest = view[sum(sent) :]
                while rest:
                    # One step for the interpreter: no signal handler runs between the call and the note of its result.
                    sent.extend(map(self._socket.send, (rest,)))
                    rest = view[sum(sent) :]
                break
            except BaseException as error:
                # The socket's own errors have a number.
                if isinstance(error, OSError) and error.errno is not None:
                    self.die("the link broke: %s" % error)
                thrown = error
        if thrown is not None:
            raise thrown

    def close_exchange(self, exchange: Exchange) -> bytes:
        """Forgets an exchange; returns the frames that must be sent before its end."""
        if self.forked:
            # A child of user code came back from the handler. Its answer would be a second one.
            os._exit(0)
        self.exchanges.pop(exchange.stream, None)
        release_all(self._sending)
        return self.end_log(exchange)

    # Receiving.

    def receive_specialize(self) -> dict:
        """Waits for the SPECIALIZE frame: nothing else may come before it."""
        try:
            return _decode(self._receive_control(SPECIALIZE))
        except ProtocolError as error:
            self.die(str(error))

    def receive_proceed(self) -> None:
        """Waits for PROCEED: the code is loaded, and nothing else may come before it."""
        try:
            self._receive_control(PROCEED)
        except ProtocolError as error:
            self.die(str(error))

    def _receive_control(self, wanted: int) -> memoryview:
        frame = self._reader.next()
        while frame is None:
            self._receive()
            frame = self._reader.next()
        kind, _, payload = frame
        if kind != wanted:
            raise ProtocolError("frame 0x%02x before 0x%02x" % (kind, wanted))
        return payload

    @property
    def has_work(self) -> bool:
        """Whether ``next_work`` would not wait."""
        return bool(self._backlog)

    def next_work(self) -> Work:
        """Waits for a request or a hook to run."""
        backlog = self._backlog
        if backlog:
            return backlog.popleft()
        with self._receiving:
            self._drain()
            while not backlog:
                self._receive()
                self._drain()
        return backlog.popleft()

    def poll(self) -> None:
        """Takes what has arrived, without waiting, so that a handler that only writes sees its CANCEL."""
        if self.threaded:
            return
        with self._receiving:
            try:
                while True:
                    self._drain()
                    self._receive(MSG_DONTWAIT)
            except BlockingIOError:
                pass

    def wait(self, exchange: Exchange, is_ready: Callable[[], bool]) -> None:
        """Waits in the handler's thread until ``is_ready``."""
        self.flush()
        if self.threaded:
            changed = exchange.changed
            if changed is None:
                from threading import Condition

                # Set before the question: the reader looks for it after it has changed the answer.
                changed = exchange.changed = Condition()
            self.before_wait()
            with changed:
                while not is_ready():
                    changed.wait()
            return
        from select import POLLIN, poll

        readable = poll()
        readable.register(self._socket, POLLIN)
        while not is_ready():
            # Waits in poll and not in recv: a signal handler of the user's may throw here, and no byte is lost.
            readable.poll()
            self.poll()

    def _drain(self) -> None:
        try:
            if self._torn:
                # A signal handler of the user's threw at the one place where it does harm.
                self.die("the link was interrupted while receiving")
            self._torn = True
            frame = self._reader.next()
            while frame is not None:
                self._dispatch(*frame)
                frame = self._reader.next()
            self._torn = False
        except ProtocolError as error:
            # Not a mistake of the function, though its thread may be the one that reads.
            self.die(str(error))

    def _receive(self, flags: int = 0) -> None:
        room = self._reader.room()
        counts: list[int] = []
        try:
            # One step for the interpreter, as in sending.
            counts.extend(map(self._socket.recv_into, (room,), (0,), (flags,)))
            count = counts[0]
        except (ConnectionResetError, BrokenPipeError):
            count = 0
        except BaseException:
            self._torn = bool(counts)
            raise
        if count == 0:
            # Nobody is left who could want anything of this process.
            os._exit(0)
        self._reader.received(count)

    def _dispatch(self, kind: int, stream: int, payload: memoryview) -> None:
        if kind == REQUEST:
            self._open_request(stream, payload)
        elif kind == HOOK:
            self._enqueue(HookExchange(self, self._take_stream(stream)), _decode(payload).get("hook"))
        elif kind in (DATA, CREDIT, CANCEL):
            exchange = self.exchanges.get(stream)
            if exchange is None:
                # It was under way when the stream ended.
                return
            _apply(exchange, kind, payload)
            changed = exchange.changed
            if changed is not None:
                with changed:
                    changed.notify_all()
        else:
            raise ProtocolError("frame 0x%02x is not the daemon's to send now" % kind)

    def _open_request(self, stream: int, payload: memoryview) -> None:
        flags, head_text, body = split_head(payload)
        head = _decode(head_text)
        exchange = Exchange(self, self._take_stream(stream), head.get("id", ""))
        exchange.opened(flags, body)
        self._enqueue(exchange, head)

    def _enqueue(self, exchange: Exchange, what: object) -> None:
        if len(self.exchanges) >= _EXCHANGES_MAX:
            raise ProtocolError("more than %d streams are open" % _EXCHANGES_MAX)
        self.exchanges[exchange.stream] = exchange
        self._backlog.append((exchange, what))

    def _take_stream(self, stream: int) -> int:
        if stream <= self._last_stream:
            raise ProtocolError("stream %d is not new" % stream)
        self._last_stream = stream
        return stream

    # Ends.

    def fail_all(self, error: bytes) -> None:
        """Ends every open stream with an error."""
        for exchange in list(self.exchanges.values()):
            exchange.fail(error)

    def die(self, why: str) -> NoReturn:
        """Ends the process because the link is of no use any more."""
        os.write(2, ("thaw: %s\n" % why).encode("utf-8", "replace"))
        os._exit(1)

    def exit_when_closed(self) -> None:
        """Ends the process at once when the daemon closes, even while a handler runs.

        Only for the mode in which the handler's thread reads the link. The thread asks for no event but the hang-up,
        which is always reported, so that it sleeps through all traffic.
        """
        import select
        from _thread import start_new_thread

        hang_up = select.poll()
        # Where the system can tell, the daemon's half of the connection is enough.
        hang_up.register(self._socket, getattr(select, "POLLRDHUP", 0))

        def watch() -> None:
            hang_up.poll()
            os._exit(0)

        start_new_thread(watch, ())

    def _leave(self) -> None:
        # The child's copy must not keep the connection open when the parent is gone.
        self.forked = True
        self._socket.close()


def release_all(lock: RLock) -> None:
    """Lets go of a lock that this thread cannot be using now.

    Before Python 3.11 a signal handler of the user's that throws can leave a ``with`` without its release. Whoever ends
    an exchange stands below every use of the locks in its thread, and can mend that.
    """
    while lock._is_owned():
        lock.release()


def _apply(exchange: Exchange, kind: int, payload: memoryview) -> None:
    if kind == DATA:
        exchange.arrived(*split_data(payload))
    elif kind == CREDIT:
        exchange.granted(split_credit(payload))
    else:
        exchange.cancel()


def _decode(payload: memoryview) -> dict:
    try:
        value = decode_json(payload)
    except ValueError as error:
        raise ProtocolError("a head that is not JSON: %s" % error) from None
    if not isinstance(value, dict):
        raise ProtocolError("a head that is not a JSON object")
    return value


def _nothing() -> None:
    pass


def _no_log(exchange: Exchange) -> bytes:
    exchange.closed = True
    return b""

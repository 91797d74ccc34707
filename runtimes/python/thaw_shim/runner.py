"""The life of an instance: boot, specialise, serve."""

from __future__ import annotations

import os
import sys

from .context import Context, Contexts
from .event import EventHandler, settle
from .exchange import Exchange, HookExchange
from .frame import HELLO, INITIALIZING, LOADED, READY, START_FAILED, pack
from .lean import quote
from .link import Link
from .loader import Loader, NotFound, is_wsgi, prepare_path
from .logs import Logs, watch_logging

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, NoReturn, Union

    from .wsgi import HttpHandler

_HOOKS = ("preFreeze", "preStop", "postThaw")


def main() -> None:
    """Serves one instance until the daemon closes the link."""
    link = Link(os.environ.pop("THAW_LINK"))
    os.environ.pop("THAW_STEM", None)
    logs = Logs(link)
    link.send(pack(HELLO, 0, _hello()))
    specialize = link.receive_specialize()
    logs.replace_streams(specialize["instanceId"])
    watch_logging(logs)
    Instance(link, logs, specialize).serve()


def _hello() -> bytes:
    version = "%d.%d.%d" % sys.version_info[:3]
    return ('{"protocol":1,"runtime":"python3","version":%s,"pid":%d}' % (quote(version), os.getpid())).encode()


class Instance:
    """One function in this process."""

    def __init__(self, link: Link, logs: Logs, specialize: dict) -> None:
        self._link = link
        self._logs = logs
        self._specialize = specialize
        self._function: dict = specialize["function"]
        self._concurrency: int = specialize.get("concurrency", 1)
        self._loader = Loader(specialize["codePath"])
        #: What the one slot works for; with more slots nothing.
        self._running: Union[Exchange, None] = None

    def serve(self) -> None:
        """Loads the function, then runs what the daemon asks for. Does not return."""
        handler = self._start()

        def run(exchange: Exchange, what: Any) -> None:
            self._run(handler, exchange, what)

        if self._concurrency > 1:
            from .workers import Workers

            workers = Workers(self._link, self._concurrency, run)
            self._link.threaded = True
            self._logs.current = workers.current
            self._announce(handler)
            workers.start()
            self._keep_at(workers.look_out)
        else:
            self._logs.current = lambda: self._running
            self._announce(handler)
            self._link.exit_when_closed()
            self._keep_at(lambda: self._serve_one_by_one(run))

    def _serve_one_by_one(self, run: Callable[[Exchange, Any], None]) -> NoReturn:
        next_work = self._link.next_work
        while True:
            exchange, what = next_work()
            self._running = exchange
            run(exchange, what)
            self._running = None

    def _keep_at(self, work: Callable[[], NoReturn]) -> NoReturn:
        """What the main thread does for ever."""
        while True:
            try:
                work()
            except Exception as error:
                # A signal handler of the user's threw outside of user code: between two invocations, or at their rim.
                interrupted, self._running = self._running, None
                if interrupted is not None:
                    interrupted.fail(_describe(error))
                sys.excepthook(type(error), error, error.__traceback__)

    def _start(self) -> Union[EventHandler, HttpHandler]:
        phase = "load"
        try:
            self._enter_environment()
            handler = self._adapt(self._loader.load(self._function["handler"]))
            reference = self._function.get("initializer")
            initializer = self._loader.load(reference) if reference else None
            if self._specialize.get("hold"):
                self._hold()
            if initializer is not None:
                self._link.send(pack(INITIALIZING, 0))
                phase = "initializer"
                settle(initializer(self._own_context()))
            return handler
        except BaseException as error:
            self._leave_if_forked(error)
            self._logs.end_outside()
            self._link.send(pack(START_FAILED, 0, b'{"phase":"%s","error":%s}' % (phase.encode(), _describe(error))))
            os._exit(1)

    def _hold(self) -> None:
        """The code is loaded ahead of its use. Nobody waits yet: what loading left behind is cleared away here."""
        import gc

        gc.collect()
        gc.freeze()
        self._logs.end_outside()
        self._link.send(pack(LOADED, 0))
        self._link.receive_proceed()

    def _enter_environment(self) -> None:
        environment = self._specialize.get("environment") or {}
        os.environ.update(environment)
        if "TZ" in environment:
            import time

            time.tzset()
        code_path = self._specialize["codePath"]
        if os.path.isdir(code_path):
            os.chdir(code_path)
        prepare_path(code_path, self._specialize.get("layerPath") or "", environment.get("PYTHONPATH", ""))
        sys.argv = [""]
        self._contexts = Contexts(self._specialize)

    def _adapt(self, handler: Callable[..., Any]) -> Union[EventHandler, HttpHandler]:
        kind = self._specialize.get("handlerType", "auto")
        if kind == "http" or (kind == "auto" and is_wsgi(handler)):
            from .wsgi import HttpHandler

            return HttpHandler(handler, self._contexts, self._concurrency > 1)
        return EventHandler(handler, self._contexts)

    def _announce(self, handler: Union[EventHandler, HttpHandler]) -> None:
        self._logs.end_outside()
        self._link.send(pack(READY, 0, b'{"handler":"%s"}' % handler.kind.encode()))

    def _run(self, handler: Union[EventHandler, HttpHandler], exchange: Exchange, what: Any) -> None:
        try:
            if isinstance(exchange, HookExchange):
                self._run_hook(what)
                exchange.finish()
            else:
                handler(exchange, what)
        except BaseException as error:
            self._leave_if_forked(error)
            if exchange.cancelled and isinstance(error, ConnectionAbortedError):
                exchange.finish()
                return
            description = _describe(error)
            exchange.fail(description)
            if isinstance(error, SystemExit):
                # The function ends its process; what else runs here ends with it.
                self._link.fail_all(description)
                os._exit(1)

    def _run_hook(self, hook: object) -> None:
        reference = self._function.get(hook) if hook in _HOOKS else None
        if not reference:
            raise NotFound("HandlerNotFound", "no %s hook is configured" % hook)
        settle(self._loader.load(reference)(self._own_context()))

    def _own_context(self) -> Context:
        """For code that serves nobody's request: the instance stands for it."""
        return Context(self._contexts, {"id": self._specialize["instanceId"]})

    def _leave_if_forked(self, error: BaseException) -> None:
        """Ends a child that user code forked and that came back with an exception, as the interpreter would."""
        if not self._link.forked:
            return
        if isinstance(error, SystemExit):
            code = error.code
            os._exit(0 if code is None else code & 0xFF if isinstance(code, int) else 1)
        sys.excepthook(type(error), error, error.__traceback__)
        os._exit(1)


def _describe(error: BaseException) -> bytes:
    from .errors import describe

    return describe(error)

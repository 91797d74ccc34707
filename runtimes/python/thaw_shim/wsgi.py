"""HTTP handlers: PEP 3333 between an exchange and a WSGI application."""

from __future__ import annotations

import io
import sys

from .context import Context
from .frame import DATA_MAX
from .lean import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType
    from typing import Any, Callable, Optional, Union

    from .context import Contexts
    from .exchange import Exchange

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType]
    Application = Callable[..., Iterable[bytes]]

#: Header names whose environ keys are remembered: more than a usual function ever sees.
_KEYS_MAX = 512

_NO_BODY_STATUSES = (204, 304)


class HttpHandler:
    """Calls a WSGI application for each request."""

    kind = "http"

    def __init__(self, application: Application, contexts: Contexts, multithread: bool) -> None:
        self._application = application
        self._contexts = contexts
        self._constant = {
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_SOFTWARE": "Thaw",
            "wsgi.version": (1, 0),
            "wsgi.multithread": multithread,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
            # A chunked body has no length, but it does have an end.
            "wsgi.input_terminated": True,
            "wsgi.file_wrapper": FileWrapper,
        }

    def __call__(self, exchange: Exchange, head: dict) -> None:
        environ = self._environ(exchange, head)
        response = Response(exchange, environ["REQUEST_METHOD"])
        try:
            result = self._application(environ, response.start)
            try:
                response.send_all(result)
            finally:
                if hasattr(result, "close"):
                    result.close()
            response.finish()
        except ConnectionAbortedError:
            # The application need not catch what only says that the caller has gone.
            if not exchange.cancelled:
                raise
            response.abandon()

    def _environ(self, exchange: Exchange, head: dict) -> dict[str, Any]:
        environ = self._constant.copy()
        base, url = head.get("base", ""), head.get("url", "/")
        scheme = head.get("scheme", "http")
        path, _, query = _origin_form(url).partition("?")
        environ["REQUEST_METHOD"] = head.get("method", "GET")
        environ["SCRIPT_NAME"] = _unquote(base)
        environ["PATH_INFO"] = _unquote(path)
        environ["QUERY_STRING"] = query
        environ["REQUEST_URI"] = environ["fc.request_uri"] = base + url
        environ["REMOTE_ADDR"] = head.get("remote", "")
        environ["wsgi.url_scheme"] = scheme
        environ["wsgi.input"] = _input(exchange)
        environ["wsgi.errors"] = sys.stderr
        environ["fc.context"] = Context(self._contexts, head)
        _add_headers(environ, head.get("headers", ()))
        name, port = _host_and_port(environ.get("HTTP_HOST", ""))
        environ["SERVER_NAME"] = name or "localhost"
        environ["SERVER_PORT"] = port or ("443" if scheme == "https" else "80")
        return environ


class Response:
    """One answer: what ``start_response`` said, sent with the first bytes of the body."""

    def __init__(self, exchange: Exchange, method: str) -> None:
        self._exchange = exchange
        self._is_head = method == "HEAD"
        self._head: Optional[bytes] = None
        self._sent = False
        self._has_body = True
        #: Bytes that Content-Length leaves, None where the application set none.
        self._left: Optional[int] = None

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: Optional[ExcInfo] = None
    ) -> Callable[[bytes], None]:
        """The ``start_response`` of PEP 3333."""
        if exc_info is not None:
            try:
                if self._sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                # The traceback holds this frame, which would hold the traceback.
                exc_info = None
        elif self._head is not None:
            raise AssertionError("start_response was called a second time, without exc_info")
        code = _status_code(status)
        self._left = _content_length(headers)
        self._head = _encode_head(code, headers)
        self._has_body = not self._is_head and code not in _NO_BODY_STATUSES
        return self.write

    def write(self, data: bytes) -> None:
        """The ``write`` that ``start_response`` returns. Raises ConnectionAbortedError when the caller has gone."""
        head = self._require_head()
        if self._exchange.cancelled or self._exchange.closed:
            raise ConnectionAbortedError("nobody waits for the answer any more")
        if not isinstance(data, bytes):
            raise TypeError("the body of a response consists of bytes, not of %s" % type(data).__name__)
        data = self._within_length(data)
        if self._sent:
            self._exchange.write(data)
        elif data:
            self._sent = True
            self._exchange.respond(head, data, False)

    def send_all(self, result: Iterable[bytes]) -> None:
        """Sends what the application returned, each block when it comes."""
        if type(result) in (list, tuple) and len(result) == 1 and self._can_send_at_once(result[0]):
            self._sent = True
            self._exchange.respond(self._require_head(), self._within_length(result[0]), True)
            return
        for data in result:
            if self._left == 0 and data:
                # More than Content-Length has no place in the response.
                break
            self.write(data)
            if not self._has_body:
                break
        self._require_head()

    def finish(self) -> None:
        """Ends the answer, when the application is done with it."""
        self._exchange.finish(self._require_head())

    def abandon(self) -> None:
        """Ends the answer that nobody waits for."""
        self._exchange.finish(self._head or b'{"status":500,"headers":[]}')

    def _can_send_at_once(self, data: object) -> bool:
        return not self._sent and self._has_body and isinstance(data, bytes) and not self._exchange.cancelled

    def _require_head(self) -> bytes:
        if self._head is None:
            raise AssertionError("the application did not call start_response")
        return self._head

    def _within_length(self, data: bytes) -> bytes:
        """What of ``data`` belongs to the response: more than Content-Length would be the next response's."""
        if not self._has_body:
            return b""
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        return data


class RequestBody(io.RawIOBase):
    """The body of a request as it comes; the window grows again with what is read."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fills at most one piece; 0 only at the end."""
        rest = self._rest or memoryview(self._exchange.take())
        count = min(len(buffer), len(rest))
        buffer[:count] = rest[:count]
        self._rest = rest[count:]
        return count


class FileWrapper:
    """``wsgi.file_wrapper``: a file as an iterable of blocks."""

    def __init__(self, file: io.BufferedIOBase, block_size: int = DATA_MAX) -> None:
        self._file = file
        self._block_size = block_size
        if hasattr(file, "close"):
            self.close = file.close

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        data = self._file.read(self._block_size)
        if not data:
            raise StopIteration
        return data


def _input(exchange: Exchange) -> Union[io.BytesIO, io.BufferedReader]:
    body = exchange.whole_body()
    if body is None:
        return io.BufferedReader(RequestBody(exchange), DATA_MAX)
    return io.BytesIO(body)


def _origin_form(url: str) -> str:
    """The path and query of a request target that may name scheme and host as well."""
    if url.startswith(("http://", "https://")):
        slash = url.find("/", url.index("://") + 3)
        return url[slash:] if slash >= 0 else "/"
    return url


def _unquote(text: str) -> str:
    """Percent-decoded, each byte as one latin-1 character: WSGI's native string."""
    if text.isascii() and "%" not in text:
        return text
    try:
        data = text.encode("latin-1")
    except UnicodeEncodeError:
        data = text.encode("utf-8")
    first, *rest = data.split(b"%")
    decoded = [first]
    for part in rest:
        try:
            decoded.append(bytes((_HEX[part[:2].upper()],)) + part[2:])
        except KeyError:
            decoded.append(b"%" + part)
    return b"".join(decoded).decode("latin-1")


_HEX = {b"%02X" % value: value for value in range(256)}
_keys: dict[str, str] = {}


def _add_headers(environ: dict[str, Any], headers: list[str]) -> None:
    names = iter(headers)
    for name, value in zip(names, names):
        key = _keys.get(name) or _environ_key(name)
        if key not in environ:
            environ[key] = value
        elif key == "HTTP_COOKIE":
            environ[key] += "; " + value
        elif key.startswith("HTTP_"):
            environ[key] += "," + value
    # Names with an underscore would pass for another header: `X_User` for `X-User`.
    environ.pop("", None)


def _environ_key(name: str) -> str:
    if "_" in name:
        return ""
    key = name.upper().replace("-", "_")
    if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        key = "HTTP_" + key
    if len(_keys) < _KEYS_MAX:
        _keys[name] = key
    return key


def _host_and_port(host: str) -> tuple[str, str]:
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdigit():
        return (host[:-1] if colon and not port else host), ""
    return name, port


def _status_code(status: str) -> int:
    if not isinstance(status, str) or not status[:3].isdigit() or status[3:4] not in ("", " "):
        raise ValueError("a status has the form '200 OK', not %r" % (status,))
    return int(status[:3])


def _content_length(headers: list[tuple[str, str]]) -> Optional[int]:
    for name, value in headers:
        if name.lower() == "content-length":
            return int(value)
    return None


def _encode_head(code: int, headers: list[tuple[str, str]]) -> bytes:
    flat = []
    for name, value in headers:
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError("names and values of headers are str, not %r: %r" % (name, value))
        if "\n" in value or "\r" in value or "\0" in value:
            raise ValueError("the value of header %s has a line break in it" % name)
        flat.append(quote(name))
        flat.append(quote(value))
    return ('{"status":%d,"headers":[%s]}' % (code, ",".join(flat))).encode("ascii")

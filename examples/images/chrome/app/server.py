"""Pictures of pages: a headless Chrome behind the standard library's server.

POST /screenshot  the page as HTML, or as JSON {"html": ..., "url": ..., "width": 800, "height": 600}: its PNG
POST /text        the same; what a reader of the rendered page would see, as text
POST /invoke      an event, as for /screenshot

One browser serves the instance. It is spoken to in DevTools' protocol over two pipes, which needs no port and no package.
"""

import base64
import json
import os
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue

BODY_BYTES_MAX = 8 * 1024 * 1024
PAGE_SECONDS_MAX = 30
READY_POLL_SECONDS = 0.005
SIZE_MAX = 4096


class Browser:
    """A Chrome that is started when it is first asked and again after it has ended."""

    def __init__(self):
        to_browser, self.orders = os.pipe()
        self.answers, from_browser = os.pipe()
        profile = tempfile.mkdtemp(prefix="chrome-")
        self.pid = os.posix_spawnp(
            "chromium",
            ["chromium", *self.flags(profile)],
            os.environ | {"HOME": profile, "XDG_CONFIG_HOME": profile, "XDG_CACHE_HOME": profile},
            # Its end of the pipes is 3 and 4, as --remote-debugging-pipe has them. The server's socket was there before them.
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_DUP2, to_browser, 3),
                (os.POSIX_SPAWN_DUP2, from_browser, 4),
            ],
        )
        os.close(to_browser)
        os.close(from_browser)
        self.is_running = True
        self.is_ready = False
        self.lock = threading.Lock()
        self.last_id = 0
        self.waiting = {}
        self.sessions = {}
        threading.Thread(target=self.read, daemon=True).start()

    @staticmethod
    def flags(profile):
        # The function's sandbox is around all of the browser; inside there is no right to make another.
        return [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-extensions",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-crash-reporter",
            "--hide-scrollbars",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
            "about:blank",
        ]

    def read(self):
        """Messages end with a zero byte: answers have the id of their order, events the session they belong to."""
        with os.fdopen(self.answers, "rb") as stream:
            rest = b""
            while chunk := stream.read1(1 << 20):
                *messages, rest = (rest + chunk).split(b"\0")
                for message in map(json.loads, messages):
                    self.take(message)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        with self.lock:
            self.is_running = False
            os.close(self.orders)
            ended = [*self.waiting.values(), *self.sessions.values()]
        for queue in ended:
            queue.put({"error": {"message": f"the browser has ended with {code}"}, "method": "ended"})

    def take(self, message):
        with self.lock:
            if "id" in message:
                queue = self.waiting.pop(message["id"], None)
            else:
                queue = self.sessions.get(message.get("sessionId"))
        if queue is not None:
            queue.put(message)

    def order(self, method, session=None, **params):
        answer = Queue()
        with self.lock:
            if not self.is_running:
                raise RuntimeError(f"{method}: the browser has ended")
            self.last_id += 1
            order = {"id": self.last_id, "method": method, "params": params}
            if session is not None:
                order["sessionId"] = session
            self.waiting[self.last_id] = answer
            rest = json.dumps(order).encode() + b"\0"
            while rest:
                rest = rest[os.write(self.orders, rest) :]
        message = self.next_of(answer, method)
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']['message']}")
        return message["result"]

    def wait_until_ready(self):
        """Until its first page is there: what is asked of it before can end it."""
        limit = time.monotonic() + PAGE_SECONDS_MAX
        while not self.is_ready:
            targets = self.order("Target.getTargets")["targetInfos"]
            self.is_ready = any(target["type"] == "page" for target in targets)
            if not self.is_ready:
                if time.monotonic() > limit:
                    raise TimeoutError(f"the browser has had no page for {PAGE_SECONDS_MAX} s")
                time.sleep(READY_POLL_SECONDS)

    def page(self, wanted, work):
        """Opens a page of its own profile, loads what is wanted and gives what `work` makes of it."""
        self.wait_until_ready()
        context = self.order("Target.createBrowserContext")["browserContextId"]
        try:
            target = self.order(
                "Target.createTarget",
                url="about:blank",
                browserContextId=context,
                width=wanted["width"],
                height=wanted["height"],
            )["targetId"]
            session = self.order("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            events = Queue()
            with self.lock:
                self.sessions[session] = events
            try:
                self.order("Page.enable", session)
                self.order(
                    "Emulation.setDeviceMetricsOverride",
                    session,
                    width=wanted["width"],
                    height=wanted["height"],
                    deviceScaleFactor=1,
                    mobile=False,
                )
                self.load(session, events, wanted)
                return work(lambda method, **params: self.order(method, session, **params))
            finally:
                with self.lock:
                    del self.sessions[session]
        finally:
            self.order("Target.disposeBrowserContext", browserContextId=context)

    def load(self, session, events, wanted):
        url = wanted.get("url")
        if url is None:
            url = "data:text/html;charset=utf-8;base64," + base64.b64encode(wanted["html"].encode()).decode()
        told = self.order("Page.navigate", session, url=url)
        if told.get("errorText"):
            raise ValueError(f"the page cannot be loaded: {told['errorText']}")
        while (event := self.next_of(events, "the page"))["method"] != "Page.loadEventFired":
            if event["method"] == "ended":
                raise RuntimeError(event["error"]["message"])

    @staticmethod
    def next_of(queue, what):
        try:
            return queue.get(timeout=PAGE_SECONDS_MAX)
        except Empty:
            raise TimeoutError(f"{what} took more than {PAGE_SECONDS_MAX} s") from None


class TheBrowser:
    """The one browser of this instance."""

    lock = threading.Lock()
    browser = None

    @classmethod
    def get(cls):
        with cls.lock:
            if cls.browser is None or not cls.browser.is_running:
                cls.browser = Browser()
            return cls.browser


def wanted_page(content_type, body):
    text = body.decode()
    wanted = json.loads(text) if "json" in content_type or text.lstrip().startswith("{") else {"html": text}
    if not isinstance(wanted, dict) or ("html" in wanted) == ("url" in wanted):
        raise ValueError("a page is asked for with either html or url")
    if "url" in wanted and not wanted["url"].startswith(("http://", "https://")):
        raise ValueError("a url begins with http:// or https://")
    size = {name: wanted.get(name, default) for name, default in (("width", 800), ("height", 600))}
    for name, value in size.items():
        if not isinstance(value, int) or not 1 <= value <= SIZE_MAX:
            raise ValueError(f"{name} is a whole number from 1 to {SIZE_MAX}")
    return wanted | size


def screenshot(order):
    return "image/png", base64.b64decode(order("Page.captureScreenshot", format="png")["data"])


def text_of(order):
    told = order("Runtime.evaluate", expression="document.body.innerText", returnByValue=True)
    return "text/plain; charset=utf-8", str(told["result"].get("value", "")).encode()


WORKS = {"/screenshot": screenshot, "/invoke": screenshot, "/text": text_of}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(200, "text/plain; charset=utf-8", __doc__.encode())

    def do_POST(self):
        length = int(self.headers.get("content-length", 0))
        if length > BODY_BYTES_MAX:
            self.close_connection = True
            return self.fail(413, f"a request has at most {BODY_BYTES_MAX} bytes")
        body = self.rfile.read(length)
        work = WORKS.get(self.path.partition("?")[0])
        if work is None:
            return self.fail(404, f"nothing is at {self.path}")
        try:
            wanted = wanted_page(self.headers.get("content-type", ""), body)
            self.answer(200, *TheBrowser.get().page(wanted, work))
        except ValueError as error:
            self.fail(400, str(error))
        except (OSError, RuntimeError) as error:
            self.fail(502, f"{type(error).__name__}: {error}")

    def fail(self, status, why):
        self.answer(status, "application/json", json.dumps({"error": why}).encode())

    def answer(self, status, content_type, body):
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", 9000), Handler).serve_forever()

"""What a handler's name finds, and what kind of handler it is."""

from __future__ import annotations

import functools
import os
import py_compile
import sys
import tempfile
import unittest

from thaw_shim import frame
from thaw_shim.loader import Loader, NotFound, is_wsgi

from .daemon import Daemon


class LoaderTest(unittest.TestCase):
    """``module.attribute``."""

    def setUp(self) -> None:
        self.directory = tempfile.TemporaryDirectory(prefix="thaw-python-")
        self.addCleanup(self.directory.cleanup)
        before = dict(sys.modules)
        path = list(sys.path)
        sys.path.insert(0, self.directory.name)

        def restore() -> None:
            sys.path[:] = path
            for name in set(sys.modules) - set(before):
                del sys.modules[name]

        self.addCleanup(restore)
        self.loader = Loader(self.directory.name)

    def _write(self, name: str, text: str = "def handler(event, context): return __name__\n") -> None:
        path = os.path.join(self.directory.name, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def _refuses(self, reference: str, error_type: str) -> None:
        with self.assertRaises(NotFound) as caught:
            self.loader.load(reference)
        self.assertEqual(caught.exception.error_type, error_type)

    def test_a_module_a_directory_and_a_package(self) -> None:
        self._write("thaw_one.py")
        self._write("thaw_dir/file.py")
        self._write("thaw-odd dir/file.py")
        self._write("thaw_pkg/__init__.py", "def handler(event, context): return 'package'\n")
        self._write(
            "thaw_pkg/mod.py", "from . import handler as outer\ndef handler(event, context): return outer(1, 2)\n"
        )
        for reference, result in (
            ("thaw_one.handler", "thaw_one"),
            ("thaw_dir/file.handler", "thaw_dir.file"),
            ("thaw-odd dir/file.handler", "thaw-odd dir.file"),
            ("thaw_pkg.handler", "package"),
            ("thaw_pkg.mod.handler", "package"),
        ):
            with self.subTest(reference):
                self.assertEqual(self.loader.load(reference)(b"", None), result)

    def test_the_package_wins_over_python_s_own_modules(self) -> None:
        own = sys.modules["io"]
        self._write("io.py")
        self._write("test/index.py")
        self._write("time.py")
        for reference in ("io.handler", "test/index.handler", "time.handler"):
            with self.subTest(reference):
                self.assertEqual(self.loader.load(reference)(b"", None), reference[:-8].replace("/", "."))
        self.assertIs(sys.modules["io"], own)

    def test_a_module_is_loaded_once(self) -> None:
        self._write("io.py", "count = []\ndef one(): count.append(1)\ndef two(): return len(count)\n")
        self.loader.load("io.one")()
        self.assertEqual(self.loader.load("io.two")(), 1)

    def test_what_is_not_there(self) -> None:
        self._write("thaw_two.py", "number = 1\n")
        self._refuses("thaw_none.handler", "ModuleNotFound")
        self._refuses("thaw_none/deep.handler", "ModuleNotFound")
        self._refuses("thaw_two.handler", "HandlerNotFound")
        self._refuses("thaw_two.number", "HandlerNotFound")
        self._refuses("thaw_two", "HandlerNotFound")
        self._refuses("", "HandlerNotFound")

    def test_what_a_module_does_wrong_is_its_own(self) -> None:
        self._write("thaw_bad.py", "import thaw_missing_dependency\n")
        with self.assertRaises(ModuleNotFoundError):
            self.loader.load("thaw_bad.handler")


def _wsgi(environ: object, start_response: object) -> None: ...


def _event(event: object, context: object) -> None: ...


class _Called:
    def __call__(self, environ: object, start_response: object) -> None: ...

    def method(self, environ: object, start_response: object) -> None: ...


class _Constructed:
    def __init__(self, environ: object, start_response: object) -> None: ...


class _App:
    wsgi_app = None

    def __call__(self, a: object, b: object) -> None: ...


@functools.wraps(_wsgi)
def _decorated(*args: object) -> None: ...


class IsWsgiTest(unittest.TestCase):
    """The table of docs/RUNTIMES.md section 3."""

    def test_http(self) -> None:
        for handler in (_wsgi, _Called(), _Called().method, _Constructed, _App(), _decorated):
            with self.subTest(handler):
                self.assertTrue(is_wsgi(handler))
        self.assertTrue(is_wsgi(functools.partial(lambda x, environ, start_response: None, 1)))

    def test_event(self) -> None:
        for handler in (_event, print, dict, lambda environ: None, lambda *environ: None, functools.partial(_event)):
            with self.subTest(handler):
                self.assertFalse(is_wsgi(handler))


class StartTest(unittest.TestCase):
    """Loading in a shim."""

    def test_path_and_environment(self) -> None:
        code = """
            import json, os, sys, time
            import from_layer, from_layer_root, from_path
            def handler(event, context):
                return [os.getcwd(), sys.path[:4], os.environ["A"], time.tzname[0], sys.argv, "THAW_LINK" in os.environ]
        """.replace("\n            ", "\n")
        daemon = Daemon({"index.py": code, "lib/from_path.py": ""}, environment={"A": "ü", "TZ": "XYZ-3"})
        daemon.specialize["environment"]["PYTHONPATH"] = os.path.join(daemon.code, "lib")
        os.mkdir(os.path.join(daemon.layer, "python"))
        for name in ("python/from_layer.py", "from_layer_root.py"):
            with open(os.path.join(daemon.layer, name), "w", encoding="utf-8"):
                pass
        with daemon:
            daemon.start()
            self.assertEqual(daemon.started, [(frame.READY, {"handler": "event"})])
            layer = daemon.layer
            path = [daemon.code, os.path.join(daemon.code, "lib"), os.path.join(layer, "python"), layer]
            import json

            answer = daemon.invoke()
            self.assertEqual(json.loads(answer.body), [daemon.code, path, "ü", "XYZ", [""], False])

    def test_user_code_may_be_named_like_the_shim(self) -> None:
        files = {
            "shim.py": "from thaw_shimmer import x\ndef handler(e, c): return x\n",
            "thaw_shimmer.py": "x = 'mine'\n",
        }
        with Daemon(files, "shim.handler") as daemon:
            daemon.start()
            self.assertEqual(daemon.invoke().body, b"mine")

    def test_a_syntax_error_names_its_place(self) -> None:
        with Daemon({"index.py": "x = 1\ndef handler(:\n"}) as daemon:
            daemon.start()
            self.assertEqual(daemon.exit_code(), 1)
            kind, failed = daemon.started[-1]
            self.assertEqual((kind, failed["phase"]), (frame.START_FAILED, "load"))
            self.assertEqual(failed["error"]["errorType"], "SyntaxError")
            file = os.path.join(daemon.code, "index.py")
            self.assertEqual(failed["error"]["stackTrace"], [[file, 2, "<module>", "def handler(:"]])

    def test_damaged_bytecode_is_done_without(self) -> None:
        files = {"index.py": "runs = []\nimport part\ndef handler(e, c): return part.name\n", "part.py": "name = 'part'\n"}
        with Daemon(files) as daemon:
            source = os.path.join(daemon.code, "part.py")
            compiled = py_compile.compile(source, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
            with open(compiled, "r+b") as file:
                # The header, and a piece of what follows.
                file.truncate(24)
            daemon.start()
            self.assertEqual(daemon.invoke().body, b"part")
        self.assertIn("damaged", daemon.output)

    def test_an_exit_while_loading_is_a_failed_load(self) -> None:
        with Daemon({"index.py": "import sys\nprint('bye', end='')\nsys.exit(3)\n"}) as daemon:
            daemon.start()
            self.assertEqual(daemon.started[-1][1]["error"]["errorType"], "SystemExit")
            self.assertEqual(daemon.outside[1], "bye")
            self.assertEqual(daemon.exit_code(), 1)

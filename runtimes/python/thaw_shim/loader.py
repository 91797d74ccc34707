"""Finds what ``module.attribute`` names in the code package."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Callable, Optional


class NotFound(Exception):
    """The function's configuration names something that is not there."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.error_type = error_type


def prepare_path(code_path: str, layer_path: str, python_path: str) -> None:
    """Lets user code import from its package, then from PYTHONPATH, then from the layers.

    PYTHONPATH is a variable of the function, which the interpreter could not know when it started. The directory of
    the shim goes: its modules are loaded, and a function may well have a ``shim.py`` of its own.
    """
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    wanted = [code_path, *python_path.split(os.pathsep), os.path.join(layer_path, "python"), layer_path]
    rest = [entry for entry in sys.path if entry and entry != ours]
    sys.path[:] = list(dict.fromkeys(entry for entry in [*wanted, *rest] if entry))


class Loader:
    """Loads the entry points of one code package."""

    def __init__(self, code_path: str) -> None:
        self._code_path = code_path
        self._modules: dict[str, ModuleType] = {}
        self._is_from_sources = False

    def load(self, reference: str) -> Callable[..., Any]:
        """The callable that ``index.handler``, ``dir/file.handler`` or ``package.module.handler`` names."""
        path, _, attribute = reference.rpartition(".")
        if not path or not attribute:
            raise NotFound("HandlerNotFound", "'%s' does not have the form module.attribute" % reference)
        module = self._modules.get(path)
        if module is None:
            module = self._modules[path] = self._import_whole(path)
        try:
            found = getattr(module, attribute)
        except AttributeError:
            raise NotFound("HandlerNotFound", "module '%s' has no '%s'" % (path, attribute)) from None
        if not callable(found):
            raise NotFound("HandlerNotFound", "'%s' of module '%s' is not callable" % (attribute, path))
        return found

    def _import_whole(self, path: str) -> ModuleType:
        """As ``_import``, and from the sources alone where the bytecode beside them turns out to be damaged."""
        # Not a copy: one that counts a reference to each name would touch the memory around all of them.
        before = len(sys.modules)
        try:
            return self._import(path)
        except Exception as error:
            if self._is_from_sources or not _is_bytecode_damaged(error):
                raise
        self._is_from_sources = True
        os.write(2, b"thaw: prepared bytecode is damaged; the sources are compiled instead\n")
        # They stand in the order in which they came.
        for name in list(sys.modules)[before:]:
            del sys.modules[name]
        _import_from_sources()
        return self._import(path)

    def _import(self, path: str) -> ModuleType:
        name = ".".join(_parts(path))
        module = None
        try:
            __import__(name)
            module = sys.modules[name]
        except ModuleNotFoundError as error:
            # Only where the module itself is missing, not something that it imports.
            if not error.name or not (name + ".").startswith(error.name + "."):
                raise
        file = self._locate(path)
        if file is not None and (module is None or not _is_file(module, file)):
            # Python has a module of that name already: `io.py`, or `test/` as a directory.
            return _load_file(name, file)
        if module is None:
            raise NotFound("ModuleNotFound", "the code package has no module '%s'" % path)
        return module

    def _locate(self, path: str) -> Optional[str]:
        base = os.path.join(self._code_path, *_parts(path))
        for file in (base + ".py", os.path.join(base, "__init__.py")):
            if os.path.isfile(file):
                return file
        return None


def is_wsgi(handler: Callable[..., object]) -> bool:
    """Whether a handler is a WSGI application, which it says by an attribute or by its parameters' names."""
    if hasattr(handler, "wsgi_app"):
        return True
    return _first_parameters(handler) == ("environ", "start_response")


def _first_parameters(handler: Callable[..., object]) -> tuple[str, ...]:
    function = handler
    if not hasattr(function, "__code__") and not hasattr(function, "__func__") and not isinstance(function, type):
        function = getattr(type(function), "__call__", function)
        skip = 1
    else:
        skip = 1 if hasattr(function, "__self__") else 0
    code = getattr(function, "__code__", None)
    if code is not None and not hasattr(handler, "__wrapped__"):
        return code.co_varnames[: code.co_argcount][skip : skip + 2]
    # Classes, partial functions, decorated ones: rare enough to pay for the import.
    import inspect

    try:
        return tuple(inspect.signature(handler).parameters)[:2]
    except (TypeError, ValueError):
        return ()


def _is_bytecode_damaged(error: BaseException) -> bool:
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and traceback.tb_frame.f_code.co_name == "_compile_bytecode"


def _import_from_sources() -> None:
    """From here on no bytecode is read that lies beside a source."""
    from importlib import machinery

    class SourceLoader(machinery.SourceFileLoader):
        """Always compiles."""

        def get_code(self, fullname: str) -> Any:
            path = self.get_filename(fullname)
            return self.source_to_code(self.get_data(path), path)

    loaders = ((machinery.ExtensionFileLoader, machinery.EXTENSION_SUFFIXES), (SourceLoader, machinery.SOURCE_SUFFIXES))
    sys.path_hooks.insert(0, machinery.FileFinder.path_hook(*loaders))
    sys.path_importer_cache.clear()


def _parts(path: str) -> list[str]:
    return [part for part in path.replace("/", ".").split(".") if part]


def _is_file(module: ModuleType, file: str) -> bool:
    loaded = getattr(module, "__file__", None)
    return loaded is not None and os.path.exists(loaded) and os.path.samefile(loaded, file)


def _load_file(name: str, file: str) -> ModuleType:
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(name, file)
    module = module_from_spec(spec)
    # What other code has imported under this name stays its own.
    sys.modules.setdefault(name, module)
    spec.loader.exec_module(module)
    return module

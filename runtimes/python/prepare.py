"""Runs once after a deployment, in a sandbox of the function's own: compiles every module of the code and its layers and
writes the bytecode to stdout, as docs/RUNTIMES.md says of prepared code. Nothing of the user's is executed.
"""

import json
import os
import py_compile
import sys
import tempfile
from importlib.util import cache_from_source


def main() -> None:
    places = json.loads(sys.argv[1])
    compiled = os.path.join(tempfile.mkdtemp(), "compiled")
    out = sys.stdout.buffer
    for name, root in (("code", places["codePath"]), ("layers", places["layerPath"])):
        for source in _modules(root):
            try:
                # What lies beside the bytecode never changes, so nobody needs to compare the two.
                mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
                py_compile.compile(source, cfile=compiled, doraise=True, invalidation_mode=mode)
            except (py_compile.PyCompileError, OSError, ValueError, RecursionError):
                # Templates and code for other versions end in .py too; importing them says what is wrong.
                continue
            with open(compiled, "rb") as file:
                content = file.read()
            path = os.path.join(name, os.path.relpath(cache_from_source(source), root))
            out.write(json.dumps({"path": path, "size": len(content)}).encode() + b"\n" + content)
    out.write(b'{"end":true}\n')
    out.flush()


def _modules(root: str):
    for directory, names, files in os.walk(root):
        names.sort()
        for file in sorted(files):
            if file.endswith(".py"):
                yield os.path.join(directory, file)


if __name__ == "__main__":
    main()

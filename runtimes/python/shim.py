"""The entry point of the Python shim: ``python3 -u -B shim.py``, see docs/RUNTIMES.md.

It stays this small because Python never caches the bytecode of a script. The imports stand inside: a process that
``multiprocessing`` spawns imports this file again, without being a shim.
"""

if __name__ == "__main__":
    import os
    import sys

    # Missing where the function's environment has PYTHONSAFEPATH.
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

    from thaw_shim.runner import main

    main()

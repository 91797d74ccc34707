"""The entry point of the Python shim: ``python3 -u -B shim.py``, see docs/RUNTIMES.md.

It stays this small because Python never caches the bytecode of a script. The import stands inside: a process that
``multiprocessing`` spawns imports this file again, without being a shim.
"""

if __name__ == "__main__":
    from thaw_shim.runner import main

    main()

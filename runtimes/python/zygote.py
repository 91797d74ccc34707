"""Forks Python shims into sandboxes of their own: ``python3 -u -B zygote.py``, see docs/RUNTIMES.md.

The launcher starts one for each interpreter, as root, in a root file system that has everything that every sandbox of the
language has. It never sees a function. For each request it forks a process that enters namespaces and cgroups of its own,
mounts what is private to the sandbox, lets go of everything that is not, becomes the user of the sandbox and then the shim.
What all of them share is the memory of an interpreter that has booted.

    launcher ─JSON lines─▶ zygote ─fork─▶ process 1, which collects orphans
                                  └─fork─▶ process 2, the shim
"""

if __name__ == "__main__":
    import os
    import sys

    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

    from thaw_shim.zygote import serve

    # Comes back in a forked shim only.
    serve(executes="execute" in sys.argv)

    from thaw_shim.runner import main

    main()

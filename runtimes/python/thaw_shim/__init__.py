"""The Python shim of Thaw: it loads a function and serves its invocations over the link.

The contract is docs/RUNTIMES.md. The package uses the standard library only, and at boot as little of it as
possible: what it imports before READY is part of every cold start.
"""

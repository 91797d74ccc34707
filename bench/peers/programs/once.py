"""Calls the handler in /code/index.py once, as a platform without anything prepared would, and prints the result."""
import sys

sys.path.insert(0, "/code")
import index

print(index.handler(b"{}", None))

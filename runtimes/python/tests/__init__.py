"""Tests of the Python shim: ``python3 -m unittest discover -t . -s tests`` in runtimes/python."""

"""Benchmarks: `python -m bench.<name>` measures the real parts on this machine and prints a table or JSON."""

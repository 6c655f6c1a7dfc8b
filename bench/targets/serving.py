"""Starts the targets as a process of their own and tells where they listen."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.ending import end_process
from uptime.embedded.places import PROJECT
from uptime.embedded.processes import spawn

NAME = "targets.json"
START_S = 30.0


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, str]]]:
    """The process and its addresses: http, https, https_rsa, and ca, the authority's file."""
    targets = spawn(
        [sys.executable, "-m", "bench.targets", "--folder", str(folder)],
        env=os.environ,
        cwd=PROJECT,
    )
    try:
        until = time.monotonic() + START_S
        while not (folder / NAME).exists():
            if targets.poll() is not None or time.monotonic() > until:
                raise RuntimeError("the targets did not start")
            time.sleep(0.05)
        yield targets, json.loads((folder / NAME).read_text())
    finally:
        end_process(targets)

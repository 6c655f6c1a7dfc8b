"""What an earlier PostgreSQL server left in a data directory: its pid file and its processes, and how they go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from uptime.embedded.processes import is_alive


class LeftoverStays(Exception):
    """A server that was left over cannot be stopped."""


def clear_leftovers(data: Path, *, progress: Callable[[str], None] = lambda _line: None) -> None:
    """Stop a server that a killed supervisor left running on this data directory; drop a stale pid file."""
    leftovers = sorted(_servers_on(data))
    noted = pid_lines(data)
    if leftovers:
        postmaster = int(noted[0]) if noted and noted[0].isdigit() else 0
        progress(
            f"stopping a PostgreSQL server left over from an earlier start (process {leftovers[0]})"
        )
        first = [postmaster] if postmaster in leftovers else leftovers
        for pids, sign, seconds in (
            (first, signal.SIGINT, 30.0),
            (None, signal.SIGQUIT, 5.0),
            (None, signal.SIGKILL, 10.0),
        ):
            for pid in leftovers if pids is None else pids:
                _signal(pid, sign)
            until = time.monotonic() + seconds
            while (leftovers := sorted(_servers_on(data))) and time.monotonic() < until:
                time.sleep(0.02)
            if not leftovers:
                break
        else:
            raise LeftoverStays(f"PostgreSQL processes {leftovers} on {data} cannot be stopped.")
    if noted:
        (data / "postmaster.pid").unlink(missing_ok=True)


def _servers_on(data: Path) -> Iterator[int]:
    """Processes of PostgreSQL that work in this data directory: postmaster or orphaned backends."""
    if sys.platform != "linux":
        pid = (pid_lines(data) or ["0"])[0]
        if pid.isdigit() and int(pid) > 1 and is_alive(int(pid)):
            name = subprocess.run(
                ["ps", "-o", "comm=", "-p", pid], capture_output=True, text=True, check=False
            )
            if "postgres" in name.stdout:
                yield int(pid)
        return
    try:
        wanted = data.stat()
    except OSError:
        return
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            if not os.path.basename(os.readlink(f"{entry.path}/exe")).startswith("postgres"):
                continue
            found = os.stat(f"{entry.path}/cwd")
        except OSError:
            continue
        if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino) and is_alive(
            int(entry.name)
        ):
            yield int(entry.name)


def pid_lines(data: Path) -> list[str]:
    """The lines of the server's own pid file: process id first, readiness in the eighth; none without a server."""
    try:
        return (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return []


def _signal(pid: int, sign: signal.Signals) -> None:
    try:
        os.kill(pid, sign)
    except (ProcessLookupError, PermissionError):
        return

"""A child of the supervisor: started, read, restarted with growing pauses when it dies, stopped."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from uptime.embedded.logs import Log
from uptime.embedded.processes import Process, exit_text, is_alive

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 30.0
STEADY_S = 20.0  # a child that lived this long starts again with the shortest pause
BOOK = "children.json"

Launch = Callable[[int], Process]


class Child:
    """One supervised child; the supervisor's loop calls `poll` and reads `pipe`."""

    def __init__(
        self,
        name: str,
        launch: Launch,
        *,
        log: Log,
        say: Callable[[str, str], None],
        stop_signals: Sequence[signal.Signals] = (signal.SIGTERM,),
        kill_group: bool = True,
    ) -> None:
        self.name = name
        self.log = log
        self.process: Process | None = None
        self.pipe: int | None = None
        self._launch = launch
        self._say = say
        self._stop_signals = list(stop_signals)
        self._kill_group = kill_group
        self._pause = FIRST_PAUSE_S
        self._started = 0.0
        self._again_at: float | None = None

    def start(self, *, now: float) -> None:
        """Start the process; its output arrives in `pipe`."""
        self.close_pipe()
        reading, writing = os.pipe()
        try:
            self.process = self._launch(writing)
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        os.set_blocking(reading, False)
        self.pipe = reading
        self._started = now
        self._again_at = None

    def poll(self, *, now: float) -> bool:
        """Look after the child; True when it was started again."""
        if self._again_at is not None:
            if now < self._again_at:
                return False
            try:
                self.start(now=now)
            except Exception as error:
                self._retry(f"cannot be started: {error}", now=now)
                return False
            return True
        if self.process is not None and (code := self.process.poll()) is not None:
            self.end_group()
            if now - self._started > STEADY_S:
                self._pause = FIRST_PAUSE_S
            self._retry(f"ended ({exit_text(code)})", now=now)
        return False

    def read(self) -> bytes:
        """What the child has written since the last time."""
        if self.pipe is None:
            return b""
        try:
            data = os.read(self.pipe, 65_536)
        except BlockingIOError:
            return b""
        if not data:
            self.close_pipe()
        return data

    def close_pipe(self) -> None:
        if self.pipe is not None:
            os.close(self.pipe)
            self.pipe = None

    def end_group(self) -> None:
        """Kill what a dead child left behind, such as the workers of a killed web master."""
        if self._kill_group and self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def ask_to_stop(self) -> None:
        """Send the next, firmer signal of the list, or SIGKILL after the last."""
        self._again_at = None
        if self.process is None or self.process.poll() is not None:
            return
        sign = self._stop_signals.pop(0) if self._stop_signals else signal.SIGKILL
        self.process.send_signal(sign)

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def _retry(self, what: str, *, now: float) -> None:
        self.process = None
        self._again_at = now + self._pause
        pause = "at once" if self._pause <= FIRST_PAUSE_S else f"in {self._pause:.0f} s"
        self._say(self.name, f"{what}; starts again {pause} (log: {self.log.path})")
        self._pause = min(LONGEST_PAUSE_S, max(1.0, self._pause * 2))


def write_book(state_dir: Path, children: Sequence[Child]) -> None:
    """Note who runs, so that a later supervisor finds those whom a killed one left."""
    entries = [
        {"name": child.name, "pid": child.process.pid, "born": _born(child.process.pid)}
        for child in children
        if child.process is not None
    ]
    draft = state_dir / f"{BOOK}.draft"
    draft.write_text(json.dumps(entries))
    draft.replace(state_dir / BOOK)


def stop_leftovers(state_dir: Path, *, say: Callable[[str, str], None]) -> None:
    """Stop children of a killed supervisor that are still there; only processes that are surely those."""
    try:
        entries = json.loads((state_dir / BOOK).read_text())
    except (OSError, ValueError):
        return
    pids = [
        int(entry["pid"])
        for entry in entries
        if is_alive(int(entry["pid"])) and _born(int(entry["pid"])) == entry["born"] != ""
    ]
    for sign, seconds in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        until = time.monotonic() + seconds
        pids = [pid for pid in pids if is_alive(pid)]
        for pid in pids:
            say("supervisor", f"stopping process {pid}, left over from an earlier start")
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, sign)
        while any(is_alive(pid) for pid in pids) and time.monotonic() < until:
            time.sleep(0.05)
    (state_dir / BOOK).unlink(missing_ok=True)


def _born(pid: int) -> str:
    """When the process began, in the kernel's ticks: tells a process from a later one with the same id."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""

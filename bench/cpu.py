"""CPU seconds and memory by group of processes, read from /proc, exited children included."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
SAMPLE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One line of the process table; times in the kernel's ticks."""

    pid: int
    parent: int
    born: int
    own: int
    of_ended_children: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """The first process of a group. `alone`: its children belong to other groups."""

    pid: int
    alone: bool = False


@dataclass(slots=True)
class _Group:
    """What is known of one group; earlier roots (killed and started again) are in `before`."""

    root: tuple[int, int] | None = None
    before: int = 0
    last: int = 0
    peak_rss: int = 0


class Meter:
    """Samples in a thread of its own; `cpu_s` is exact to a sample, peaks to what a sample saw."""

    def __init__(self, roots: Callable[[], Mapping[str, Root]]) -> None:
        self._roots = roots
        self._groups: dict[str, _Group] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="meter", daemon=True)

    def __enter__(self) -> Meter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds of each group so far."""
        self.sample()
        with self._lock:
            return {
                name: (group.before + group.last) / TICKS_PER_S
                for name, group in self._groups.items()
            }

    def peak_rss_mb(self) -> dict[str, float]:
        """The most memory of each group at once; memory that its processes share counts once."""
        with self._lock:
            return {name: group.peak_rss / 1024 for name, group in self._groups.items()}

    def sample(self) -> None:
        """Read the process table once."""
        roots = self._roots()
        table = processes()
        children: dict[int, list[int]] = {}
        for process in table.values():
            children.setdefault(process.parent, []).append(process.pid)
        with self._lock:
            for name, root in roots.items():
                if root.pid in table:
                    self._take(self._groups.setdefault(name, _Group()), root, table, children)

    def _take(
        self,
        group: _Group,
        root: Root,
        table: Mapping[int, Process],
        children: Mapping[int, list[int]],
    ) -> None:
        first = table[root.pid]
        if group.root != (first.pid, first.born):
            group.before += group.last
            group.root, group.last = (first.pid, first.born), 0
        members = [first] if root.alone else _family(first, table, children)
        ticks = sum(p.own + (0 if root.alone else p.of_ended_children) for p in members)
        group.last = max(group.last, ticks)  # a parent that ignores its children loses their time
        group.peak_rss = max(group.peak_rss, _resident_kb([p.pid for p in members]))

    def _run(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            self.sample()


def processes() -> dict[int, Process]:
    """The process table."""
    found: dict[int, Process] = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            with open(f"{entry.path}/stat", "rb") as file:
                # The name in brackets may itself hold spaces and brackets.
                values = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        pid = int(entry.name)
        found[pid] = Process(
            pid=pid,
            parent=int(values[1]),
            born=int(values[19]),
            own=int(values[11]) + int(values[12]),
            of_ended_children=int(values[13]) + int(values[14]),
        )
    return found


def _family(
    first: Process, table: Mapping[int, Process], children: Mapping[int, list[int]]
) -> list[Process]:
    members, waiting = [], [first.pid]
    while waiting:
        pid = waiting.pop()
        members.append(table[pid])
        waiting += children.get(pid, [])
    return members


def _resident_kb(pids: list[int]) -> int:
    """Private memory of all, plus the largest share of files and shared memory among them."""
    private = files = shared = 0
    for pid in pids:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        values = {
            name: int(value.split()[0])
            for name, _, value in (line.partition(":") for line in status.splitlines())
            if name in {"RssAnon", "RssFile", "RssShmem"}
        }
        private += values.get("RssAnon", 0)
        files = max(files, values.get("RssFile", 0))
        shared = max(shared, values.get("RssShmem", 0))
    return private + files + shared


def per_minute(
    before: Mapping[str, float], after: Mapping[str, float], *, seconds: float
) -> dict[str, float]:
    """CPU seconds a minute between two readings."""
    return {name: (after[name] - before.get(name, 0.0)) * 60 / seconds for name in after}

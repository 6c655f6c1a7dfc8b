"""Holds processes to a share of one core: in a cgroup where one can be made, else by stopping and going on."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fanout_lambdas.probe.cores import LAMBDA_MB_A_CORE

PERIOD_S = 0.1
"""The kernel's default: a process may use its share at once and is frozen for the rest."""
CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """`hold(pid)` puts a process under it; `how` is for people. `environment`: what tells the
    process of it, where the system does not."""

    how: str
    hold: Callable[[int], None]
    environment: Mapping[str, str] = field(default_factory=dict)


class NoCgroup(Exception):
    """This machine lets us make no cgroup with a CPU quota."""


@contextlib.contextmanager
def held_to(cores: float, *, cgroups: Path = CGROUPS) -> Iterator[Share]:
    """A share of one core; what was held is free again afterwards."""
    with contextlib.ExitStack() as stack:
        try:
            share = stack.enter_context(held_in_cgroup(cores, cgroups=cgroups))
        except NoCgroup:
            share = stack.enter_context(_stop_and_go(cores))
        yield share


@contextlib.contextmanager
def held_in_cgroup(cores: float, *, name: str = "", cgroups: Path = CGROUPS) -> Iterator[Share]:
    """The same in a cgroup or not at all: raises NoCgroup. `name` tells one holder's cgroups apart."""
    quota, period = int(cores * PERIOD_S * 1e6), int(PERIOD_S * 1e6)
    file_name = "-".join(filter(None, (f"uptime-bench-{os.getpid()}", name)))
    for how, parent, limits in (
        ("cgroup v2", cgroups, {"cpu.max": f"{quota} {period}"}),
        (
            "cgroup v1",
            cgroups / "cpu",
            {"cpu.cfs_period_us": str(period), "cpu.cfs_quota_us": str(quota)},
        ),
    ):
        folder = _make(parent / file_name, limits, version=2 if parent == cgroups else 1)
        if folder is not None:
            try:
                yield Share(how=how, hold=lambda pid, at=folder: _enter(at, pid))  # type: ignore[misc]
            finally:
                _remove(folder, parent)
            return
    raise NoCgroup(f"No cgroup with a CPU quota can be made under {cgroups}.")


def _make(folder: Path, limits: dict[str, str], *, version: int) -> Path | None:
    control = folder.parent / "cgroup.subtree_control"
    try:
        if version == 2 and "cpu" not in control.read_text().split():
            control.write_text("+cpu")
        folder.mkdir()
    except OSError:
        return None
    try:
        for file, value in limits.items():
            (folder / file).write_text(value)
    except OSError:
        folder.rmdir()
        return None
    return folder


def _enter(folder: Path, pid: int) -> None:
    (folder / "cgroup.procs").write_text(str(pid))


def _remove(folder: Path, parent: Path) -> None:
    for pid in (folder / "cgroup.procs").read_text().split():
        with contextlib.suppress(OSError):
            _enter(parent, int(pid))
    with contextlib.suppress(OSError):
        folder.rmdir()


@contextlib.contextmanager
def _stop_and_go(cores: float) -> Iterator[Share]:
    """SIGSTOP and SIGCONT in the same period. Harsher: it stops also a process that used little."""
    pids: list[int] = []
    ended = threading.Event()

    def turn() -> None:
        while not ended.wait(cores * PERIOD_S):
            _send(pids, signal.SIGSTOP)
            ended.wait((1 - cores) * PERIOD_S)
            _send(pids, signal.SIGCONT)

    thread = threading.Thread(target=turn, name="stop and go", daemon=True)
    thread.start()
    try:
        yield Share(
            how="SIGSTOP and SIGCONT",
            hold=pids.append,
            environment={"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(round(cores * LAMBDA_MB_A_CORE))},
        )
    finally:
        ended.set()
        thread.join()
        _send(pids, signal.SIGCONT)


def _send(pids: list[int], sign: signal.Signals) -> None:
    for pid in list(pids):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sign)

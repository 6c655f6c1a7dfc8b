"""Holds each environment to the CPU that AWS grants its memory, where cgroups can be written."""

from __future__ import annotations

import contextlib
from pathlib import Path

from bench.accuracy.share import CGROUPS, held_in_cgroup
from fanout_lambdas.probe.cores import LAMBDA_MB_A_CORE


class Hold:
    """A cgroup for each environment, with memory_mb / 1,769 of a core (AWS: configuration-memory).

    INIT is not held: AWS does not say how much CPU it gives there, only that it is more. More than
    one core is not held either, because our functions use one. Raises NoCgroup where it cannot be done.
    """

    def __init__(self, *, cgroups: Path = CGROUPS) -> None:
        self._cgroups = cgroups
        self._held: dict[str, contextlib.ExitStack] = {}
        with held_in_cgroup(0.5, name="trial", cgroups=cgroups):
            pass

    def hold(self, name: str, pid: int, memory_mb: int) -> None:
        with contextlib.ExitStack() as stack:
            share = stack.enter_context(
                held_in_cgroup(
                    min(1.0, memory_mb / LAMBDA_MB_A_CORE), name=name, cgroups=self._cgroups
                )
            )
            with contextlib.suppress(OSError):  # it has just ended
                share.hold(pid)
            self._held[name] = stack.pop_all()

    def release(self, name: str) -> None:
        """Once its process was reaped."""
        if stack := self._held.pop(name, None):
            stack.close()

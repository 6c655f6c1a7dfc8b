"""How much of a processor this process is granted: it decides how close together probes may start."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

LAMBDA_MB_A_CORE = 1_769  # AWS grants a function CPU in proportion to its memory
CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def granted_cores(
    environ: Mapping[str, str] = os.environ,
    *,
    cgroups: Path = CGROUPS,
    membership: Path = MEMBERSHIP,
) -> float:
    """The smallest of the limits that apply; 1.0 at most, because one event loop uses one core."""
    memory = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    limits = [1.0]
    if memory.isascii() and memory.isdigit() and int(memory):
        limits.append(int(memory) / LAMBDA_MB_A_CORE)
    limits += _quotas(cgroups, membership)
    return min(limits)


def _quotas(cgroups: Path, membership: Path) -> Iterator[float]:
    """The quotas of our cgroup and all above it, version 2 and 1."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = cgroups / controllers if controllers else cgroups
        inside = PurePosixPath(path.lstrip("/"))
        for place in (inside, *inside.parents):
            quota = _quota(root / place, version=1 if controllers else 2)
            if quota is not None:
                yield quota


def _quota(folder: Path, *, version: int) -> float | None:
    try:
        if version == 2:
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        cores = int(quota) / int(period)  # "max" is no number: no limit
    except (OSError, ValueError, ZeroDivisionError):
        return None
    return cores if cores > 0 else None

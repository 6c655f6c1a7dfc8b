"""What a cold start pays before the first probe: importing the worker in a fresh interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from statistics import median

from uptime.embedded.places import PROJECT

_TIMED = """
from time import perf_counter as now
began = now()
import {}
print((now() - began) * 1000)
"""
_WORKER = _TIMED.format("fanout_lambdas.worker")
# What the worker cannot do without, imported as the worker does it: without httpx's command line.
_GIVEN = _TIMED.format("fanout_lambdas.probe, asyncio, ssl, httpx")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportTime:
    """Medians in ms: the import alone, that of asyncio, ssl and httpx alone, and a whole process that does nothing
    else, with and without the worker."""

    import_ms: float
    low_ms: float
    high_ms: float
    given_ms: float
    process_ms: float
    bare_ms: float


def measure_import(repetitions: int) -> ImportTime:
    """Fresh processes, one after the other; the first run of each fills the caches.

    Modules are compiled before, as in a deployed package, also where the machine forbids bytecode beside the sources.
    """
    with tempfile.TemporaryDirectory(prefix="uptime-bench-") as cache:
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": cache}
        return _measured(repetitions, environment)


def _measured(repetitions: int, environment: dict[str, str]) -> ImportTime:
    inside, given, whole, bare = [], [], [], []
    for turn in range(repetitions + 1):
        wall, said = _timed(_WORKER, environment)
        _, said_given = _timed(_GIVEN, environment)
        without, _ = _timed("pass", environment)
        if turn:
            inside.append(float(said))
            given.append(float(said_given))
            whole.append(wall)
            bare.append(without)
    return ImportTime(
        import_ms=median(inside),
        low_ms=min(inside),
        high_ms=max(inside),
        given_ms=median(given),
        process_ms=median(whole),
        bare_ms=median(bare),
    )


def _timed(source: str, environment: dict[str, str]) -> tuple[float, str]:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", source],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return (time.perf_counter() - began) * 1_000, done.stdout

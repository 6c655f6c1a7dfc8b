"""What one measured process is told to do and what it answers: an object each, as arguments and on stdout."""

from __future__ import annotations

import asyncio
import json
import resource
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

import certifi

KEYWORD = "All is well"
TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """`probes` are measured, `warm_up` before them are not. `down`: the target answers wrongly.
    `spaced`: starts keep the distance that makes times honest, however few are then in flight."""

    url: str
    ca: str
    probes: int
    warm_up: int
    in_flight: int
    down: bool = False
    spaced: bool = False

    def to_argument(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of the measured probes; `bad` did not end as the target's answer deserves."""

    cpu_s: float
    wall_s: float
    peak_rss_mb: float
    bad: int

    @classmethod
    def from_json(cls, text: str) -> Cost:
        return cls(**json.loads(text))


Run = Callable[[int], Awaitable[int]]
"""Does this many probes and returns how many were bad."""


def obey(engine: Callable[[Order], AbstractAsyncContextManager[Run]]) -> None:
    """The main function of a measured process."""
    order = Order(**json.loads(sys.argv[1]))

    async def measure() -> Cost:
        async with engine(order) as run:
            await run(order.warm_up)
            cpu, wall = cpu_s(), time.perf_counter()
            bad = await run(order.probes)
            return Cost(
                cpu_s=cpu_s() - cpu,
                wall_s=time.perf_counter() - wall,
                peak_rss_mb=peak_rss_mb("self"),
                bad=bad,
            )

    print(json.dumps(asdict(asyncio.run(measure()))))


def each(one: Callable[[], Awaitable[bool]], *, in_flight: int) -> Run:
    """One probe at a time in each of `in_flight` lanes; `one` tells whether it was good."""

    async def run(count: int) -> int:
        numbers: Iterator[int] = iter(range(count))

        async def lane() -> int:
            return sum([not await one() for _ in numbers])

        return sum(await asyncio.gather(*(lane() for _ in range(in_flight))))

    return run


def shared_context(ca: str) -> ssl.SSLContext:
    """One verifying context for all probes of a process, with the roots that our engine loads."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certifi.where())
    context.load_verify_locations(ca)
    return context


def cpu_s() -> float:
    """User and system time of this process, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_rss_mb(pid: int | str) -> float:
    """The kernel's high-water mark of one program; 0 when it has ended. (`ru_maxrss` would count
    the process that started it too.)"""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0

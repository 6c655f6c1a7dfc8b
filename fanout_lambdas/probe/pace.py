"""Spaces the starts of probes. Handshakes that compete for the CPU falsify each other's times, and a process
that has used up its share is frozen for the rest of the period with every answer unread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

# With half of the share left free, a probe seldom waits for another's handshake (bench.accuracy).
BUSY = 0.6
FIRST_COST_S = 0.001  # of CPU, a probe over TLS; measured from then on
# A few expensive answers must not slow down all who come after them.
LEAST_COST_S, MOST_COST_S = 0.000_1, 0.003
SAMPLE = 16  # starts between two looks at the CPU clock
TOLERANCE_S = 0.001  # timers are no finer than this


class Pace:
    """One per process. `cores`: its share of a processor, may be changed at any time."""

    def __init__(self, cores: float, *, cpu_clock: Callable[[], float] = time.process_time) -> None:
        self.cores = cores
        self._cpu_clock = cpu_clock
        self._cost_s = FIRST_COST_S
        self._next = 0.0
        self._starts = 0
        self._used = cpu_clock()

    async def turn(self) -> None:
        """Returns when the next probe may start."""
        now = asyncio.get_running_loop().time()
        at = self.take(now)
        if at - now > TOLERANCE_S:
            await asyncio.sleep(at - now)

    def take(self, now: float) -> float:
        """The time, not before `now`, that is the caller's own to start at."""
        at = max(now, self._next)
        self._next = at + self._cost_s / (self.cores * BUSY)
        self._starts += 1
        if self._starts == SAMPLE:
            self._learn()
        return at

    def _learn(self) -> None:
        used = self._cpu_clock()
        cost = (used - self._used) / self._starts
        self._cost_s = min(MOST_COST_S, max(LEAST_COST_S, (self._cost_s + cost) / 2))
        self._used, self._starts = used, 0

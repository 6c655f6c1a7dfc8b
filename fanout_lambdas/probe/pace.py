"""Spaces the starts of probes. Handshakes that compete for the CPU falsify each other's times, and a process
that has used up its share is frozen for the rest of the period with every answer unread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

# Of a whole core: with the rest left free, a probe seldom waits for another's handshake. Who has no more than
# a share below it finds the core idle whenever it runs, and may use all of the share (bench.accuracy).
BUSY = 0.75
# Who falls behind takes the whole core: a late slot with a blurred time is worth more than a missed one.
LATE_S = 3.0
FIRST_COST_S = 0.002  # of CPU, a first probe over TLS; measured from then on
# A few expensive answers must not slow down all who come after them.
LEAST_COST_S, MOST_COST_S = 0.000_1, 0.005
MOST_DEBT_S = 0.05
SAMPLE = 16  # starts between two estimates of the cost
# Of CPU: starts that need no more together share one timer. Two cheap ones hold each other up by less than a
# millisecond and save a quarter of what they cost one by one; two handshakes would cost each other several.
TOGETHER_S = 0.001_5


class Pace:
    """One per process. `cores`: its share of a processor, may be changed at any time.

    Two rules: starts are as far apart as the cost of a probe asks for, since a start's handshake
    comes a round trip later; and what was used beyond the share is waited for.
    """

    def __init__(self, cores: float, *, cpu_clock: Callable[[], float] = time.process_time) -> None:
        self.cores = cores
        self._cpu_clock = cpu_clock
        self._order = asyncio.Lock()
        self._cost_s = FIRST_COST_S
        self._next = self._looked_at = 0.0
        self._starts = 0
        self._debt_s = 0.0
        self._looked = self._sampled = cpu_clock()

    async def turn(self, due: float) -> None:
        """Returns when a probe that was due at this loop time may start."""
        async with self._order:  # who waits behind others has its time told when all is known
            now = asyncio.get_running_loop().time()
            late = now - due > LATE_S
            at = self.take(now, late=late)
            if (at - now) * self._share(late) > TOGETHER_S:
                await asyncio.sleep(at - now)

    def take(self, now: float, *, late: bool = False) -> float:
        """The time, not before `now`, that is the caller's own to start at."""
        share = self._share(late)
        used = self._cpu_clock()
        debt = self._debt_s + used - self._looked - (now - self._looked_at) * share
        self._debt_s = min(MOST_DEBT_S, max(0.0, debt))
        self._looked, self._looked_at = used, now
        self._starts += 1
        if self._starts == SAMPLE:
            self._estimate(used)
        at = max(self._next, now + self._debt_s / share)
        self._next = at + self._cost_s / share
        return at

    def _share(self, late: bool) -> float:
        return self.cores if late else min(self.cores, BUSY)

    def _estimate(self, used: float) -> None:
        cost = (self._cost_s + (used - self._sampled) / SAMPLE) / 2
        self._cost_s = min(MOST_COST_S, max(LEAST_COST_S, cost))
        self._sampled, self._starts = used, 0

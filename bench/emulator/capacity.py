"""How much may run at once in one region of the account, and how fast that may grow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum

from bench.emulator.spec import FunctionSpec, Limits

SCALE_WINDOW_S = 10.0


class Throttle(StrEnum):
    """The `Reason` of a TooManyRequestsException."""

    ACCOUNT = "ConcurrentInvocationLimitExceeded"
    RESERVED = "ReservedFunctionConcurrentInvocationLimitExceeded"
    # AWS documents the limit on new environments and not which reason it gives.
    SCALING = "FunctionInvocationRateLimitExceeded"
    CALLER = "CallerRateLimitExceeded"


class Concurrency:
    """Reserved concurrency is both a guarantee and a limit; all other functions share the rest."""

    def __init__(self, limits: Limits, functions: Sequence[FunctionSpec]) -> None:
        self._reserved = {s.name: s.reserved for s in functions if s.reserved is not None}
        self._unreserved = limits.concurrency - sum(self._reserved.values())
        self._running = dict.fromkeys(self._reserved, 0)
        self._running_unreserved = 0

    def take(self, name: str) -> Throttle | None:
        """Begin one run; the reason where it may not."""
        if name in self._reserved:
            if self._running[name] >= self._reserved[name]:
                return Throttle.RESERVED
            self._running[name] += 1
        else:
            if self._running_unreserved >= self._unreserved:
                return Throttle.ACCOUNT
            self._running_unreserved += 1
        return None

    def give_back(self, name: str) -> None:
        if name in self._reserved:
            self._running[name] -= 1
        else:
            self._running_unreserved -= 1


class ScalingRate:
    """New environments of one function: 1,000 each 10 s, refilled continuously and never more than that."""

    def __init__(self, per_window: int, clock: Callable[[], float]) -> None:
        self._most = float(per_window)
        self._left = self._most
        self._clock = clock
        self._seen = clock()

    def take(self) -> bool:
        now = self._clock()
        refilled = (now - self._seen) * self._most / SCALE_WINDOW_S
        self._left = min(self._most, self._left + refilled)
        self._seen = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

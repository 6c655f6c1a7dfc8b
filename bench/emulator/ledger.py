"""What each function did and what it would be billed for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionLedger:
    """One function so far.

    accepted: Invoke calls answered 200 or 202. invocations: runs begun, what AWS bills as requests:
    retries and duplicates are among them, throttles are not. errors: runs that failed, timeouts
    among them. throttles: every 429, `refused` those told to a caller, the others sent an event
    back to its queue. retries: runs of an event after a failed one. billed_s: each run rounded up
    to 1 ms, INIT included (billed since August 2025). gb_s: billed_s times memory_mb / 1024.
    peak_environments: the most that were ready at once, busy or idle. cold_starts: runs that began with
    an INIT; environments started by `warm` have none.
    durations: seconds of each ended run without INIT; begun: their beginnings, in seconds since 1970.
    """

    accepted: int = 0
    invocations: int = 0
    finished: int = 0
    errors: int = 0
    timeouts: int = 0
    throttles: int = 0
    refused: int = 0
    retries: int = 0
    duplicates: int = 0
    dead: int = 0
    cold_starts: int = 0
    init_s: float = 0.0
    billed_s: float = 0.0
    gb_s: float = 0.0
    peak_environments: int = 0
    max_memory_mb: float = 0.0
    durations: tuple[float, ...] = ()
    begun: tuple[float, ...] = ()

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        lists = {name: tuple(given[name]) for name in ("durations", "begun")}
        return cls(**{**given, **lists})


@dataclass(slots=True)
class Account:
    """The same, still being written."""

    memory_mb: int
    accepted: int = 0
    invocations: int = 0
    finished: int = 0
    errors: int = 0
    timeouts: int = 0
    throttles: int = 0
    refused: int = 0
    retries: int = 0
    duplicates: int = 0
    dead: int = 0
    cold_starts: int = 0
    init_s: float = 0.0
    billed_ms: int = 0
    peak_environments: int = 0
    max_memory_mb: float = 0.0
    durations: list[float] = field(default_factory=list)
    begun: list[float] = field(default_factory=list)

    def bill(self, *, init_s: float, run_s: float) -> None:
        """Rounded up to the millisecond, as one sum; what a float adds below a nanosecond is not time."""
        self.billed_ms += math.ceil(round((init_s + run_s) * 1e3, 6))

    def to_json(self) -> dict[str, Any]:
        given = asdict(self)
        del given["billed_ms"], given["memory_mb"]
        billed_s = self.billed_ms / 1e3
        given |= {"billed_s": billed_s, "gb_s": billed_s * self.memory_mb / 1_024}
        assert given.keys() == {each.name for each in fields(FunctionLedger)}
        return given

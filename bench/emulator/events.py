"""The queue of asynchronous invocations of one function (invocation-async-error-handling).

At least once: an event is delivered again after an error or a timeout (1 minute, then 2 minutes
later), goes back to the queue when throttled (1 second, doubled up to 5 minutes, with jitter), and
ends in the dead letters when its retries or its time are used up.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from bench.emulator.function import Function
from bench.emulator.run import Call, Outcome

RETRY_S = (60.0, 120.0)
FIRST_BACKOFF_S, MAX_BACKOFF_S = 1.0, 300.0


class Condition(StrEnum):
    """Why an event became a dead letter, in AWS's words."""

    RETRIES = "RetriesExhausted"
    AGE = "EventAgeExceeded"
    ZERO = "ZeroReservedConcurrency"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadEvent:
    """An event that is given up; `outcome` of its last run, if it ever ran."""

    call: Call
    condition: Condition
    runs: int
    outcome: Outcome | None


@dataclass(slots=True, eq=False)
class _Event:
    call: Call
    expires: float
    runs: int = 0
    throttled: int = 0
    outcome: Outcome | None = None


class EventQueue:
    """`time_scale` shrinks every wait and the event age. `pending` counts events in queue or running."""

    def __init__(
        self,
        function: Function,
        *,
        bury: Callable[[DeadEvent], None],
        duplicates: float,
        chance: random.Random,
        time_scale: float,
    ) -> None:
        self.pending = 0
        self._function, self._bury = function, bury
        self._duplicates, self._chance = duplicates, chance
        self._scale = time_scale
        self._loop = asyncio.get_running_loop()

    def accept(self, call: Call) -> None:
        copies = 1
        if self._duplicates and self._chance.random() < self._duplicates:
            copies = 2
            self._function.account.duplicates += 1
        expires = time.monotonic() + self._function.spec.event_age_s * self._scale
        for _ in range(copies):
            self.pending += 1
            self._deliver(_Event(call, expires))

    def _deliver(self, event: _Event) -> None:
        if self._function.spec.reserved == 0:
            self._give_up(event, Condition.ZERO)
            return
        if time.monotonic() >= event.expires:
            self._give_up(event, Condition.AGE)
            return
        refused = self._function.begin(event.call, lambda outcome: self._ended(event, outcome))
        if refused is None:
            if event.runs:
                self._function.account.retries += 1
            event.runs += 1
            event.throttled = 0
            return
        event.throttled += 1
        longest = min(FIRST_BACKOFF_S * 2**event.throttled, MAX_BACKOFF_S)
        self._wait(event, self._chance.uniform(longest / 2, longest))

    def _ended(self, event: _Event, outcome: Outcome) -> None:
        event.outcome = outcome
        if outcome.error is None:
            self.pending -= 1
        elif event.runs > self._function.spec.retries:
            self._give_up(event, Condition.RETRIES)
        else:
            self._wait(event, RETRY_S[event.runs - 1])

    def _wait(self, event: _Event, seconds: float) -> None:
        # What would come due after its age is given up at its age, not before.
        due = min(time.monotonic() + seconds * self._scale, event.expires)
        self._loop.call_later(max(0.0, due - time.monotonic()), self._deliver, event)

    def _give_up(self, event: _Event, condition: Condition) -> None:
        self.pending -= 1
        self._function.account.dead += 1
        self._bury(
            DeadEvent(call=event.call, condition=condition, runs=event.runs, outcome=event.outcome)
        )

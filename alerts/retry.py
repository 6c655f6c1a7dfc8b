"""PURE: what follows an attempt (hop 9) - another one, and when, or the end. No Django, no I/O.

The schedule is that of Standard Webhooks: ten attempts over three days.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

SCHEDULE_S: Final = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds to wait before each attempt, counted from the end of the one before."""
JITTER: Final = 0.2
RETRY_AFTER_S: Final = (1, 86_400)
"""Between these bounds the other side's Retry-After is honoured."""


class Outcome(StrEnum):
    """How an attempt ended."""

    SENT = "sent"
    PASSING = "passing"
    """Failed, but a later try may do better."""
    PERMANENT = "permanent"


class Then(StrEnum):
    """What happens to the delivery."""

    SENT = "sent"
    AGAIN = "again"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    then: Then
    at: datetime | None = None
    """When to try again."""


def decide(
    outcome: Outcome,
    *,
    attempt: int,
    now: datetime,
    jitter: float,
    retry_after_s: float | None = None,
    attempts: int = len(SCHEDULE_S),
) -> Decision:
    """What follows attempt number `attempt` (from 1) of a schedule; `jitter` is a random number from 0 to 1."""
    if outcome is Outcome.SENT:
        return Decision(then=Then.SENT)
    if outcome is Outcome.PERMANENT or attempt >= min(attempts, len(SCHEDULE_S)):
        return Decision(then=Then.DEAD)
    wait_s = SCHEDULE_S[attempt] * (1 - JITTER + 2 * JITTER * jitter)
    if retry_after_s is not None:
        # The later of the two: a server that keeps saying "in one second" must not use up the schedule.
        low, high = RETRY_AFTER_S
        wait_s = max(wait_s, min(max(retry_after_s, low), high))
    return Decision(then=Then.AGAIN, at=now + timedelta(seconds=wait_s))

"""Heartbeat rows and their deadlines: what is awaited next, written in one way by calls, silence and people."""

from __future__ import annotations

import logging
from datetime import datetime

from django.db.models import QuerySet

from checks.heartbeats.schedule import Deadline, Schedule, UnreadableSchedule
from checks.models import Check, Heartbeat

logger = logging.getLogger(__name__)


OWN = ("pings", "last_ping_at", "started_at", "run", "expected_at", "due_at", "voids")
"""What calls and silence change; the key costs a decryption and is not read along."""
_NEEDED = (
    "client",
    "digest",
    *OWN,
    *(f"subject__{name}" for name in ("interval_s", "grace_s", "cron", "timezone", "state")),
    *(f"subject__{name}" for name in ("paused_at", "deleted_at", "client__suspended_at")),
)


def locked(rows: QuerySet[Heartbeat]) -> QuerySet[Heartbeat]:
    """These heartbeats under lock, each with what its deadline follows from."""
    return (
        rows.select_for_update(of=("self",))
        .select_related("subject__client")
        .only(*_NEEDED)
        .order_by("pk")
    )


def schedule_of(check: Check) -> Schedule:
    return Schedule(
        period_s=check.interval_s, grace_s=check.grace_s, cron=check.cron, zone=check.timezone
    )


def is_watched(check: Check) -> bool:
    """Do its calls and its silence count? `check.client` is read."""
    return (
        check.deleted_at is None and check.paused_at is None and check.client.suspended_at is None
    )


def in_force(beat: Heartbeat) -> Deadline | None:
    """The deadline that `beat.due_at` stands for."""
    if beat.due_at is None:
        return None
    return schedule_of(beat.subject).deadline(beat.expected_at, started=beat.started_at)


def expect(beat: Heartbeat, expected: datetime | None) -> None:
    """Await the next call then; a run under way goes first, and None awaits nothing else."""
    beat.expected_at = expected
    deadline = schedule_of(beat.subject).deadline(expected, started=beat.started_at)
    beat.due_at = None if deadline is None else deadline.due


def expect_next(beat: Heartbeat, called: datetime, *, now: datetime) -> None:
    """Await the call that follows one at `called`; were that overdue already, the one that follows now.

    A schedule that nobody can read awaits nothing: one such row must not hold up the others.
    """
    schedule = schedule_of(beat.subject)
    try:
        expected = schedule.expected_after(called)
        if expected + schedule.grace <= now:
            expected = schedule.expected_after(now)
    except UnreadableSchedule as error:
        logger.error("the schedule of heartbeat %s cannot be read: %s", beat.pk, error)
        expect_nothing(beat)
    else:
        expect(beat, expected)


def expect_nothing(beat: Heartbeat) -> None:
    """Nothing more is awaited than a call that ends the outage."""
    beat.expected_at = beat.due_at = None

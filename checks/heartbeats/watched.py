"""The time in which a heartbeat is watched, from which its measured time follows (rule 13)."""

from __future__ import annotations

from datetime import datetime

from django.db.models import F
from django.db.models.functions import Greatest

from checks.models import Check, Heartbeat, HeartbeatSpan


def open_span(check: Check, *, at: datetime) -> None:
    """Watched from `at` on, if it was not."""
    HeartbeatSpan.objects.bulk_create(
        [HeartbeatSpan(client_id=check.client_id, subject=check, since=at)], ignore_conflicts=True
    )


def close_span(check_id: int, *, at: datetime) -> None:
    """Not watched from `at` on."""
    HeartbeatSpan.objects.across_clients().filter(subject_id=check_id, until=None).update(
        until=Greatest(F("since"), at)
    )


def stop(check_id: int, *, at: datetime) -> None:
    """A paused or deleted heartbeat awaits nothing. Nothing happens to checks of other kinds."""
    awaited = Heartbeat.objects.across_clients().filter(pk=check_id)
    if awaited.update(expected_at=None, due_at=None, started_at=None, run="", voids=0):
        close_span(check_id, at=at)

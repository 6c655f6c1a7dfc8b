"""What people do to a heartbeat: it begins, goes on with another schedule, is resumed, gets another key.

Each call belongs into the transaction of `checks.services`, after the check's row was written. That a pause ends all
waiting is said by `checks.pipeline.life`.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from checks.heartbeats.deadlines import expect_next, expect_nothing, is_watched, locked
from checks.heartbeats.keys import digest_of, new_key
from checks.models import Check, Heartbeat, State
from clients import audit
from clients.audit import Actor


def begin(check: Check, *, now: datetime) -> None:
    """Give a new heartbeat its key, and set the deadline of one whose schedule changed or that was resumed.

    Nothing is awaited before the first call ever came, nor during an outage. A resumed heartbeat, and one whose new
    schedule would have been broken already, has a full period from now.
    """
    key = new_key()
    Heartbeat.objects.bulk_create(
        [Heartbeat(subject=check, client_id=check.client_id, key=key, digest=digest_of(key))],
        ignore_conflicts=True,
    )
    beat = _locked(check)
    if _awaits_nothing(beat):
        expect_nothing(beat)
    else:
        resumed = beat.due_at is None
        expect_next(beat, now if resumed else beat.last_ping_at or now, now=now)
    beat.save(update_fields=["expected_at", "due_at"])


def _awaits_nothing(beat: Heartbeat) -> bool:
    never_called = beat.last_ping_at is None and beat.started_at is None
    return never_called or not is_watched(beat.subject) or beat.subject.state == State.DOWN


def rotate_key(check: Check, *, actor: Actor) -> Heartbeat:
    """Another address for the job; the old one is unknown from this moment on."""
    with transaction.atomic():
        beat = _locked(check)
        beat.key = new_key()
        beat.digest = digest_of(beat.key)
        beat.save(update_fields=["key", "digest"])
        audit.record(
            client=check.client,
            actor=actor,
            action="check.readdressed",
            subject_kind="check",
            subject_id=check.pk,
        )
    return beat


def _locked(check: Check) -> Heartbeat:
    return locked(Heartbeat.objects.for_client(check.client)).get(pk=check.pk)

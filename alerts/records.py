"""Books what came of an attempt (hop 9): the attempt, the delivery's new state and the channel's health, together."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce

from alerts import retry
from alerts.claims import tries_of
from alerts.models import Attempt, Channel, Delivery
from alerts.sending import Claim, Tried, masked
from alerts.transports.base import Failed, Sent
from clients import audit

MOVED: Final = (
    "state",
    "attempts_made",
    "next_attempt_at",
    "lease_until",
    "sent_at",
    "last_error",
)


def record(claim: Claim, tried: Tried, *, now: datetime, jitter: float) -> retry.Then:
    """Write one attempt down, in one transaction; what follows for its delivery."""
    with transaction.atomic():
        row = Delivery.objects.across_clients().select_for_update().get(pk=claim.delivery_id)
        _attempt(row, claim, tried)
        if row.state == Delivery.State.SENDING and row.attempts_made == claim.number - 1:
            _move(row, claim, tried, now=now, jitter=jitter)
        else:
            _too_late(row, claim, sent=isinstance(tried.outcome, Sent), now=now)
        row.save(update_fields=MOVED)
        _channel(claim, tried.outcome, now)
    if isinstance(tried.outcome, Sent):
        return retry.Then.SENT
    return retry.Then.DEAD if row.state == Delivery.State.DEAD else retry.Then.AGAIN


def _attempt(row: Delivery, claim: Claim, tried: Tried) -> None:
    outcome = tried.outcome
    Attempt.objects.across_clients().update_or_create(
        delivery=row,
        number=claim.number,
        defaults={
            "client_id": row.client_id,
            "started_at": tried.started_at,
            "duration_ms": tried.duration_ms,
            "ok": isinstance(outcome, Sent),
            "permanent": isinstance(outcome, Failed) and outcome.permanent,
            "status": outcome.status[:20],
            "answer": masked(outcome.answer, claim.secrets),
        },
    )


def _move(row: Delivery, claim: Claim, tried: Tried, *, now: datetime, jitter: float) -> None:
    outcome = tried.outcome
    row.attempts_made = claim.number
    decision = retry.decide(
        _how(outcome),
        attempt=claim.number - row.attempts_before,
        now=now,
        jitter=jitter,
        retry_after_s=outcome.retry_after_s if isinstance(outcome, Failed) else None,
        attempts=tries_of(row),
    )
    row.lease_until = None
    row.next_attempt_at = decision.at
    if decision.then is retry.Then.SENT:
        row.state, row.sent_at, row.last_error = Delivery.State.SENT, now, ""
    else:
        again = decision.then is retry.Then.AGAIN
        row.state = Delivery.State.QUEUED if again else Delivery.State.DEAD
        row.last_error = masked(outcome.answer, claim.secrets)[:500] or outcome.status


def _too_late(row: Delivery, claim: Claim, *, sent: bool, now: datetime) -> None:
    """Our lease had ended and the delivery went on without us; that it arrived still counts."""
    if sent and row.state in (Delivery.State.QUEUED, Delivery.State.SENDING):
        row.state, row.sent_at, row.last_error = Delivery.State.SENT, now, ""
        row.next_attempt_at = row.lease_until = None
    row.attempts_made = max(row.attempts_made, claim.number)


def _how(outcome: Sent | Failed) -> retry.Outcome:
    if isinstance(outcome, Sent):
        return retry.Outcome.SENT
    return retry.Outcome.PERMANENT if outcome.permanent else retry.Outcome.PASSING


def _channel(claim: Claim, outcome: Sent | Failed, now: datetime) -> None:
    rows = Channel.objects.across_clients().filter(pk=claim.channel_id)
    if isinstance(outcome, Sent):
        rows.update(failures_in_a_row=0, failing_since=None, last_success_at=now)
        return
    rows.update(
        failures_in_a_row=F("failures_in_a_row") + 1, failing_since=Coalesce("failing_since", now)
    )
    if outcome.gone:
        why = f"The receiver answered {outcome.status}: it wants no more messages."
        if rows.filter(enabled=True).update(enabled=False, disabled_reason=why, updated_at=now):
            channel = (
                rows.defer("target", "secret", "previous_secret").select_related("client").get()
            )
            audit.record(
                client=channel.client,
                actor=None,
                action="channel.disabled",
                subject_kind="channel",
                subject_id=channel.pk,
                detail={"name": channel.name, "reason": why},
            )

"""Books what came of attempts (hop 9): attempt, delivery's new state and channel's health in one transaction.

Those that ended together are booked together: the shorter the time between an answer and its record, the fewer
messages a killed sender leaves to be sent twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import connection, transaction

from alerts import retry
from alerts.claims import tries_of
from alerts.models import Attempt, Channel, Delivery
from alerts.sending import Claim, Tried, masked
from alerts.transports.base import Failed, Sent
from clients import audit

log = logging.getLogger(__name__)

Ended = tuple[Claim, Tried]

_MOVE: Final = """
update alerts_delivery d
set state = n.state, attempts_made = n.made, next_attempt_at = n.next, lease_until = n.lease,
    sent_at = n.sent, last_error = n.error
from unnest(%s::bigint[], %s::text[], %s::int[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::text[])
     as n(id, state, made, next, lease, sent, error)
where d.id = n.id
"""
_HEALTH: Final = """
update alerts_channel c
set failures_in_a_row = case when n.good then n.bad else c.failures_in_a_row + n.bad end,
    failing_since = case when n.good and n.bad = 0 then null
                         when n.good then %(now)s else coalesce(c.failing_since, %(now)s) end,
    last_success_at = case when n.good then %(now)s else c.last_success_at end
from unnest(%(ids)s::bigint[], %(good)s::bool[], %(bad)s::int[]) as n(id, good, bad)
where c.id = n.id
"""


@dataclass(slots=True)
class _Health:
    """What a channel's attempts of this batch say together."""

    good: bool = False
    bad: int = 0
    """Failures since the last success of the batch."""


def record(
    ended: Sequence[Ended], *, now: datetime, jitter: Callable[[], float]
) -> list[retry.Then]:
    """Write these attempts down; what follows for each. One whose delivery was deleted meanwhile is left out."""
    with transaction.atomic():
        rows = {
            row.pk: row
            for row in Delivery.objects.across_clients()
            .filter(pk__in=[claim.delivery_id for claim, _ in ended])
            .defer("message")
            .order_by("id")
            .select_for_update()
        }
        known = [one for one in ended if one[0].delivery_id in rows]
        Attempt.objects.bulk_create(
            [_attempt(rows[claim.delivery_id], claim, tried) for claim, tried in known],
            update_conflicts=True,
            unique_fields=["delivery", "number"],
            update_fields=["started_at", "duration_ms", "ok", "permanent", "status", "answer"],
        )
        then = [_move(rows[one[0].delivery_id], *one, now=now, jitter=jitter()) for one in known]
        _store(list(rows.values()))
        _book_health(known, now)
    _log_blocked(known, rows)
    return then


def _log_blocked(ended: Sequence[Ended], rows: Mapping[int, Delivery]) -> None:
    for claim, tried in ended:
        if isinstance(tried.outcome, Failed) and tried.outcome.rule:
            client, rule = rows[claim.delivery_id].client_id, tried.outcome.rule
            log.warning(
                "blocked delivery client=%s channel=%s rule=%s", client, claim.channel_id, rule
            )


def _attempt(row: Delivery, claim: Claim, tried: Tried) -> Attempt:
    outcome = tried.outcome
    return Attempt(
        delivery=row,
        client_id=row.client_id,
        number=claim.number,
        started_at=tried.started_at,
        duration_ms=tried.duration_ms,
        ok=isinstance(outcome, Sent),
        permanent=isinstance(outcome, Failed) and outcome.permanent,
        status=outcome.status[:20],
        answer=masked(outcome.answer, claim.secrets),
    )


def _move(row: Delivery, claim: Claim, tried: Tried, *, now: datetime, jitter: float) -> retry.Then:
    """The row's next state; with a lease that had ended meanwhile, only that it arrived still counts."""
    outcome = tried.outcome
    ours = row.state == Delivery.State.SENDING and row.attempts_made == claim.number - 1
    row.attempts_made = max(row.attempts_made, claim.number)
    if not ours:
        on_its_way = row.state in (Delivery.State.QUEUED, Delivery.State.SENDING)
        if isinstance(outcome, Sent) and on_its_way:
            _arrived(row, now)
        return retry.Then.SENT if isinstance(outcome, Sent) else retry.Then.AGAIN
    decision = retry.decide(
        _how(outcome),
        attempt=claim.number - row.attempts_before,
        now=now,
        jitter=jitter,
        retry_after_s=outcome.retry_after_s if isinstance(outcome, Failed) else None,
        attempts=tries_of(row),
    )
    if decision.then is retry.Then.SENT:
        _arrived(row, now)
        return decision.then
    again = decision.then is retry.Then.AGAIN
    row.state = Delivery.State.QUEUED if again else Delivery.State.DEAD
    row.next_attempt_at, row.lease_until = decision.at, None
    row.last_error = masked(outcome.answer, claim.secrets)[:500] or outcome.status
    return decision.then


def _arrived(row: Delivery, now: datetime) -> None:
    row.state, row.sent_at, row.last_error = Delivery.State.SENT, now, ""
    row.next_attempt_at = row.lease_until = None


def _how(outcome: Sent | Failed) -> retry.Outcome:
    if isinstance(outcome, Sent):
        return retry.Outcome.SENT
    return retry.Outcome.PERMANENT if outcome.permanent else retry.Outcome.PASSING


def _store(rows: Sequence[Delivery]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            _MOVE,
            [
                [row.pk for row in rows],
                [str(row.state) for row in rows],
                [row.attempts_made for row in rows],
                [row.next_attempt_at for row in rows],
                [row.lease_until for row in rows],
                [row.sent_at for row in rows],
                [row.last_error for row in rows],
            ],
        )


def _book_health(ended: Sequence[Ended], now: datetime) -> None:
    health: dict[int, _Health] = {}
    gone: dict[int, str] = {}
    for claim, tried in ended:
        one = health.setdefault(claim.channel_id, _Health())
        if isinstance(tried.outcome, Sent):
            one.good, one.bad = True, 0
        else:
            one.bad += 1
            if tried.outcome.gone:
                gone[claim.channel_id] = tried.outcome.status
    rows = Channel.objects.across_clients().order_by("id").select_for_update(no_key=True)
    ids = list(rows.filter(pk__in=health).values_list("id", flat=True))  # locked in order
    with connection.cursor() as cursor:
        cursor.execute(
            _HEALTH,
            {
                "now": now,
                "ids": ids,
                "good": [health[each].good for each in ids],
                "bad": [health[each].bad for each in ids],
            },
        )
    for channel_id, status in gone.items():
        _switch_off(channel_id, f"The receiver answered {status}: it wants no more messages.", now)


def _switch_off(channel_id: int, why: str, now: datetime) -> None:
    rows = Channel.objects.across_clients().filter(pk=channel_id)
    if not rows.filter(enabled=True).update(enabled=False, disabled_reason=why, updated_at=now):
        return
    channel = rows.defer("target", "secret", "previous_secret").select_related("client").get()
    audit.record(
        client=channel.client,
        actor=None,
        action="channel.disabled",
        subject_kind="channel",
        subject_id=channel.pk,
        detail={"name": channel.name, "reason": why},
    )

"""Which deliveries are ours to send now (hop 9): due rows are claimed with a lease by a conditional update.

A lease that ends unrenewed is claimed again, so a message is sent at least once, and the try that nobody
recorded stands in the log as lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from django.db import connection, transaction
from django.db.models import Count, Q

from alerts import lanes, retry
from alerts.models import TEST, Attempt, Channel, Delivery
from alerts.sending import Claim
from clients.encryption import UnreadableSecret

LEASE: Final = timedelta(seconds=60)
"""Renewed while the sender lives; longer than any one attempt takes to begin."""
WINDOW: Final = 4_000
LOST: Final = "lost"
DELETED: Final = "The channel was deleted."
OFF: Final = "The channel was switched off."
_CLAIM_LOCK: Final = 0x616C65727473

_DUE = """
with due as (
    select d.id, d.channel_id, d.client_id, d.kind, d.next_attempt_at,
           row_number() over (partition by d.channel_id order by d.id) as place
    from alerts_delivery d
    where ((d.state = 'queued' and d.next_attempt_at <= %(now)s)
           or (d.state = 'sending' and d.lease_until <= %(now)s))
      and not exists (
          select from alerts_delivery e
          where e.channel_id = d.channel_id and e.subject_id = d.subject_id and e.id < d.id
            and e.state in ('queued', 'sending'))
)
select due.id, due.channel_id, due.client_id, c.kind,
       c.failures_in_a_row = 0 and c.last_success_at is not null,
       c.deleted_at is not null, not c.enabled and due.kind <> %(test)s
from due join alerts_channel c on c.id = due.channel_id
where due.place <= %(per_channel)s
order by due.place, due.next_attempt_at, due.id
limit %(window)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What one call took, and what it ended instead."""

    taken: tuple[Claim, ...] = ()
    lost: int = 0
    """Tries whose sender vanished."""
    dead: int = 0


@dataclass(slots=True)
class _DueNow:
    """Due deliveries: those that can be sent, and those whose channel is gone."""

    candidates: list[lanes.Candidate] = field(default_factory=list)
    deleted: list[int] = field(default_factory=list)
    off: list[int] = field(default_factory=list)


def claim(*, now: datetime, free: int, senders: int) -> Claims:
    """Take up to `free` due deliveries, each its lease long."""
    if free <= 0:
        return Claims()
    with transaction.atomic():
        # Claims are short and take turns, so the limits in flight hold over all processes.
        with connection.cursor() as cursor:
            cursor.execute("select pg_advisory_xact_lock(%s)", [_CLAIM_LOCK])
        due = _due_now(now)
        dead = _end(Q(pk__in=due.deleted), DELETED) + _end(Q(pk__in=due.off), OFF)
        chosen = lanes.pick(due.candidates, _in_flight(now), free=free, senders=senders)
        rows = list(
            Delivery.objects.across_clients()
            .filter(_due(now), pk__in=chosen)
            .select_for_update(skip_locked=True)
            .order_by("id")
        )
        expired = [row for row in rows if row.state == Delivery.State.SENDING]
        given_up = {row.pk for row in expired if not _outlive(row, now)}
        rows = [row for row in rows if row.pk not in given_up]
        claims = _with_channels(rows, now)
        Delivery.objects.across_clients().filter(pk__in=[row.pk for row in rows]).update(
            state=Delivery.State.SENDING, lease_until=now + LEASE, next_attempt_at=None
        )
    return Claims(taken=tuple(claims), lost=len(expired), dead=dead + len(given_up))


def renew(claims: Iterable[Claim], *, now: datetime) -> None:
    """A slow answer is not a dead sender."""
    Delivery.objects.across_clients().filter(
        pk__in=[one.delivery_id for one in claims], state=Delivery.State.SENDING
    ).update(lease_until=now + LEASE)


def claim_of(delivery: Delivery, channel: Channel, *, number: int, now: datetime) -> Claim:
    """The claim of one row with its channel's target and the secrets in force."""
    secrets = [channel.secret]
    until = channel.previous_secret_until
    if channel.previous_secret and until is not None and until > now:
        secrets.append(channel.previous_secret)
    return Claim(
        delivery_id=delivery.pk,
        number=number,
        channel_id=channel.pk,
        channel_kind=channel.kind,
        message_id=str(delivery.message_id),
        message=delivery.message,
        target=channel.target,
        secrets=tuple(filter(None, secrets)),
    )


def end_waiting(channel: Channel, why: str) -> int:
    """Nothing more goes to this channel: what still waits becomes a visible dead letter."""
    return _end(Q(channel=channel, state=Delivery.State.QUEUED), why)


def _due(now: datetime) -> Q:
    return Q(state=Delivery.State.QUEUED, next_attempt_at__lte=now) | Q(
        state=Delivery.State.SENDING, lease_until__lte=now
    )


def _due_now(now: datetime) -> _DueNow:
    found = _DueNow()
    with connection.cursor() as cursor:
        cursor.execute(
            _DUE,
            {"now": now, "per_channel": lanes.PER_CHANNEL, "window": WINDOW, "test": TEST},
        )
        for delivery_id, channel_id, client_id, kind, proven, deleted, off in cursor.fetchall():
            if deleted or off:
                (found.deleted if deleted else found.off).append(delivery_id)
                continue
            found.candidates.append(
                lanes.Candidate(
                    delivery_id=delivery_id,
                    channel_id=channel_id,
                    client_id=client_id,
                    channel_kind=kind,
                    proven=proven,
                )
            )
    return found


def _in_flight(now: datetime) -> lanes.InFlight:
    return lanes.count(
        Delivery.objects.across_clients()
        .filter(state=Delivery.State.SENDING, lease_until__gt=now)
        .values_list("channel_id", "client_id", "channel__kind")
        .annotate(how_many=Count("id"))
        .order_by()
    )


def _end(which: Q, why: str) -> int:
    return (
        Delivery.objects.across_clients()
        .filter(which, state__in=[Delivery.State.QUEUED, Delivery.State.SENDING])
        .update(state=Delivery.State.DEAD, next_attempt_at=None, lease_until=None, last_error=why)
    )


def _outlive(row: Delivery, now: datetime) -> bool:
    """Book the try whose sender vanished; whether another one follows."""
    row.attempts_made += 1
    said = "The sender stopped before it could record how this attempt ended."
    Attempt.objects.create(
        delivery=row,
        client_id=row.client_id,
        number=row.attempts_made,
        started_at=(row.lease_until or now) - LEASE,
        duration_ms=0,
        ok=False,
        status=LOST,
        answer=said,
    )
    decision = retry.decide(
        retry.Outcome.PASSING,
        attempt=row.attempts_made - row.attempts_before,
        now=now,
        jitter=0.5,
        attempts=tries_of(row),
    )
    dead = decision.then is retry.Then.DEAD
    if dead:
        row.state, row.lease_until, row.last_error = Delivery.State.DEAD, None, said
    row.save(update_fields=["attempts_made", "state", "lease_until", "last_error"])
    return not dead


def tries_of(row: Delivery) -> int:
    """A test is tried once: a person waits for its answer."""
    return 1 if row.kind == TEST else len(retry.SCHEDULE_S)


def _with_channels(rows: Sequence[Delivery], now: datetime) -> list[Claim]:
    channels = _channels({row.channel_id for row in rows})
    return [
        claim_of(row, channels[row.channel_id], number=row.attempts_made + 1, now=now)
        for row in rows
    ]


def _channels(ids: set[int]) -> dict[int, Channel]:
    rows = Channel.objects.across_clients()
    try:
        return rows.in_bulk(ids)
    except UnreadableSecret:
        return {channel_id: _channel(channel_id) for channel_id in ids}


def _channel(channel_id: int) -> Channel:
    """One channel; without a target when no key of this installation opens it, which an operator can mend."""
    rows = Channel.objects.across_clients()
    try:
        return rows.get(pk=channel_id)
    except UnreadableSecret:
        channel = rows.defer("target", "secret", "previous_secret").get(pk=channel_id)
        channel.target = channel.secret = channel.previous_secret = ""
        return channel

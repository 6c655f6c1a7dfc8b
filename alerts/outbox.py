"""Hop 8: unprocessed events > notices > deliveries; the event is marked in the transaction that queues them.

An event that cannot be handled is tried five times, then set aside with its error; the others go on.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from django.db import DatabaseError, transaction
from django.db.models import Min

from alerts import messages, routing
from alerts.models import Channel, Delivery, Notice
from alerts.story import tell
from checks.models import Event

MAX_TRIES: Final = 5
FIRST_STEP: Final = 0

log = logging.getLogger(__name__)

Key = tuple[int, int]
"""Event and channel of a first-step notice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxReport:
    """What one call did."""

    events: int = 0
    deliveries: int = 0
    withheld: int = 0
    failed: int = 0
    set_aside: int = 0
    more: bool = False
    """The limit was reached: call again at once."""

    @property
    def idle(self) -> bool:
        return not (self.events or self.failed)


@dataclass(slots=True)
class _Draft:
    """What one event becomes: notices, with the delivery that carries each or the reason why none does."""

    event: Event
    notices: list[Notice] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)


def enqueue_deliveries(*, now: datetime, limit: int = 500) -> OutboxReport:
    """Handle up to `limit` unprocessed events, the oldest first. Safe to call at the same time elsewhere."""
    with transaction.atomic():
        events = _claim(limit)
        if not events:
            return OutboxReport()
        channels = _channels_of({event.client_id for event in events})
        known = _known_notices(events)
        drafts: list[_Draft] = []
        stuck: dict[int, str] = {}
        failed: dict[int, Event] = {}
        for event in events:
            if event.subject_id in stuck:
                continue  # its check's earlier event comes first, at the next call
            try:
                drafts.append(_draft(event, channels[event.client_id], known, now))
            except Exception as error:
                # Whatever one event holds, the others go on; the error is kept with it.
                stuck[event.subject_id] = repr(error)
                failed[event.pk] = event
                event.error = _in_words(error)
        done = _write(drafts, failed)
        set_aside = _book(done, failed.values(), now)
    return OutboxReport(
        events=len(done),
        deliveries=sum(len(draft.deliveries) for draft in done),
        withheld=sum(len(draft.notices) - len(draft.deliveries) for draft in done),
        failed=len(failed),
        set_aside=set_aside,
        more=bool(done) and len(events) >= limit,
    )


def _claim(limit: int) -> list[Event]:
    """Locked events with check, incident and client; none whose check has an earlier one in other hands."""
    events = list(
        Event.objects.across_clients()
        .filter(processed_at=None)
        .select_related("subject", "incident", "client")
        .order_by("id")
        .select_for_update(skip_locked=True, of=("self",))[:limit]
    )
    mine = {event.pk for event in events}
    elsewhere: dict[int, int] = dict(
        Event.objects.across_clients()
        .filter(processed_at=None, subject_id__in={event.subject_id for event in events})
        .exclude(pk__in=mine)
        .values_list("subject_id")
        .annotate(first=Min("id"))
        .values_list("subject_id", "first")
    )
    return [event for event in events if elsewhere.get(event.subject_id, event.pk) >= event.pk]


def _channels_of(client_ids: Iterable[int]) -> dict[int, list[Channel]]:
    found: dict[int, list[Channel]] = defaultdict(list)
    for channel in (
        Channel.objects.across_clients()
        .filter(client_id__in=client_ids, deleted_at=None)
        .order_by("id")
    ):
        found[channel.client_id].append(channel)
    return found


def _known_notices(events: Sequence[Event]) -> set[Key]:
    """What an earlier run wrote already: a replayed event queues nothing twice."""
    return set(
        Notice.objects.across_clients()
        .filter(event__in=events, step=FIRST_STEP)
        .values_list("event_id", "channel_id")
    )


def _draft(event: Event, channels: Sequence[Channel], known: set[Key], now: datetime) -> _Draft:
    draft = _Draft(event)
    open_routes = []
    for route in routing.routes(event, channels):
        if (event.pk, route.channel.pk) in known:
            continue
        if route.withheld:
            draft.notices.append(_notice(event, route.channel, withheld=route.withheld))
        else:
            open_routes.append(route)
    if not open_routes:
        return draft
    story = tell(event)
    rendered = {
        kind: messages.render(story, kind) for kind in {route.channel.kind for route in open_routes}
    }
    for route in open_routes:
        message = rendered[route.channel.kind]
        delivery = Delivery(
            client_id=event.client_id,
            channel=route.channel,
            subject_id=event.subject_id,
            kind=event.kind,
            summary=message.summary,
            message=message.document,
            next_attempt_at=now,
            occurred_at=event.created_at,
        )
        draft.deliveries.append(delivery)
        draft.notices.append(_notice(event, route.channel, delivery=delivery))
    return draft


def _notice(
    event: Event, channel: Channel, *, delivery: Delivery | None = None, withheld: str = ""
) -> Notice:
    return Notice(
        client_id=event.client_id,
        event=event,
        channel=channel,
        kind=event.kind,
        step=FIRST_STEP,
        delivery=delivery,
        withheld=withheld[:200],
    )


def _write(drafts: list[_Draft], failed: dict[int, Event]) -> list[_Draft]:
    """Store all at once; when the database refuses the lot, one by one to find which. Returns what was stored."""
    try:
        _store(drafts)
        return drafts
    except DatabaseError:
        log.exception("A batch of %d events was refused; storing them one by one", len(drafts))
    done: list[_Draft] = []
    stuck: set[int] = set()
    for draft in drafts:
        if draft.event.subject_id in stuck:
            continue
        try:
            _store([draft])
            done.append(draft)
        except DatabaseError as error:
            stuck.add(draft.event.subject_id)
            failed[draft.event.pk] = draft.event
            draft.event.error = _in_words(error)
    return done


def _store(drafts: Sequence[_Draft]) -> None:
    with transaction.atomic():  # a savepoint: a refusal undoes this part alone
        deliveries = [delivery for draft in drafts for delivery in draft.deliveries]
        for delivery in deliveries:
            delivery.pk = None
            delivery._state.adding = True
        Delivery.objects.bulk_create(deliveries, batch_size=500)
        notices = [notice for draft in drafts for notice in draft.notices]
        for notice in notices:
            notice.pk = None
            if notice.delivery is not None:
                notice.delivery = notice.delivery  # takes over the id that was just given
        Notice.objects.bulk_create(notices, batch_size=1_000)


def _book(done: Sequence[_Draft], failed: Iterable[Event], now: datetime) -> int:
    """Mark what is handled, count what failed; how many were set aside for good."""
    rows = Event.objects.across_clients()
    rows.filter(pk__in=[draft.event.pk for draft in done]).update(processed_at=now, error="")
    set_aside = 0
    for event in failed:
        event.attempts += 1
        if event.attempts >= MAX_TRIES:
            event.processed_at = now
            set_aside += 1
            log.error("Event %d is set aside after %d tries: %s", event.pk, MAX_TRIES, event.error)
        event.save(update_fields=["attempts", "error", "processed_at"])
    return set_aside


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:2_000].replace("\x00", "")

"""Reads for pages and API, client first; the few that look over all clients are the operators'."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypedDict

from django.db.models import Count, OuterRef, Prefetch, Q, Subquery

from alerts.models import TEST, Attempt, Channel, Delivery, Notice
from checks.models import Check, Event
from clients.models import Client
from clients.scoping import TenantQuerySet

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

    ChannelInList = WithAnnotations[Channel, "LastDelivery"]

WAITING = (Delivery.State.QUEUED, Delivery.State.SENDING)


class LastDelivery(TypedDict):
    """What `channels_of` adds to each channel."""

    last_delivery_state: str | None
    last_delivery_at: datetime | None
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryCounts:
    """How a client's deliveries stand."""

    waiting: int
    sent: int
    dead: int


def channels_of(client: Client) -> TenantQuerySet[ChannelInList]:
    """Channels that are not deleted, each with `last_delivery_state`, `last_delivery_at` and `waiting`."""
    last = Delivery.objects.for_client(client).filter(channel=OuterRef("pk")).order_by("-id")
    return (
        Channel.objects.for_client(client)
        .filter(deleted_at=None)
        .annotate(
            last_delivery_state=Subquery(last.values("state")[:1]),
            last_delivery_at=Subquery(last.values("created_at")[:1]),
            waiting=Count("deliveries", filter=Q(deliveries__state__in=WAITING)),
        )
        .order_by("name", "id")
    )


def deliveries_of(
    client: Client,
    *,
    channel: Channel | None = None,
    check: Check | None = None,
    state: str | None = None,
) -> TenantQuerySet[Delivery]:
    """The alert history, newest first, with channel, check and attempts (oldest first)."""
    rows = (
        Delivery.objects.for_client(client)
        .select_related("channel", "subject")
        .defer("message", "channel__target", "channel__secret", "channel__previous_secret")
        .prefetch_related(
            Prefetch("attempts", queryset=Attempt.objects.for_client(client).order_by("number"))
        )
        .order_by("-id")
    )
    if channel is not None:
        rows = rows.filter(channel=channel)
    if check is not None:
        rows = rows.filter(subject=check)
    if state:
        rows = rows.filter(state=state)
    return rows


def withheld_of(client: Client, *, check: Check | None = None) -> TenantQuerySet[Notice]:
    """What was not sent, and why: newest first, with event, check and channel."""
    rows = (
        Notice.objects.for_client(client)
        .exclude(withheld="")
        .select_related("event", "event__subject", "channel")
        .defer("channel__target", "channel__secret", "channel__previous_secret")
        .order_by("-id")
    )
    return rows if check is None else rows.filter(event__subject=check)


def counts_of(client: Client) -> DeliveryCounts:
    """Alerts that wait, arrived and failed; tests do not count."""
    found = (
        Delivery.objects.for_client(client)
        .exclude(kind=TEST)
        .aggregate(
            waiting=Count("id", filter=Q(state__in=WAITING)),
            sent=Count("id", filter=Q(state=Delivery.State.SENT)),
            dead=Count("id", filter=Q(state=Delivery.State.DEAD)),
        )
    )
    return DeliveryCounts(**found)


def deliveries_of_fleet(*, state: str | None = None) -> TenantQuerySet[Delivery]:
    """Operators' alert history: no message bodies, no targets."""
    rows = (
        Delivery.objects.across_clients()
        .select_related("channel", "client", "subject")
        .defer("message", "channel__target", "channel__secret", "channel__previous_secret")
        .order_by("-id")
    )
    return rows.filter(state=state) if state else rows


def events_set_aside() -> TenantQuerySet[Event]:
    """Operators: events that no delivery could be made of, each with its error."""
    return (
        Event.objects.across_clients()
        .exclude(error="")
        .select_related("client", "subject")
        .order_by("-id")
    )

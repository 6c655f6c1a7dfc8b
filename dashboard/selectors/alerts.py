"""A client's channels and what was sent to them (hop 10)."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Max, QuerySet

from alerts.models import Attempt, Channel, Delivery, Notice
from alerts.selectors import deliveries_of, deliveries_of_fleet, withheld_of
from alerts.services import masked_target
from clients.models import Client
from dashboard.selectors.paging import Page, page_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelCard:
    """A channel, its target without what could be a secret, and its newest delivery."""

    channel: Channel
    target: str
    newest: Delivery | None


def live_channels(client: Client) -> QuerySet[Channel]:
    return Channel.objects.for_client(client).filter(deleted_at=None).order_by("name", "pk")


def channel_cards(client: Client) -> list[ChannelCard]:
    channels = list(live_channels(client))
    newest = dict(
        Delivery.objects.for_client(client)
        .filter(channel__in=[channel.pk for channel in channels])
        .values_list("channel")
        .annotate(newest=Max("pk"))
    )
    deliveries = Delivery.objects.for_client(client).in_bulk(list(newest.values()))
    return [
        ChannelCard(
            channel=channel,
            target=masked_target(channel.kind, channel.target),
            newest=deliveries.get(newest.get(channel.pk, 0)),
        )
        for channel in channels
    ]


def delivery_page(
    client: Client | None, *, state: str = "", before: int | None = None
) -> Page[Delivery]:
    """Deliveries, newest first; without a client those of all clients, for operators."""
    # Attempts are on the page of the message itself.
    rows = deliveries_of_fleet() if client is None else deliveries_of(client).prefetch_related(None)
    if state == "failed":
        rows = rows.filter(state=Delivery.State.DEAD)
    elif state in Delivery.State.values:
        rows = rows.filter(state=state)
    return page_of(rows, before=before)


def withheld_page(client: Client, *, before: int | None = None) -> Page[Notice]:
    """What was not sent, and why, newest first."""
    return page_of(withheld_of(client), before=before)


def delivery_of(client: Client, number: int) -> Delivery | None:
    rows = Delivery.objects.for_client(client).select_related("channel")
    return rows.filter(pk=number).first()


def attempts_of(client: Client, delivery: Delivery) -> list[Attempt]:
    return list(Attempt.objects.for_client(client).filter(delivery=delivery).order_by("number"))

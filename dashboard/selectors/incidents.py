"""A client's incidents (hop 10)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import Q, QuerySet

from alerts.models import Delivery
from checks.models import Incident
from clients.models import Client
from dashboard.figures import format_count
from dashboard.selectors.paging import Page, page_of


def _incidents(client: Client) -> QuerySet[Incident]:
    return Incident.objects.for_client(client).select_related("subject")


def open_incidents(client: Client) -> list[Incident]:
    return list(_incidents(client).filter(resolved_at=None).order_by("-started_at"))


def open_and_latest(client: Client, *, count: int) -> tuple[list[Incident], list[Incident]]:
    """Those that are open, and the newest that are over."""
    over = _incidents(client).exclude(resolved_at=None).order_by("-pk")
    rows = _incidents(client).filter(Q(resolved_at=None) | Q(pk__in=over.values("pk")[:count]))
    found = list(rows.order_by("-started_at"))
    return (
        [one for one in found if one.resolved_at is None],
        [one for one in found if one.resolved_at is not None],
    )


def closed_incidents(client: Client, *, before: int | None = None) -> Page[Incident]:
    """Incidents that are over."""
    return page_of(_incidents(client).exclude(resolved_at=None), before=before)


def incident_of(client: Client, number: int) -> Incident | None:
    return _incidents(client).select_related("acknowledged_by").filter(pk=number).first()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One moment of an incident's timeline."""

    at: datetime
    icon: str
    look: str
    title: str
    text: str = ""
    delivery: Delivery | None = None


def deliveries_of(client: Client, incident: Incident) -> list[Delivery]:
    rows = Delivery.objects.for_client(client).filter(notices__event__incident=incident)
    return list(rows.select_related("channel").order_by("pk").distinct())


_DELIVERY_ICONS: dict[str, str] = {Delivery.State.SENT: "alerts", Delivery.State.DEAD: "mute"}


def timeline_of(client: Client, incident: Incident) -> list[Step]:
    """First failure, confirmations, opening, alerts, recovery: in the order of time."""
    steps = [
        Step(
            at=incident.first_bad_at,
            icon="state-checking",
            look="is-checking",
            title="First failure",
            text=incident.message,
        ),
        Step(
            at=incident.opened_at,
            icon="state-down",
            look="is-down",
            title="Confirmed down",
            text=_confirmation(incident),
        ),
    ]
    if incident.last_good_at:
        steps.append(
            Step(
                at=incident.last_good_at,
                icon="state-up",
                look="is-up",
                title="Last good answer before",
            )
        )
    if incident.acknowledged_at:
        who = incident.acknowledged_by.get_full_name() if incident.acknowledged_by else "someone"
        steps.append(
            Step(
                at=incident.acknowledged_at,
                icon="user",
                look="is-maintenance",
                title=f"Acknowledged by {who}",
            )
        )
    for delivery in deliveries_of(client, incident):
        steps.append(
            Step(
                at=delivery.sent_at or delivery.created_at,
                icon=_DELIVERY_ICONS.get(delivery.state, "clock"),
                look="is-maintenance" if delivery.sent_at else "is-slow",
                title=f"{delivery.channel.name}: {delivery.get_state_display().lower()}",
                text=delivery.summary,
                delivery=delivery,
            )
        )
    if incident.ended_at and not incident.silent:
        steps.append(
            Step(at=incident.ended_at, icon="state-up", look="is-up", title="First good answer")
        )
    if incident.resolved_at:
        steps.append(
            Step(
                at=incident.resolved_at,
                icon="state-paused" if incident.silent else "state-up",
                look="is-paused" if incident.silent else "is-up",
                title="Closed, because the check was paused or deleted"
                if incident.silent
                else "Confirmed up again",
            )
        )
    order = {"Last good answer before": 0, "First failure": 1, "Confirmed down": 2}
    return sorted(steps, key=lambda step: (step.at, order.get(step.title, 3)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """One of the failing results that made it an outage."""

    at: datetime
    region: str
    message: str


def confirmations_of(incident: Incident) -> list[Confirmation]:
    """In the order of time; the newest of a long run."""
    return [
        Confirmation(at=datetime.fromtimestamp(slot, UTC), region=str(region), message=str(message))
        for slot, region, message in incident.document.get("confirmed_by", [])
    ]


def _confirmation(incident: Incident) -> str:
    confirmed = confirmations_of(incident)
    if not confirmed:
        return ""
    places = sorted({one.region for one in confirmed})
    return f"{format_count(len(confirmed), 'failing result')} from {', '.join(places)}"

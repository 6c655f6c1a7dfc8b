"""Rows that the tests of alerts start from: checks, incidents, events, channels; and a clock that is set by hand."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from alerts import services
from alerts.models import Channel, Delivery
from checks.models import Check, Event, Incident
from clients.models import Client

START = datetime(2026, 11, 23, 4, 30, tzinfo=UTC)


class Hand:
    """A clock that stands until it is moved."""

    def __init__(self, at: datetime | None = None) -> None:
        self.at = at or datetime.now(UTC).replace(microsecond=0)

    def __call__(self) -> datetime:
        return self.at

    def forward(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def make_client(slug: str = "acme", **fields: Any) -> Client:
    return Client.objects.create(name=slug.title(), slug=slug, **fields)


def make_check(
    client: Client,
    name: str = "Checkout",
    *,
    paused_at: datetime | None = None,
    deleted_at: datetime | None = None,
) -> Check:
    return Check.objects.create(
        client=client,
        name=name,
        url="https://shop.example.com/pay",
        regions=[1],
        paused_at=paused_at,
        deleted_at=deleted_at,
    )


def make_incident(check: Check, *, at: datetime = START, **fields: Any) -> Incident:
    slots = [int((at + timedelta(seconds=s)).timestamp()) for s in (0, 10, 20)]
    said = "HTTP 500 where 200-299 was expected"
    values: dict[str, Any] = {
        "client": check.client,
        "subject": check,
        "started_at": at,
        "opened_at": at + timedelta(seconds=20),
        "first_bad_at": at,
        "last_good_at": at - timedelta(seconds=60),
        "reason": "status",
        "message": said,
        "http_status": 500,
        "document": {
            "assertions": [
                {"kind": "expected_status", "expected": "200-299", "got": "500", "ok": False}
            ],
            "evidence": {"headers": [], "body": "<h1>It broke</h1>"},
            "confirmed_by": [[slot, "eu-1", said] for slot in slots],
        },
    }
    return Incident.objects.bulk_create([Incident(**(values | fields))])[0]


def down(check: Check, *, at: datetime = START, **fields: Any) -> Event:
    incident = make_incident(check, at=at, **fields)
    return _event(check, Event.Kind.DOWN, incident.opened_at, incident, reason="status", status=500)


def up(event: Event, *, after_s: int = 250) -> Event:
    incident = event.incident
    assert incident is not None
    incident.ended_at = incident.started_at + timedelta(seconds=after_s)
    incident.resolved_at = incident.ended_at + timedelta(seconds=10)
    incident.save()
    return _event(
        event.subject, Event.Kind.UP, incident.resolved_at, incident, reason="none", status=200
    )


def slow(check: Check, kind: Event.Kind = Event.Kind.DEGRADED, *, at: datetime = START) -> Event:
    return _event(check, kind, at, None, reason="latency", status=200)


def _event(
    check: Check,
    kind: Event.Kind,
    at: datetime,
    incident: Incident | None,
    *,
    reason: str,
    status: int,
) -> Event:
    payload = {"reason": reason, "message": "", "http_status": status, "slot": int(at.timestamp())}
    return Event.objects.create(
        client=check.client, subject=check, incident=incident, kind=kind, at=at, payload=payload
    )


def make_webhook(
    client: Client, url: str, *, name: str = "Hook", hears: Iterable[str] = ("down", "up")
) -> Channel:
    return services.create_channel(
        client=client,
        actor=None,
        kind="webhook",
        name=name,
        target=url,
        hears=list(hears),
        now=START,
    )


def make_mail(
    client: Client, address: str = "ops@acme.test", *, hears: Iterable[str] = ("down", "up")
) -> Channel:
    return services.create_channel(
        client=client,
        actor=None,
        kind="email",
        name="Ops",
        target=address,
        hears=list(hears),
        now=START,
    )


def deliveries() -> list[Delivery]:
    return list(Delivery.objects.across_clients().order_by("id"))

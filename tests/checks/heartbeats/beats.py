"""Heartbeats for tests: a check of the kind, its calls, our hearing, and what the database then says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from checks.heartbeats import life
from checks.heartbeats.calls import Call, record_call
from checks.heartbeats.region import heartbeat_region
from checks.models import Check, Heartbeat, Incident, Ping, PingHealth
from checks.models.result import OUTCOME_OF, Result
from clients.models import Client
from tests.checks.pipeline import fleet

NOON = timezone.now().replace(hour=12, minute=0, second=0, microsecond=0)
"""Of today, so that its results have a partition."""
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


def heartbeat(owner: Client | None = None, *, begin: bool = True, **fields: Any) -> Check:
    """Every hour with five minutes of grace, unless the test says otherwise."""
    owner = owner or fleet.client()
    values: dict[str, Any] = {
        "name": "Backup",
        "kind": "heartbeat",
        "url": "",
        "interval_s": 3600,
        "grace_s": 300,
        "down_after": 1,
        "up_after": 1,
        "quorum": 1,
        "state_since": NOON - 60 * MINUTE,
        "created_at": NOON - 60 * MINUTE,
    }
    check = fleet.check(owner, heartbeat_region(), **(values | fields))
    if begin:
        with transaction.atomic():
            life.begin(check, now=NOON)
    return check


def beat_of(check: Check) -> Heartbeat:
    return Heartbeat.objects.for_client(check.client).get(pk=check.pk)


def call(check: Check, kind: str = "success", *, at: datetime = NOON, **fields: Any) -> None:
    record_call(beat_of(check).key, Call(kind=Ping.Kind(kind), **fields), now=at)


def hearing(since: datetime, until: datetime) -> None:
    """Our own address answered all through this time."""
    PingHealth.objects.create(since=since, until=until)


def state_of(check: Check) -> str:
    return str(Check.objects.for_client(check.client).get(pk=check.pk).state)


def outcomes(check: Check) -> list[str]:
    rows = Result.objects.for_client(check.client).filter(check_id=check.pk).order_by("at")
    return [OUTCOME_OF[row.outcome].value for row in rows]


def incidents(check: Check) -> list[Incident]:
    return list(Incident.objects.for_client(check.client).filter(subject=check).order_by("pk"))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)

"""Rows that the tests of pages start from: a check with an hour of results."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from checks.models import Check, Incident, RegionState, Result
from checks.models.result import OUTCOMES, REASONS
from fanout_lambdas.shared.contracts import Outcome, Reason
from fanout_lambdas.shared.slots import phase, slots_between
from tests.conftest import Personas
from tests.making import make_check


def make_history(
    personas: Personas, *, minutes: int = 60, down: tuple[int, ...] = (), **fields: Any
) -> Check:
    """A check of the personas' client with one result a minute; `down` counts slots back from now."""
    now = timezone.now()
    created = now - timedelta(minutes=minutes + 5)
    values = {"state": "up", "created_at": created, "state_since": created} | fields
    check = make_check(personas.client, personas.region, **values)
    end = int(now.timestamp())
    slots = slots_between(
        check.interval_s, phase(check.pk, check.interval_s), end - minutes * 60, end
    )
    for back, second in enumerate(reversed(slots)):
        bad = back in down
        Result.objects.create(
            at=datetime.fromtimestamp(second, UTC),
            check_id=check.pk,
            client=personas.client,
            region=personas.region.pk,
            outcome=OUTCOMES[Outcome.DOWN if bad else Outcome.UP],
            reason=REASONS[Reason.STATUS if bad else Reason.NONE],
            http_status=503 if bad else 200,
            total_us=100_000,
            dns_us=10_000,
            connect_us=10_000,
            tls_us=20_000,
            send_us=1_000,
            wait_us=50_000,
            receive_us=9_000,
            bytes=1_234,
            lag_ms=1,
            stored_ms=300,
            extra=False,
        )
    RegionState.objects.create(
        check_id=check.pk,
        region=personas.region.pk,
        client=personas.client,
        memory=[],
        last_at=datetime.fromtimestamp(slots[-1], UTC),
        last_outcome=OUTCOMES[Outcome.DOWN if 0 in down else Outcome.UP],
        last_total_us=100_000,
    )
    return check


def make_incident(check: Check, *, minutes_ago: int, minutes: int | None = None) -> Incident:
    start = timezone.now() - timedelta(minutes=minutes_ago)
    end = None if minutes is None else start + timedelta(minutes=minutes)
    return Incident.objects.create(
        client=check.client,
        subject=check,
        started_at=start,
        opened_at=start + timedelta(seconds=20),
        first_bad_at=start,
        last_good_at=start - timedelta(minutes=1),
        ended_at=end,
        resolved_at=end and end + timedelta(seconds=20),
        reason="status",
        message="HTTP 503 instead of 200-299",
        http_status=503,
        document={
            "evidence": {"headers": [], "body": "<b>upstream</b>"},
            "assertions": [
                {"kind": "status", "expected": "200-299", "got": "503", "ok": False},
            ],
            "confirmed_by": [
                [int(start.timestamp()), "local", "HTTP 503 instead of 200-299"],
                [int(start.timestamp()) + 10, "local", "No answer within 10 s"],
            ],
        },
    )

"""Uptime of checks from rollups, newest results and incidents (rule 13), at a fixed number of queries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from checks.availability import uptime_of
from checks.models import Check, Incident, Result, RollupHour
from fanout_lambdas.shared.slots import phase, slots_between
from tests.conftest import Personas
from tests.making import make_check

HOUR = timedelta(hours=1)


def hour_of(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def rollup(check: Check, hour: datetime, *, region: int, up: int, down: int = 0) -> None:
    RollupHour.objects.create(
        client=check.client,
        check_id=check.pk,
        hour=hour,
        region=region,
        up=up,
        degraded=0,
        down=down,
        missed=60 - up - down,
        ms_sum=up,
        ms_max=1,
    )


def result(check: Check, second: int, *, region: int, outcome: int = 1) -> Result:
    return Result(
        client=check.client,
        at=datetime.fromtimestamp(second, UTC),
        check_id=check.pk,
        region=region,
        outcome=outcome,
        reason=0,
        total_us=1,
        lag_ms=0,
        stored_ms=1,
        extra=False,
    )


def test_uptime_counts_what_was_measured_and_what_was_down(
    personas: Personas, django_assert_num_queries: Any
) -> None:
    now = timezone.now().replace(microsecond=0)
    this_hour = hour_of(now)
    region = personas.region.pk
    check, other = (
        make_check(personas.client, personas.region, name=name, created_at=now - 5 * HOUR)
        for name in "ab"
    )
    rollup(check, this_hour - 3 * HOUR, region=region, up=60)
    rollup(check, this_hour - 2 * HOUR, region=region, up=30)  # half of it was not measured
    rollup(check, this_hour - HOUR, region=region, up=50, down=10)
    start = int(this_hour.timestamp())
    slots = slots_between(60, phase(check.pk, 60), start, int(now.timestamp()))
    Result.objects.bulk_create([result(check, slot, region=region) for slot in slots])
    Incident.objects.create(
        client=personas.client,
        subject=check,
        started_at=this_hour - timedelta(minutes=40),
        opened_at=this_hour - timedelta(minutes=40),
        first_bad_at=this_hour - timedelta(minutes=40),
        ended_at=this_hour - timedelta(minutes=30),
        resolved_at=this_hour - timedelta(minutes=30),
        reason="status",
        message="",
    )
    with django_assert_num_queries(4):
        found = uptime_of(personas.client, [check, other], start=this_hour - 3 * HOUR, now=now)
    figures = found[check.pk]
    assert figures.incident_s == 600
    unmeasured = figures.period_s - figures.measured_s
    assert 1800 <= unmeasured <= 1920  # up to a minute at each end of what raw results cover
    share = figures.share()
    assert share is not None
    assert share.startswith("9")
    assert found[other.pk].share() is None


def test_a_new_check_is_measured_from_its_birth(personas: Personas) -> None:
    now = timezone.now().replace(microsecond=0)
    check = make_check(personas.client, personas.region, created_at=now - timedelta(minutes=5))
    first = int(now.timestamp()) - 300
    slots = slots_between(60, phase(check.pk, 60), first, int(now.timestamp()))
    rows = [result(check, slot, region=personas.region.pk) for slot in slots]
    Result.objects.bulk_create(rows)
    figures = uptime_of(personas.client, [check], start=now - 720 * HOUR, now=now)[check.pk]
    assert figures.share() == "100.00"
    assert figures.period_s == 240  # the slot under way is not due yet
    assert (
        uptime_of(personas.stranger_client, [check], start=now - HOUR, now=now)[check.pk].share()
        is None
    )

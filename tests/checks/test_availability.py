"""Uptime of checks from rollups, newest results and incidents (rule 13), at a fixed number of queries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from checks.availability import records_of, uptime_of
from checks.models import Check, Incident, Result, RolledHour, RollupHour
from checks.services import update_check
from clients.models import AuditEvent
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
    for back in (1, 2, 3):
        RolledHour.objects.create(hour=this_hour - back * HOUR, rolled_at=now)
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
    with django_assert_num_queries(3):
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
    assert figures.period_s == figures.measured_s == 60 * len(slots)
    assert (
        uptime_of(personas.stranger_client, [check], start=now - HOUR, now=now)[check.pk].share()
        is None
    )


def test_rolled_hours_and_single_results_add_up(personas: Personas) -> None:
    now = timezone.now().replace(microsecond=0)
    hour = hour_of(now) - 20 * HOUR
    region = personas.region.pk
    check = make_check(personas.client, personas.region, created_at=now - 30 * HOUR)
    RolledHour.objects.create(hour=hour, rolled_at=now)
    rollup(check, hour, region=region, up=62, down=1)  # three rechecks among them
    RollupHour.objects.for_client(personas.client).update(p95=250)
    end = int(now.timestamp())
    slots = slots_between(60, phase(check.pk, 60), end - 1800, end)
    Result.objects.bulk_create([result(check, slot, region=region) for slot in slots])
    record = records_of(personas.client, [check], start=now - 24 * HOUR, now=now)[check.pk]
    figures = record.uptime(now - 24 * HOUR)
    assert figures.measured_s == 3600 + 60 * len(slots)
    assert record.p95_ms[hour] == 250
    assert record.p95_ms[max(record.p95_ms)] == 0.001
    assert len(record.recent) == 30


def test_a_rolled_hour_is_read_singly_only_as_far_as_asked(personas: Personas) -> None:
    now = timezone.now().replace(microsecond=0)
    check = make_check(personas.client, personas.region, created_at=now - 5 * HOUR)
    end = int(now.timestamp())
    slots = slots_between(60, phase(check.pk, 60), end - 1800, end)
    Result.objects.bulk_create([result(check, s, region=personas.region.pk) for s in slots])
    for back in (0, 1):
        RolledHour.objects.create(hour=hour_of(now) - back * HOUR, rolled_at=now)

    def seen(recent: timedelta) -> int:
        found = records_of(personas.client, [check], start=now - HOUR, now=now, recent=recent)
        return len(found[check.pk].recent)

    assert (seen(timedelta(0)), seen(timedelta(minutes=10))) == (1, 11)


def test_a_daily_check_is_up_by_one_result(personas: Personas) -> None:
    day = 86_400
    now = timezone.now().replace(microsecond=0)
    check = make_check(personas.client, personas.region, interval_s=day, created_at=now - 72 * HOUR)
    end = int(now.timestamp())
    newest = slots_between(day, phase(check.pk, day), end - day, end)[-1]
    Result.objects.bulk_create([result(check, newest, region=personas.region.pk)])
    figures = uptime_of(personas.client, [check], start=now - 24 * HOUR, now=now)[check.pk]
    assert (figures.share(), figures.measured_s) == ("100.00", day)


def test_a_changed_interval_keeps_what_was_measured(personas: Personas) -> None:
    """Both the hours that are rolled up and those that are not belong to the interval of their time."""
    now = timezone.now().replace(microsecond=0)
    region = personas.region.pk
    check = make_check(personas.client, personas.region, interval_s=600, created_at=now - 10 * HOUR)
    rolled = hour_of(now) - 5 * HOUR
    RolledHour.objects.create(hour=rolled, rolled_at=now)
    rollup(check, rolled, region=region, up=6)
    end = int(now.timestamp())
    old = slots_between(600, phase(check.pk, 600), end - 3600, end - 600)
    Result.objects.bulk_create([result(check, slot, region=region) for slot in old])
    update_check(check, actor=personas.owner, now=now, interval_s=60)
    AuditEvent.objects.for_client(personas.client).update(at=now - timedelta(minutes=10))
    check.refresh_from_db()
    record = records_of(personas.client, [check], start=now - 8 * HOUR, now=now)[check.pk]
    assert sorted(first for (first, _), _ in record.recent) == list(old)
    unmeasured = 3600 + 600 * len(old) - record.uptime(now - 8 * HOUR).measured_s
    assert 0 <= unmeasured < 60  # the slot under way

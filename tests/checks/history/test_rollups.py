"""Closed hours become rows with exact percentiles, once, and again when something came late."""

from __future__ import annotations

from datetime import timedelta

import pytest

from checks.history.partitions import ensure_partitions
from checks.history.rollups import hours_due, roll_up_hours
from checks.models import RolledHour, RollupHour
from checks.pipeline.ingest import ingest_batch
from fanout_lambdas.shared.contracts import Outcome
from tests.checks.pipeline.fleet import MINUTE, at, batch, check, result, slot_of, stored
from tests.regions import local_region

HOUR = at(MINUTE)
CLOSED = HOUR + timedelta(minutes=66)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def partitions(db: None) -> None:
    ensure_partitions(now=HOUR, days_ahead=1)


def rolled() -> RollupHour:
    return RollupHour.objects.across_clients().get()


def test_counts_and_exact_percentiles() -> None:
    one = check()
    first = slot_of(one)
    for number in range(50):
        stored(one, first + 60 * number, total_us=(number + 1) * 1_000)
    stored(one, first + 60 * 50, Outcome.DOWN, total_us=10_000_000)
    stored(one, first + 60 * 51, Outcome.DEGRADED, total_us=900_000)
    stored(one, first + 60 * 52, Outcome.MISSED)
    stored(one, first + 60 * 53, Outcome.VOID)

    report = roll_up_hours(CLOSED)

    assert (report.hours, report.rows) == ((HOUR,), 1)
    row = rolled()
    assert (row.up, row.degraded, row.down, row.missed) == (50, 1, 1, 2)
    assert (row.p50, row.p95, row.p99, row.ms_max) == (26, 49, 900, 900)
    assert row.ms_sum == sum(range(1, 51)) + 900


def test_an_hour_is_rolled_five_minutes_after_its_end_and_only_once() -> None:
    stored(check(), MINUTE + 5)

    assert hours_due(HOUR + timedelta(minutes=64)) == []
    assert roll_up_hours(CLOSED).rows == 1
    assert roll_up_hours(CLOSED).hours == ()


def test_hours_that_were_left_out_are_caught_up() -> None:
    one = check()
    for hour in range(4):
        stored(one, slot_of(one) + 3600 * hour)

    report = roll_up_hours(CLOSED + timedelta(hours=3))

    assert len(report.hours) == 4
    assert RolledHour.objects.filter(rolled_at__isnull=False).count() == 4


def test_a_late_result_has_the_hour_rolled_again() -> None:
    one = check()
    stored(one, slot_of(one))
    roll_up_hours(CLOSED)

    late = result(one, slot_of(one) + 60)
    ingest_batch(batch([late]), region=local_region(), now=CLOSED)
    roll_up_hours(CLOSED)

    assert rolled().up == 2

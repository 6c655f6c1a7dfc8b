"""Partitions are there before they are needed, and old ones go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from checks.history.partitions import ensure_partitions
from checks.models import Result

NOW = datetime(2031, 1, 31, 23, 59, tzinfo=UTC)

pytestmark = pytest.mark.django_db


def test_yesterday_to_three_days_ahead_exist_and_a_second_call_makes_nothing() -> None:
    made = ensure_partitions(now=NOW)

    days = ["20310130", "20310131", "20310201", "20310202", "20310203"]
    assert [n for n in made if n.startswith("result_")] == [f"result_{d}" for d in days]
    assert {"rollup_hour_203101", "rollup_hour_203102"} <= set(made)
    assert ensure_partitions(now=NOW) == []


def test_a_row_at_the_very_edge_of_what_ingest_takes_finds_a_partition() -> None:
    ensure_partitions(now=NOW)

    for at in (NOW - timedelta(hours=24), NOW + timedelta(seconds=60)):
        Result.objects.bulk_create(
            [
                Result(
                    at=at,
                    check_id=1,
                    client_id=1,
                    region=1,
                    total_us=1,
                    lag_ms=0,
                    stored_ms=0,
                    outcome=1,
                    reason=0,
                    extra=False,
                )
            ]
        )

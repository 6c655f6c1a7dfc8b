"""What is over goes; what is still needed stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from checks.history.partitions import ensure_partitions, partitions_of
from checks.history.retention import drop_old_partitions, prune, prune_objects
from checks.history.rollups import roll_up_hours
from checks.models import ExtraSlot, MinuteRun
from checks.pipeline.snapshot import take_snapshot
from fanout_lambdas.objectstore import ObjectStore, dispatch_key, snapshot_minutes
from tests.checks.pipeline.fleet import MINUTE, at, check, stored
from tests.regions import local_region

NOW = datetime(2031, 1, 31, 23, 59, tzinfo=UTC)

pytestmark = pytest.mark.django_db


def test_days_older_than_two_are_dropped() -> None:
    ensure_partitions(now=NOW - timedelta(days=4), days_ahead=0)
    ensure_partitions(now=NOW)

    dropped = drop_old_partitions(now=NOW)

    assert {"result_20310127", "evidence_20310127"} <= set(dropped)
    assert partitions_of("result")[0] >= "result_20310129"


def test_a_day_stays_until_it_is_rolled_up() -> None:
    ensure_partitions(now=NOW - timedelta(days=4), days_ahead=0)
    stored(check(), int((NOW - timedelta(days=4)).timestamp()))

    assert "result_20310127" not in drop_old_partitions(now=NOW)
    roll_up_hours(NOW)
    assert "result_20310127" in drop_old_partitions(now=NOW)


def test_old_objects_go_but_never_the_newest_snapshot(store: ObjectStore) -> None:
    check()
    for minute in range(3):
        take_snapshot(MINUTE + 60 * minute, now=at(MINUTE), store=store)
        store.put(dispatch_key(MINUTE + 60 * minute, "local"), b"{}")
    MinuteRun.objects.update(closed_at=at(MINUTE))

    prune_objects(now=at(MINUTE + 7200 + 60), store=store)
    assert snapshot_minutes(store) == [MINUTE + 60, MINUTE + 120]
    prune_objects(now=at(MINUTE + 86_400), store=store)

    assert snapshot_minutes(store) == [MINUTE + 120]
    assert store.list("dispatches/") == []


def test_an_open_run_keeps_its_snapshot(store: ObjectStore) -> None:
    check()
    take_snapshot(MINUTE, now=at(MINUTE), store=store)
    take_snapshot(MINUTE + 60, now=at(MINUTE), store=store)

    prune_objects(now=at(MINUTE + 86_400), store=store)

    assert MINUTE in snapshot_minutes(store)


def test_old_rows_go_and_open_ones_stay(store: ObjectStore) -> None:
    region, one = local_region(), check()
    for closed_at in (None, at(MINUTE)):
        slot = at(MINUTE + 10 * (closed_at is None))
        ExtraSlot.objects.create(
            client=one.client,
            subject=one,
            region=region,
            slot=slot,
            why=ExtraSlot.Why.RECHECK,
            closed_at=closed_at,
        )

    assert prune(now=at(MINUTE + 5 * 86_400), store=store).rows == 1
    assert ExtraSlot.objects.across_clients().get().closed_at is None

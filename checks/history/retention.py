"""What is kept for how long; what is over goes in small steps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from checks.history.partitions import (
    BY_DAY,
    BY_MONTH,
    day_of,
    drop_partition,
    month_of,
    partitions_of,
)
from checks.history.rollups import hours_due
from checks.models import MinuteRun
from fanout_lambdas.objectstore import (
    DISPATCHES,
    SNAPSHOTS,
    ObjectStore,
    dispatch_key,
    newest_snapshot_minute,
    snapshot_key,
)
from fanout_lambdas.shared.slots import minute_of

KEEP_RESULT_DAYS = 2
KEEP_ROLLUP_MONTHS = 13
KEEP_OBJECTS = timedelta(hours=2)
KEEP_RUNS = timedelta(days=30)
KEEP_BATCH_REPORTS = timedelta(days=2)
KEEP_EXTRA_SLOTS = timedelta(days=2)
KEEP_HEALTH = timedelta(days=62)
"""Longer than the longest grace."""
MOST_ROWS = 50_000
"""In one call; the next one goes on."""
_OVER = (
    ("checks_minuterun", "minute", "closed_at is not null", KEEP_RUNS),
    ("checks_deadletter", "minute", "true", KEEP_RUNS),  # longer than any queue keeps a letter
    ("checks_batchreport", "minute", "true", KEEP_BATCH_REPORTS),
    ("checks_extraslot", "slot", "closed_at is not null", KEEP_EXTRA_SLOTS),
    ("checks_rolledhour", "hour", "true", KEEP_RUNS),
    ("checks_pinghealth", "until", "true", KEEP_HEALTH),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneReport:
    rows: int = 0
    objects: int = 0


def drop_old_partitions(*, now: datetime) -> list[str]:
    """Drop the days and months that are over; a day stays until all of its hours are rolled up."""
    unrolled = {day_of(hour).suffix for hour in hours_due(now)}
    oldest_day = day_of(now - timedelta(days=KEEP_RESULT_DAYS)).suffix
    number = now.year * 12 + now.month - 1 - KEEP_ROLLUP_MONTHS
    oldest_month = month_of(now.replace(year=number // 12, month=number % 12 + 1, day=1)).suffix
    dropped: list[str] = []
    for tables, oldest in ((BY_DAY, oldest_day), (BY_MONTH, oldest_month)):
        for table in tables:
            for name in partitions_of(table):
                suffix = name.removeprefix(f"{table}_")
                if suffix < oldest and suffix not in unrolled and drop_partition(name):
                    dropped.append(name)
    return dropped


def prune(*, now: datetime, store: ObjectStore) -> PruneReport:
    """Drop what is over."""
    return PruneReport(rows=_prune_rows(now), objects=prune_objects(now=now, store=store))


def prune_objects(*, now: datetime, store: ObjectStore) -> int:
    """Drop old snapshots and dispatch reports, but nothing that a run still open needs, and never the newest
    snapshot: after an outage of ours it says what was due meanwhile."""
    before = now - KEEP_OBJECTS
    oldest_open = MinuteRun.objects.filter(closed_at=None).order_by("minute").first()
    if oldest_open is not None:
        before = min(before, oldest_open.minute)
    minute = minute_of(int(before.timestamp()))
    keep = newest_snapshot_minute(store, minute)
    kept = snapshot_key(keep) if keep is not None else ""
    old = [key for key in store.list(SNAPSHOTS) if key < snapshot_key(minute) and key != kept]
    old += [key for key in store.list(DISPATCHES) if key < dispatch_key(minute, "")]
    for key in old:
        store.delete(key)
    return len(old)


def _prune_rows(now: datetime) -> int:
    dropped = 0
    with connection.cursor() as cursor:
        for table, column, condition, keep in _OVER:
            cursor.execute(
                f"delete from {table} where ctid = any(array("
                f"select ctid from {table} where {column} < %s and {condition} limit %s))",
                [now - keep, MOST_ROWS],
            )
            dropped += cursor.rowcount
    return dropped

"""Partitions of the result tables: made ahead, dropped whole when their time is over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.db import connection, transaction

DAYS_AHEAD = 3
KEEP_RESULTS_DAYS = 2
KEEP_ROLLUPS_MONTHS = 13
DAILY = ("result", "evidence")
MONTHLY = "rollup_hour"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionReport:
    created: int
    dropped: int


def ensure_partitions(*, now: datetime) -> PartitionReport:
    """Make the partitions of the coming days and months, drop those past their keeping time. Runs twice as well as once."""
    today = now.astimezone(UTC).date()
    oldest = today - timedelta(days=KEEP_RESULTS_DAYS)
    wanted: dict[str, tuple[str, date, date]] = {}
    for offset in range(-KEEP_RESULTS_DAYS, DAYS_AHEAD + 1):
        day = today + timedelta(days=offset)
        for table in DAILY:
            wanted[f"{table}_{day:%Y%m%d}"] = (table, day, day + timedelta(days=1))
    month = _month(today, -1)
    for _ in range(4):
        following = _month(month, 1)
        wanted[f"{MONTHLY}_{month:%Y%m}"] = (MONTHLY, month, following)
        month = following
    with transaction.atomic(), connection.cursor() as cursor:
        # Two jobs at once would both try to create the same partition.
        cursor.execute("select pg_advisory_xact_lock(hashtext('partitions'))")
        cursor.execute(
            "select relid::regclass::text from pg_partition_tree('result') where level = 1"
            " union all select relid::regclass::text from pg_partition_tree('evidence') where level = 1"
            " union all select relid::regclass::text from pg_partition_tree('rollup_hour') where level = 1"
        )
        present = {name for (name,) in cursor.fetchall()}
        missing = [name for name in wanted if name not in present]
        for name in missing:
            table, start, end = wanted[name]
            cursor.execute(
                f"create table {name} partition of {table} for values from ('{start} 00:00+00') to ('{end} 00:00+00')"
            )
        oldest_month = _month(today, -KEEP_ROLLUPS_MONTHS)
        stale = [
            name
            for name in present
            if name.rsplit("_", 1)[1]
            < (f"{oldest_month:%Y%m}" if name.startswith(MONTHLY) else f"{oldest:%Y%m%d}")
        ]
        for name in stale:
            cursor.execute(f"drop table {name}")
    return PartitionReport(created=len(missing), dropped=len(stale))


def _month(day: date, offset: int) -> date:
    """The first day of the month `offset` months from that of `day`."""
    index = day.year * 12 + day.month - 1 + offset
    return date(index // 12, index % 12 + 1, 1)

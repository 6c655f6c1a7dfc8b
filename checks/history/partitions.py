"""Partitions of the result tables, made ahead of time. None is a default: a stray row is an error, not a leak."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import OperationalError, connection, transaction
from psycopg import sql

DAYS_AHEAD = 3
BY_DAY = ("result", "evidence")
BY_MONTH = ("rollup_hour",)
LOCK_TIMEOUT = "2s"
"""Nothing may wait longer behind us; whoever fails is tried again an hour later."""
_ADVISORY_KEY = 0x7061727469746E73


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """The time that one partition holds; its name ends with `suffix`."""

    start: datetime
    end: datetime
    suffix: str


def ensure_partitions(*, now: datetime, days_ahead: int = DAYS_AHEAD) -> list[str]:
    """Make what is needed from 24 hours back (the oldest result taken) to `days_ahead`; names of the new ones."""
    created: list[str] = []
    for table, span in _wanted(now, days_ahead):
        created += _create(table, span)
    return created


def day_of(at: datetime) -> Span:
    start = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return Span(start, start + timedelta(days=1), start.strftime("%Y%m%d"))


def month_of(at: datetime) -> Span:
    start = at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    end = (start + timedelta(days=32)).replace(day=1)
    return Span(start, end, start.strftime("%Y%m"))


def _wanted(now: datetime, days_ahead: int) -> list[tuple[str, Span]]:
    days = [day_of(now + timedelta(days=offset)) for offset in range(-1, days_ahead + 1)]
    months = sorted({month_of(day.start) for day in days})
    return [(table, span) for table in BY_DAY for span in days] + [
        (table, span) for table in BY_MONTH for span in months
    ]


def _create(table: str, span: Span) -> list[str]:
    """Made beside the table and then attached: that locks out nobody who reads or writes."""
    name = f"{table}_{span.suffix}"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("select to_regclass(%s) is not null", [name])
        if cursor.fetchone()[0]:
            return []
        # Two that start at once: the second waits here and then finds the work done.
        cursor.execute("select pg_advisory_xact_lock(%s)", [_ADVISORY_KEY])
        cursor.execute("select to_regclass(%s) is not null", [name])
        if cursor.fetchone()[0]:
            return []
        cursor.execute(
            sql.SQL("create table {} (like {} including all)").format(
                sql.Identifier(name), sql.Identifier(table)
            )
        )
        cursor.execute(
            sql.SQL("alter table {} attach partition {} for values from ({}) to ({})").format(
                sql.Identifier(table),
                sql.Identifier(name),
                sql.Literal(span.start.isoformat()),
                sql.Literal(span.end.isoformat()),
            )
        )
    return [name]


def partitions_of(table: str) -> list[str]:
    """Names of the partitions that exist, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select child.relname from pg_inherits join pg_class child on child.oid = inhrelid "
            "where inhparent = to_regclass(%s) order by 1",
            [table],
        )
        return [name for (name,) in cursor.fetchall()]


def drop_partition(name: str) -> bool:
    """False when somebody uses it; it is tried again later."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"set local lock_timeout = '{LOCK_TIMEOUT}'")
            cursor.execute(sql.SQL("drop table if exists {}").format(sql.Identifier(name)))
    except OperationalError:
        return False
    return True

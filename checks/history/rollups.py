"""Closed hours > `rollup_hour`: counts and exact percentiles, one row for each check and region."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import connection, transaction

from checks.history.partitions import partitions_of
from checks.models.result import OUTCOMES
from fanout_lambdas.shared.contracts import Outcome

CLOSED_AFTER = timedelta(minutes=5)
"""After its end an hour still receives late results and markers for this long; what comes later has it rolled again."""
MOST_AT_ONCE = 12

_ROLL = """
    insert into rollup_hour (hour, check_id, client_id, region, up, degraded, down, missed,
      ms_sum, ms_max, p50, p95, p99)
    select %(hour)s, check_id, max(client_id), region,
      count(*) filter (where outcome = %(up)s),
      count(*) filter (where outcome = %(degraded)s),
      count(*) filter (where outcome = %(down)s),
      count(*) filter (where outcome > %(down)s),
      least(coalesce(sum(ms) filter (where good), 0), 2147483647),
      coalesce(max(ms) filter (where good), 0),
      percentile_disc(0.50) within group (order by ms) filter (where good),
      percentile_disc(0.95) within group (order by ms) filter (where good),
      percentile_disc(0.99) within group (order by ms) filter (where good)
    from (
      select check_id, client_id, region, outcome, outcome <= %(degraded)s as good,
        (total_us + 500) / 1000 as ms
      from result where at >= %(hour)s and at < %(hour)s + interval '1 hour'
    ) seen
    group by check_id, region
    on conflict (check_id, hour, region) do update set
      client_id = excluded.client_id, up = excluded.up, degraded = excluded.degraded,
      down = excluded.down, missed = excluded.missed, ms_sum = excluded.ms_sum,
      ms_max = excluded.ms_max, p50 = excluded.p50, p95 = excluded.p95, p99 = excluded.p99
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RollupReport:
    hours: tuple[datetime, ...] = ()
    rows: int = 0


def roll_up_hours(now: datetime) -> RollupReport:
    """Roll up each closed hour that has not been, or has been before a late result came. The oldest first."""
    rows = 0
    hours = hours_due(now)[:MOST_AT_ONCE]
    for hour in hours:
        rows += _roll_up(hour)
    return RollupReport(hours=tuple(hours), rows=rows)


def hours_due(now: datetime) -> list[datetime]:
    """Closed hours whose results do not all stand in `rollup_hour` yet."""
    days = partitions_of("result")
    if not days:
        return []
    first = datetime.strptime(days[0].removeprefix("result_"), "%Y%m%d").replace(tzinfo=UTC)
    last = (now - CLOSED_AFTER).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select hour from generate_series(%s::timestamptz, %s::timestamptz, interval '1 hour') hour
            where not exists (select from checks_rolledhour rolled
                              where rolled.hour = hour.hour and rolled.rolled_at is not null)
              and exists (select from result where at >= hour.hour and at < hour.hour + interval '1 hour')
            order by 1
            """,
            [first, last],
        )
        return [hour.astimezone(UTC) for (hour,) in cursor.fetchall()]


def _roll_up(hour: datetime) -> int:
    with connection.cursor() as cursor:
        # Committed before the look: a late result that the look misses finds this row and takes it away.
        cursor.execute(
            "insert into checks_rolledhour (hour) values (%s) "
            "on conflict (hour) do update set rolled_at = null",
            [hour],
        )
        with transaction.atomic():
            cursor.execute(
                _ROLL,
                {
                    "hour": hour,
                    "up": OUTCOMES[Outcome.UP],
                    "degraded": OUTCOMES[Outcome.DEGRADED],
                    "down": OUTCOMES[Outcome.DOWN],
                },
            )
            rows = int(cursor.rowcount)
            cursor.execute("update checks_rolledhour set rolled_at = now() where hour = %s", [hour])
    return rows

"""How long each check and client kept the workers busy, from what the workers measured.

A result does not carry its batch's number, but both were stored at the same millisecond: slot + `stored_ms` of the
one is `received_at` of the other. Each batch's billed seconds are shared among its results in proportion to the time
that each occupied the worker: its turn to start, the same for all, and its own time to answer. So who times out pays
for the waiting, and who answers at once pays for little more than a turn.

PostgreSQL does the sums; Python sees one row for each region and those that are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Max, Min

from checks.models import BatchReport, Check
from checks.models.result import NOT_PROBED, OUTCOMES
from clients.models import Client
from fanout_lambdas.shared.contracts import Outcome
from fanout_lambdas.shared.slots import MINUTE_S

# Each batch, or the few that were stored in the same millisecond: how many, their billed seconds, what shares them.
_BATCHES = """
    create temporary table cost_batch on commit drop as
    with report as (
      select region_id as region, round(extract(epoch from received_at) * 1000)::bigint as stored,
        count(*) as batches, sum(duration_ms) / 1000.0::float8 as seconds,
        count(*) filter (where cold_start) as cold
      from checks_batchreport
      where minute >= %(since)s and minute < %(until)s group by 1, 2
    ), seen as (
      select region, (date_part('epoch', at) * 1000)::bigint + stored_ms as stored,
        count(*) as results, sum(total_us::float8) / 1e6 as answers_s, max(total_us) / 1e6::float8 as longest_s
      from result where at >= %(since)s and at < %(until)s group by 1, 2
    )
    select region, stored, batches, cold, coalesce(results, 0) as results,
      batches * %(own_s)s + case when %(measured)s then seconds
        else greatest(0, coalesce(results, 0) - batches) * %(start_s)s + coalesce(longest_s, 0) end as billed_s,
      coalesce(results * %(start_s)s + answers_s, 0) as occupied_s
    from report left join seen using (region, stored)
"""
_CHECKS = """
    create temporary table cost_check on commit drop as
    select result.check_id, result.client_id, count(*) as results,
      avg(result.total_us::float8) / 1e6 as answer_s,
      sum((%(start_s)s + result.total_us / 1e6::float8) / batch.occupied_s * batch.billed_s) as billed_s,
      sum(batch.batches::float8 / batch.results) as invocations
    from result join cost_batch batch
      on batch.region = result.region
      and batch.stored = (date_part('epoch', result.at) * 1000)::bigint + result.stored_ms
    where result.at >= %(since)s and result.at < %(until)s
      and batch.results > 0 and (%(client)s::bigint is null or result.client_id = %(client)s)
    group by 1, 2
"""
_REGIONS = """
    select region, sum(batches), sum(cold), sum(billed_s), sum(results), (
      select avg((dispatch_report->>'finished_ms')::bigint - (dispatch_report->>'started_ms')::bigint) / 1000
      from checks_minuterun run where run.region_id = region and minute >= %(since)s and minute < %(until)s
        and dispatch_report->>'finished_ms' is not null)
    from cost_batch group by 1 order by 1
"""
_BY_CHECK = """
    select check_id, client_id, 1, results, answer_s, billed_s, invocations
    from cost_check order by billed_s desc, check_id limit %(top)s
"""
_BY_CLIENT = """
    select 0, client_id, count(*), sum(results), sum(answer_s * results) / sum(results), sum(billed_s), sum(invocations)
    from cost_check group by client_id order by sum(billed_s) desc, client_id limit %(top)s
"""
_PROBED = f"""
    select count(*) from result where at >= %(since)s and at < %(until)s
      and outcome <> {OUTCOMES[Outcome.MISSED]} and lag_ms <> {NOT_PROBED}
"""


class NothingMeasured(Exception):
    """No batch reported in the window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Whole minutes, and how a batch's billed seconds come about: `own_s` beside its probes, `start_s` between two
    starts. `measured`: the batches' own durations hold, else they are worked out from their results."""

    since: datetime
    until: datetime
    own_s: float
    start_s: float
    measured: bool

    def values(self) -> dict[str, Any]:
        return {
            "since": self.since,
            "until": self.until,
            "own_s": self.own_s,
            "start_s": self.start_s,
            "measured": self.measured,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionTime:
    """What one region's workers did. `dispatcher_s`: a dispatcher's mean, None where none reported."""

    region: int
    batches: int
    cold: int
    billed_s: float
    results: int
    dispatcher_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTime:
    """A client's share, or a check's. `answer_s`: its probes' mean time; `invocations`: its part of each batch."""

    name: str
    client: str
    check_id: int
    checks: int
    results: int
    answer_s: float
    billed_s: float
    invocations: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerTime:
    """All of a window. `unmatched`: results that were stored at no batch's time, nobody's share."""

    covered_s: float
    results: int
    unmatched: int
    regions: tuple[RegionTime, ...]
    clients: tuple[OwnTime, ...]
    checks: tuple[OwnTime, ...]


def worker_time(window: Window, *, top: int, client: Client | None = None) -> WorkerTime:
    """The whole window by region, the `top` clients and checks in it; with a client, its checks alone.
    Raises NothingMeasured."""
    covered_s = _covered(window)
    values = window.values() | {"client": client.pk if client else None, "top": top}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_BATCHES, values)
        cursor.execute(_CHECKS, values)
        cursor.execute(_REGIONS, values)
        regions = cursor.fetchall()
        cursor.execute(_BY_CLIENT, values)
        clients = cursor.fetchall()
        cursor.execute(_BY_CHECK, values)
        checks = cursor.fetchall()
        cursor.execute(_PROBED, values)
        results = int(cursor.fetchone()[0])
        # At once, for a caller whose transaction goes on.
        cursor.execute("drop table cost_check, cost_batch")
    found = tuple(
        RegionTime(
            region=int(region),
            batches=int(batches),
            cold=int(cold),
            billed_s=float(billed_s),
            results=int(matched),
            dispatcher_s=None if dispatcher_s is None else float(dispatcher_s),
        )
        for region, batches, cold, billed_s, matched, dispatcher_s in regions
    )
    return WorkerTime(
        covered_s=covered_s,
        results=results,
        unmatched=results - sum(each.results for each in found),
        regions=found,
        clients=_named(clients, client),
        checks=_named(checks, client),
    )


def _covered(window: Window) -> float:
    """Seconds from the first to the last minute that reported: a young installation has not filled the window."""
    reports = BatchReport.objects.filter(minute__gte=window.since, minute__lt=window.until)
    ends = reports.aggregate(first=Min("minute"), last=Max("minute"))
    if ends["first"] is None:
        raise NothingMeasured(
            f"No batch reported from {window.since:%Y-%m-%d %H:%M} to {window.until:%Y-%m-%d %H:%M} UTC."
        )
    covered: timedelta = ends["last"] - ends["first"]
    return covered.total_seconds() + MINUTE_S


def _named(rows: Sequence[Sequence[Any]], client: Client | None) -> tuple[OwnTime, ...]:
    """The rows with the names of their clients and checks."""
    clients = Client.objects.in_bulk([row[1] for row in rows])
    scope = Check.objects.for_client(client) if client else Check.objects.across_clients()
    checks = scope.in_bulk([row[0] for row in rows if row[0]])
    return tuple(
        OwnTime(
            name=checks[check_id].name if check_id in checks else "",
            client=clients[client_id].slug if client_id in clients else "",
            check_id=int(check_id),
            checks=int(count),
            results=int(results),
            answer_s=float(answer_s),
            billed_s=float(billed_s),
            invocations=float(invocations),
        )
        for check_id, client_id, count, results, answer_s, billed_s, invocations in rows
    )

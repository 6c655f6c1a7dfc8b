"""Uptime of a client's checks (rule 13): incidents over what was measured, from hourly rollups and the newest results.

A fixed number of queries for any number of checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Max, Q

from checks.history.uptime import Span, Uptime, uptime
from checks.models import Check, Incident, RollupHour
from checks.models.result import OUTCOMES
from clients.models import Client
from fanout_lambdas.shared.contracts import Outcome
from fanout_lambdas.shared.slots import phase

HOUR_S = 3600
RAW_REACH = timedelta(hours=3)
"""Hours without a rollup are read result by result, no further back than this."""
REAL = [OUTCOMES[outcome] for outcome in (Outcome.UP, Outcome.DEGRADED, Outcome.DOWN)]

_REGULAR = """
select distinct c.id, slot
from unnest(%s::int[], %s::int[], %s::int[]) as c(id, every, phase)
cross join lateral generate_series(
    %s::bigint + ((c.phase - %s::bigint) %% c.every + c.every) %% c.every, %s::bigint, c.every) as slot
cross join lateral (
    select 1 from result
    where at = to_timestamp(slot) and check_id = c.id and client_id = %s and outcome = any(%s::smallint[])
    offset 0) r
"""


def uptime_of(
    client: Client, checks: Sequence[Check], *, start: datetime, now: datetime
) -> dict[int, Uptime]:
    """The uptime of each check from `start`, or from when it was made, to `now`."""
    if not checks:
        return {}
    ids = [check.pk for check in checks]
    measured = _from_rollups(client, checks, start)
    raw_start = _raw_start(client, ids, start=start, now=now)
    for check_id, span in _from_results(client, checks, raw_start, now):
        measured[check_id].append(span)
    outages = _outages(client, ids, start, now)
    found = {}
    for check in checks:
        # The slot under way cannot have its result yet.
        end = int(now.timestamp()) - check.interval_s
        begin = max(_second(start), _second(check.created_at))
        paused = [] if check.paused_at is None else [(_second(check.paused_at), end)]
        found[check.pk] = uptime(
            (begin, max(begin, end)),
            measured=measured[check.pk],
            incidents=outages.get(check.pk, []),
            excluded=paused,
        )
    return found


def _from_rollups(
    client: Client, checks: Sequence[Check], start: datetime
) -> dict[int, list[Span]]:
    """For each check-hour as much time as its results stand for, reckoned from the start of the hour."""
    by_id = {check.pk: check for check in checks}
    rows = RollupHour.objects.for_client(client).filter(
        check_id__in=by_id, hour__gte=start - timedelta(seconds=HOUR_S)
    )
    counts: dict[tuple[int, int], list[int]] = {}
    for check_id, hour, *real in rows.values_list("check_id", "hour", "up", "degraded", "down"):
        counts.setdefault((check_id, _second(hour)), []).append(sum(real))
    spans: dict[int, list[Span]] = {check.pk: [] for check in checks}
    for (check_id, second), regions in counts.items():
        check = by_id[check_id]
        slots = sum(regions) if check.rotate else max(regions)
        length = slots * check.interval_s
        if check.interval_s <= HOUR_S:
            length = min(length, HOUR_S)
        spans[check_id].append((second, second + length))
    return spans


def _raw_start(client: Client, ids: list[int], *, start: datetime, now: datetime) -> datetime:
    """The end of the newest hour that has rollups."""
    newest = (
        RollupHour.objects.for_client(client)
        .filter(check_id__in=ids, hour__gte=now - RAW_REACH)
        .aggregate(hour=Max("hour"))["hour"]
    )
    after = newest + timedelta(seconds=HOUR_S) if newest else now - RAW_REACH
    return max(start, after, now - RAW_REACH)


def _from_results(
    client: Client, checks: Sequence[Check], start: datetime, now: datetime
) -> list[tuple[int, Span]]:
    first, last = _second(start), _second(now)
    every = {check.pk: check.interval_s for check in checks}
    phases = [phase(check.pk, check.interval_s) for check in checks]
    with connection.cursor() as cursor:
        cursor.execute(
            _REGULAR,
            [list(every), list(every.values()), phases, first, first, last, client.pk, REAL],
        )
        return [(number, (slot, slot + every[number])) for number, slot in cursor.fetchall()]


def _outages(
    client: Client, ids: list[int], start: datetime, now: datetime
) -> dict[int, list[Span]]:
    rows = (
        Incident.objects.for_client(client)
        .filter(subject_id__in=ids, started_at__lt=now)
        .filter(Q(ended_at=None) | Q(ended_at__gt=start))
        .values_list("subject_id", "started_at", "ended_at")
    )
    found: dict[int, list[Span]] = {}
    for check_id, started, ended in rows:
        found.setdefault(check_id, []).append((_second(started), _second(ended or now)))
    return found


def _second(at: datetime) -> int:
    return int(at.timestamp())

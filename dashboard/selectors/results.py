"""Recent results of a client's checks, read slot by slot through the primary key (at, check_id, region) (hop 10).

The key begins with the time, so a check's rows are found by asking for each of its slots, never by a range of time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from checks.models import Check, Evidence, Region, Result
from checks.models.result import OUTCOME_OF, REASON_OF
from clients.models import Client
from fanout_lambdas.shared.contracts import Outcome, Reason
from fanout_lambdas.shared.slots import GRID_S, phase

# `offset 0` keeps the planner at one key look-up a slot, whatever it believes about the sizes.
_EACH_SLOT = """
from unnest(%(ids)s::int[], %(every)s::int[], %(phases)s::int[]) as c(id, every, phase)
cross join lateral generate_series(
    %(start)s::bigint + ((c.phase - %(start)s::bigint) %% c.every + c.every) %% c.every,
    %(end)s::bigint - 1, c.every) as slot
cross join lateral (
    select * from result
    where at = to_timestamp(slot) and check_id = c.id and client_id = %(client)s offset 0) r
"""
_OUTCOMES = f"select r.check_id, extract(epoch from r.at)::bigint, r.outcome {_EACH_SLOT}"
_HOURS = f"""
select r.check_id, extract(epoch from date_trunc('hour', r.at))::bigint,
    count(distinct r.at) filter (where r.outcome <= 3),
    percentile_disc(0.95) within group (order by r.total_us) filter (where r.outcome <= 2)
{_EACH_SLOT} group by grouping sets ((1, 2), (1)) order by 1, 2
"""
_COLUMNS = (
    *("at", "region", "outcome", "reason", "http_status", "total_us"),
    *("dns_us", "connect_us", "tls_us", "send_us", "wait_us", "receive_us", "bytes", "extra"),
)
_ROWS = f"select {', '.join(f'r.{name}' for name in _COLUMNS)} {_EACH_SLOT} order by r.at desc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One result as pages need it."""

    at: datetime
    region: int
    outcome: Outcome
    reason: Reason
    http_status: int | None
    total_us: int
    dns_us: int | None
    connect_us: int | None
    tls_us: int | None
    send_us: int | None
    wait_us: int | None
    receive_us: int | None
    bytes: int | None
    extra: bool

    @property
    def good(self) -> bool:
        return self.outcome in (Outcome.UP, Outcome.DEGRADED)

    @property
    def key(self) -> str:
        """The result's place in addresses: its second and region."""
        return f"{int(self.at.timestamp())}-{self.region}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Slots with a good or bad result, and the 95th percentile of the good ones."""

    measured: int = 0
    p95_us: int | None = None


@dataclass(slots=True, kw_only=True)
class Recent:
    """A period of one check, whole and by the hour."""

    whole: Span = field(default_factory=Span)
    by_hour: dict[datetime, Span] = field(default_factory=dict)


def _parameters(
    client: Client, checks: Iterable[Check], start: datetime, end: datetime, *, grid: bool = False
) -> dict[str, Any]:
    rows = [(check.pk, GRID_S if grid else check.interval_s) for check in checks]
    return {
        "client": client.pk,
        "ids": [number for number, _ in rows],
        "every": [every for _, every in rows],
        "phases": [
            phase(check.pk, check.interval_s) % (GRID_S if grid else check.interval_s)
            for check in checks
        ],
        "start": int(start.timestamp()),
        "end": int(end.timestamp()) + 1,
    }


def outcomes(
    client: Client, checks: Sequence[Check], *, start: datetime, end: datetime
) -> dict[int, list[tuple[int, Outcome]]]:
    """For each check: (second, outcome) of its regular slots."""
    found: dict[int, list[tuple[int, Outcome]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_OUTCOMES, _parameters(client, checks, start, end))
        for check_id, second, outcome in cursor.fetchall():
            found.setdefault(check_id, []).append((second, OUTCOME_OF[outcome]))
    return found


def recent(
    client: Client, checks: Sequence[Check], *, start: datetime, end: datetime
) -> dict[int, Recent]:
    """For each check: the period's figures from its regular slots; exact percentiles."""
    found: dict[int, Recent] = {}
    with connection.cursor() as cursor:
        cursor.execute(_HOURS, _parameters(client, checks, start, end))
        for check_id, hour, measured, p95 in cursor.fetchall():
            one = found.setdefault(check_id, Recent())
            span = Span(measured=measured, p95_us=p95)
            if hour is None:
                one.whole = span
            else:
                one.by_hour[datetime.fromtimestamp(hour, UTC)] = span
    return found


def results(
    client: Client, check: Check, *, start: datetime, end: datetime, rechecks: bool = True
) -> list[Seen]:
    """A check's results, newest first; those between the regular slots cost six times the look-ups."""
    with connection.cursor() as cursor:
        cursor.execute(_ROWS, _parameters(client, [check], start, end, grid=rechecks))
        return [_seen(row) for row in cursor.fetchall()]


def _seen(row: tuple[Any, ...]) -> Seen:
    values = dict(zip(_COLUMNS, row, strict=True))
    values["outcome"] = OUTCOME_OF[values["outcome"]]
    values["reason"] = REASON_OF[values["reason"]]
    return Seen(**values)


def newest_results(
    client: Client, check: Check, *, before: datetime, count: int, failures: bool = False
) -> list[Seen]:
    """A page of results before a moment, looking back as far as results are kept."""
    reach = timedelta(seconds=max(check.interval_s * (count + 1), 3_600))
    oldest = max(before - timedelta(days=2), check.created_at - timedelta(minutes=1))
    found: list[Seen] = []
    end = before
    while len(found) <= count and end > oldest:
        start = max(oldest, end - reach)
        rows = results(client, check, start=start, end=end - timedelta(seconds=1))
        found += [row for row in rows if not failures or not row.good]
        end, reach = start, reach * 4
    return found[: count + 1]


def one_result(client: Client, check: Check, *, second: int, region: int) -> Seen | None:
    try:
        at = datetime.fromtimestamp(second, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    row = (
        Result.objects.for_client(client)
        .filter(at=at, check_id=check.pk, region=region)
        .values_list(*_COLUMNS)
        .first()
    )
    return _seen(row) if row else None


def evidence_of(client: Client, check: Check, seen: Iterable[Seen]) -> dict[str, Evidence]:
    """What these results had to show, by their keys."""
    places = {(one.at, one.region): one.key for one in seen}
    rows = Evidence.objects.for_client(client).filter(
        at__in=[at for at, _ in places], check_id=check.pk
    )
    return {places[row.at, row.region]: row for row in rows if (row.at, row.region) in places}


def region_names() -> dict[int, str]:
    return dict(Region.objects.values_list("pk", "name"))

"""A client's checks as lists and figures (hop 10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from django.db.models import Case, Count, IntegerField, Q, QuerySet, Value, When

from alerts.models import Channel
from checks.models import Check, ExtraSlot, Incident, RegionState, State
from clients.models import Client
from dashboard.selectors import hours, results
from dashboard.strips import Cell, Mark, Strip, minute_strip, sparkline
from fanout_lambdas.shared.contracts import Outcome

PAGE_SIZE = 50
BARS = 60

ATTENTION = (State.DOWN, State.DEGRADED, State.UNKNOWN, State.NEW, State.UP, State.PAUSED)
"""The order in which states need somebody."""

_MARKS = {Outcome.UP: Mark.UP, Outcome.DEGRADED: Mark.SLOW, Outcome.DOWN: Mark.DOWN}
_WORST = {mark: rank for rank, mark in enumerate((Mark.NONE, Mark.UP, Mark.SLOW, Mark.DOWN))}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckFilter:
    """What the list shows: a state, a text in name or address, a page."""

    state: str = ""
    text: str = ""
    page: int = 1

    @property
    def active(self) -> bool:
        return bool(self.state or self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """Uptime of a period with what it rests on (rule 13)."""

    uptime: float | None
    coverage: float | None
    down_s: float
    incidents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Newest:
    at: datetime | None = None
    cert_not_after: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRow:
    """One line of the list."""

    check: Check
    state: str
    cells: list[Cell]
    strip: Strip
    spark: Strip
    p95_ms: float | None
    """Of the newest hour with data."""
    day: Availability
    last_at: datetime | None
    cert_not_after: datetime | None
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPage:
    rows: list[CheckRow]
    total: int
    page: int
    pages: int


def live_checks(client: Client) -> QuerySet[Check]:
    return Check.objects.for_client(client).filter(deleted_at=None)


def counts_by_state(client: Client) -> dict[str, int]:
    found = dict(live_checks(client).values_list("state").annotate(n=Count("pk")))
    return {str(state): found.get(state, 0) for state in ATTENTION}


def listed_checks(client: Client, wanted: CheckFilter) -> QuerySet[Check]:
    """Those the filter lets through, what needs attention first, then by name."""
    rows = live_checks(client)
    if wanted.state in State.values:
        rows = rows.filter(state=wanted.state)
    if wanted.text:
        rows = rows.filter(Q(name__icontains=wanted.text) | Q(url__icontains=wanted.text))
    urgency = Case(
        *(When(state=state, then=Value(rank)) for rank, state in enumerate(ATTENTION)),
        default=Value(len(ATTENTION)),
        output_field=IntegerField(),
    )
    return rows.order_by(urgency, "name", "pk")


def check_page(client: Client, wanted: CheckFilter, *, now: datetime, zone: tzinfo) -> CheckPage:
    rows = listed_checks(client, wanted)
    total = rows.count()
    pages = max(1, -(-total // PAGE_SIZE))
    page = min(max(1, wanted.page), pages)
    chosen = list(rows[(page - 1) * PAGE_SIZE : page * PAGE_SIZE])
    return CheckPage(
        rows=check_rows(client, chosen, now=now, zone=zone), total=total, page=page, pages=pages
    )


def check_rows(
    client: Client, checks: Sequence[Check], *, now: datetime, zone: tzinfo
) -> list[CheckRow]:
    """Figures for these checks, in a fixed number of queries."""
    if not checks:
        return []
    outcomes = results.outcomes(client, checks, start=now - timedelta(minutes=BARS + 1), end=now)
    start = hours.window_start(now)
    recent = hours.last_hours(client, checks, now=now)
    outages = outage_seconds(client, checks, start=start, end=now)
    newest = newest_of(client, checks)
    confirming = being_confirmed(client, checks, now=now)
    rows = []
    for check in checks:
        mine = recent[check.pk]
        cells = cells_of(check, outcomes.get(check.pk, []), now=now)
        rows.append(
            CheckRow(
                check=check,
                state=shown_state(check, confirming),
                cells=cells,
                strip=minute_strip(cells, zone=zone),
                spark=sparkline(mine.p95_ms),
                p95_ms=next((value for value in reversed(mine.p95_ms) if value is not None), None),
                day=availability(
                    check,
                    measured_slots=mine.measured,
                    outages=outages.get(check.pk, (0.0, 0)),
                    start=start,
                    end=now,
                ),
                last_at=newest.get(check.pk, Newest()).at,
                cert_not_after=newest.get(check.pk, Newest()).cert_not_after,
                host=host_of(check.url),
            )
        )
    return rows


def shown_state(check: Check, confirming: set[int]) -> str:
    """The check's state; one that is up while a failure is being confirmed says so."""
    return "checking" if check.pk in confirming and check.state == State.UP else str(check.state)


def cells_of(check: Check, seen: Sequence[tuple[int, Outcome]], *, now: datetime) -> list[Cell]:
    """Sixty minutes, each with the worst that its results said.

    A check that runs less often than once a minute fills the minutes until its next result.
    """
    newest = int(now.timestamp()) // 60
    marks: dict[int, Mark] = {}
    span = max(1, check.interval_s // 60)
    for second, outcome in seen:
        mark = _MARKS.get(outcome, Mark.NONE)
        for minute in range(second // 60, min(second // 60 + span, newest + 1)):
            if _WORST[mark] >= _WORST[marks.get(minute, Mark.NONE)]:
                marks[minute] = mark
    if newest not in marks:  # the minute under way may still answer
        newest -= 1
    return [
        Cell(at=datetime.fromtimestamp(minute * 60, UTC), mark=marks.get(minute, Mark.NONE))
        for minute in range(newest - BARS + 1, newest + 1)
    ]


def newest_of(client: Client, checks: Sequence[Check]) -> dict[int, Newest]:
    """Each check's newest evaluated result over its regions, and its certificate nearest to its end."""
    rows = (
        RegionState.objects.for_client(client)
        .filter(check_id__in=[check.pk for check in checks])
        .values_list("check_id", "last_at", "cert_not_after")
    )
    found: dict[int, Newest] = {}
    for check_id, at, ends in rows:
        before = found.get(check_id, Newest())
        found[check_id] = Newest(
            at=max(filter(None, (before.at, at)), default=None),
            cert_not_after=min(filter(None, (before.cert_not_after, ends)), default=None),
        )
    return found


def being_confirmed(client: Client, checks: Sequence[Check], *, now: datetime) -> set[int]:
    """Checks with a recheck under way."""
    return set(
        ExtraSlot.objects.for_client(client)
        .filter(
            subject__in=[check.pk for check in checks],
            why=ExtraSlot.Why.RECHECK,
            closed_at=None,
            slot__gt=now - timedelta(minutes=1),
        )
        .values_list("subject_id", flat=True)
    )


def outage_seconds(
    client: Client, checks: Sequence[Check], *, start: datetime, end: datetime
) -> dict[int, tuple[float, int]]:
    """For each check: seconds of incidents inside the period, and how many there were."""
    rows = (
        Incident.objects.for_client(client)
        .filter(subject__in=[check.pk for check in checks], started_at__lt=end)
        .filter(Q(ended_at=None) | Q(ended_at__gt=start))
        .values_list("subject_id", "started_at", "ended_at")
    )
    found: dict[int, tuple[float, int]] = {}
    for check_id, started, ended in rows:
        seconds = (min(ended or end, end) - max(started, start)).total_seconds()
        before, count = found.get(check_id, (0.0, 0))
        found[check_id] = (before + max(0.0, seconds), count + 1)
    return found


def availability(
    check: Check,
    *,
    measured_slots: int,
    outages: tuple[float, int],
    start: datetime,
    end: datetime,
) -> Availability:
    """Rule 13 from counts: measured = slots with a result, and at least all incident time."""
    down_s, count = outages
    stop = min(end, check.paused_at) if check.paused_at else end
    period_s = max(0.0, (stop - max(start, check.created_at)).total_seconds())
    measured_s = min(max(measured_slots * check.interval_s, down_s), max(period_s, down_s))
    if measured_s <= 0:
        return Availability(uptime=None, coverage=None, down_s=down_s, incidents=count)
    # The slot under way cannot have its result yet.
    due_s = max(period_s - check.interval_s, measured_s)
    return Availability(
        uptime=max(0.0, 1 - down_s / measured_s),
        coverage=min(1.0, measured_s / due_s),
        down_s=down_s,
        incidents=count,
    )


def listening_channels(client: Client) -> int:
    """Channels that would be told of an outage."""
    return (
        Channel.objects.for_client(client)
        .filter(deleted_at=None, enabled=True, hears__contains=["down"])
        .count()
    )


def host_of(url: str) -> str:
    """What people recognise a check by: host and path, without the scheme."""
    return url.split("://", 1)[-1].rstrip("/")

"""A client's checks as lists and figures (hop 10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, TypedDict

from django.db.models import (
    Case,
    Count,
    Exists,
    IntegerField,
    Max,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)

from alerts.models import Channel
from checks.availability import HOUR, Record, records_of
from checks.models import Check, ExtraSlot, RegionState, State
from checks.selectors import live_checks
from checks.targets import target_words
from clients.models import Client
from dashboard.strips import Cell, Mark, Strip, minute_strip, sparkline
from fanout_lambdas.shared.contracts import Outcome

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

    ListedCheck = WithAnnotations[Check, "Signs"]

PAGE_SIZE = 50
BARS = 60
DAY = timedelta(hours=24)
EXPIRES_SOON = timedelta(days=14)

ATTENTION = (State.DOWN, State.DEGRADED, State.UNKNOWN, State.NEW, State.UP, State.PAUSED)
"""The order in which states need somebody."""

_MARKS = {Outcome.UP: Mark.UP, Outcome.DEGRADED: Mark.SLOW, Outcome.DOWN: Mark.DOWN}
_WORST = {mark: rank for rank, mark in enumerate((Mark.NONE, Mark.UP, Mark.SLOW, Mark.DOWN))}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckFilter:
    """What the list shows: a state, a kind, a text in name or address, a page."""

    state: str = ""
    kind: str = ""
    text: str = ""
    page: int = 1

    @property
    def active(self) -> bool:
        return bool(self.state or self.kind or self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """Uptime of a period with what it rests on (rule 13)."""

    uptime: float | None
    coverage: float | None
    down_s: int
    incidents: int


class Signs(TypedDict):
    """What `with_signs` adds to each check."""

    confirming: bool
    """A recheck is under way."""
    last_at: datetime | None
    """The newest evaluated result over its regions."""
    cert_not_after: datetime | None
    """The certificate nearest to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRow:
    """One line of the list."""

    check: ListedCheck
    state: str
    cells: list[Cell]
    strip: Strip
    spark: Strip
    p95_ms: float | None
    """Of the newest hour with data."""
    record: Record
    day: Availability
    last_at: datetime | None
    cert_not_after: datetime | None
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPage:
    rows: list[CheckRow]
    total: int
    page: int
    pages: int


def counts_by_state(client: Client) -> dict[str, int]:
    found = dict(live_checks(client).values_list("state").annotate(n=Count("pk")))
    return {str(state): found.get(state, 0) for state in ATTENTION}


def with_signs(client: Client, checks: QuerySet[Check], *, now: datetime) -> QuerySet[ListedCheck]:
    """Checks with what lists say of them beside their state."""
    regions = RegionState.objects.for_client(client).filter(check_id=OuterRef("pk"))
    each = regions.order_by().values("check_id")
    rechecks = ExtraSlot.objects.for_client(client).filter(
        subject=OuterRef("pk"),
        why=ExtraSlot.Why.RECHECK,
        closed_at=None,
        slot__gt=now - timedelta(minutes=1),
    )
    return checks.annotate(
        confirming=Exists(rechecks),
        last_at=Subquery(each.annotate(newest=Max("last_at")).values("newest")),
        cert_not_after=Subquery(each.annotate(ends=Min("cert_not_after")).values("ends")),
    )


def listed_checks(client: Client, wanted: CheckFilter, *, now: datetime) -> QuerySet[ListedCheck]:
    """Those the filter lets through, what needs attention first, then by name."""
    rows = live_checks(client)
    if wanted.state in State.values:
        rows = rows.filter(state=wanted.state)
    if wanted.kind:
        rows = rows.filter(kind=wanted.kind)
    if wanted.text:
        rows = rows.filter(Q(name__icontains=wanted.text) | Q(url__icontains=wanted.text))
    urgency = Case(
        *(When(state=state, then=Value(rank)) for rank, state in enumerate(ATTENTION)),
        default=Value(len(ATTENTION)),
        output_field=IntegerField(),
    )
    return with_signs(client, rows, now=now).order_by(urgency, "name", "pk")


def expiring_checks(client: Client, *, now: datetime, count: int = 10) -> list[ListedCheck]:
    """Checks whose certificate ends soon or has ended, the most urgent first."""
    rows = with_signs(client, live_checks(client), now=now)
    soon = rows.filter(cert_not_after__lt=now + EXPIRES_SOON)
    return list(soon.order_by("cert_not_after", "name", "pk")[:count])


def check_page(
    client: Client,
    wanted: CheckFilter,
    counts: dict[str, int],
    *,
    now: datetime,
    zone: tzinfo,
    size: int = PAGE_SIZE,
) -> CheckPage:
    """One page of the list; `counts` of all checks by state save counting them again."""
    rows = listed_checks(client, wanted, now=now)
    known = counts[wanted.state] if wanted.state else sum(counts.values())
    total = rows.count() if wanted.kind or wanted.text else known
    pages = max(1, -(-total // size))
    page = min(max(1, wanted.page), pages)
    chosen = list(rows[(page - 1) * size : page * size])
    return CheckPage(
        rows=check_rows(client, chosen, now=now, zone=zone), total=total, page=page, pages=pages
    )


def check_rows(
    client: Client, checks: Sequence[ListedCheck], *, now: datetime, zone: tzinfo
) -> list[CheckRow]:
    """Figures for these checks, in a fixed number of queries."""
    hours = [now.replace(minute=0, second=0, microsecond=0) - HOUR * back for back in range(25)]
    recent = timedelta(minutes=BARS + 1)
    records = records_of(client, checks, start=hours[-1], now=now, recent=recent)
    rows = []
    for check in checks:
        record = records[check.pk]
        cells = cells_of(record)
        speeds = [record.p95_ms.get(hour) for hour in reversed(hours)]
        rows.append(
            CheckRow(
                check=check,
                state=shown_state(check),
                cells=cells,
                strip=minute_strip(cells, zone=zone),
                spark=sparkline(speeds),
                p95_ms=next((value for value in reversed(speeds) if value is not None), None),
                record=record,
                day=availability(record, start=now - DAY),
                last_at=check.last_at,
                cert_not_after=check.cert_not_after,
                target=target_words(check),
            )
        )
    return rows


def shown_state(check: ListedCheck) -> str:
    """The check's state; one whose failure is being confirmed says so."""
    if check.state == State.NEW and check.last_at is not None:
        return "confirming"  # its first good result would have made it up
    return "checking" if check.confirming and check.state == State.UP else str(check.state)


def cells_of(record: Record) -> list[Cell]:
    """Sixty minutes, each with the worst that its results said.

    The result of a check that runs less often than once a minute fills the minutes until its next.
    """
    newest = record.now // 60
    oldest = newest - BARS
    marks: dict[int, Mark] = {}
    for (first, end), outcome in record.recent:
        mark = _MARKS.get(outcome, Mark.NONE)
        minutes = max(1, (end - first) // 60)
        for minute in range(max(first // 60, oldest), min(first // 60 + minutes, newest + 1)):
            if _WORST[mark] >= _WORST[marks.get(minute, Mark.NONE)]:
                marks[minute] = mark
    if newest not in marks:  # the minute under way may still answer
        newest -= 1
    return [
        Cell(at=datetime.fromtimestamp(minute * 60, UTC), mark=marks.get(minute, Mark.NONE))
        for minute in range(newest - BARS + 1, newest + 1)
    ]


def availability(record: Record, *, start: datetime) -> Availability:
    """Rule 13 as shares; the down time is all of it, up to this second."""
    figures = record.uptime(start)
    down_s, count = record.outage(start)
    share = coverage = None
    if figures.measured_s:
        share = (figures.measured_s - figures.incident_s) / figures.measured_s
        coverage = figures.measured_s / figures.period_s
    return Availability(uptime=share, coverage=coverage, down_s=down_s, incidents=count)


def listens(client: Client) -> bool:
    """Is there a channel that would be told of an outage?"""
    return _listening(client).exists()


def standing_of(client: Client) -> tuple[int, bool]:
    """Checks down, and whether somebody would be told: what pages of a single check say of the others."""
    down = live_checks(client).filter(state=State.DOWN).order_by().values("client")
    counted = Subquery(down.annotate(n=Count("pk")).values("n"))
    rows = Client.objects.filter(pk=client.pk).annotate(
        down=counted, told=Exists(_listening(client))
    )
    number, told = rows.values_list("down", "told").get()
    return number or 0, told


def _listening(client: Client) -> QuerySet[Channel]:
    channels = Channel.objects.for_client(client)
    return channels.filter(deleted_at=None, enabled=True, hears__contains=["down"])

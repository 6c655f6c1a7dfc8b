"""The last 24 hours of many checks: closed hours from the hourly rollup, the rest from single results (hop 10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.db import connection

from checks.models import Check, RollupHour
from clients.models import Client
from dashboard.selectors import results

HOURS = 24
_HOUR = timedelta(hours=1)
# Hours with data, and whether the rollup holds them; one that it does not hold is the exception, save for the newest.
_KNOWN = """
select hour, rolled from (
    select hour, exists (
        select from checks_rolledhour r where r.hour = series.hour and r.rolled_at is not null) as rolled
    from generate_series(%s::timestamptz, %s::timestamptz, interval '1 hour') as series(hour)) known
where rolled or exists (
    select from result where at >= known.hour and at < known.hour + interval '1 hour')
order by 1
"""


@dataclass(slots=True, kw_only=True)
class Hours:
    """One check's hours, oldest first; an hour without data is None."""

    measured: int = 0
    """Slots with a good or bad result."""
    p95_ms: list[float | None] = field(default_factory=lambda: [None] * (HOURS + 1))


def window_start(now: datetime) -> datetime:
    """The full hour 24 hours ago, so that whole hours of the rollup fit in."""
    return now.replace(minute=0, second=0, microsecond=0) - _HOUR * HOURS


def last_hours(client: Client, checks: Sequence[Check], *, now: datetime) -> dict[int, Hours]:
    """For each check its hours since `window_start(now)`, the one under way last."""
    start = window_start(now)
    with connection.cursor() as cursor:
        cursor.execute(_KNOWN, [start, now])
        known = [(hour.astimezone(UTC), rolled) for hour, rolled in cursor.fetchall()]
    found = {check.pk: Hours() for check in checks}
    _add_rolled(client, checks, found, start, {hour for hour, rolled in known if rolled})
    open_hours = [hour for hour, rolled in known if not rolled]
    for first, end in _runs(open_hours):
        _add_single(client, checks, found, start, first, min(end, now))
    return found


def _runs(hours: Sequence[datetime]) -> list[tuple[datetime, datetime]]:
    """Neighbouring hours as spans, so that each span is one query."""
    spans: list[tuple[datetime, datetime]] = []
    for hour in hours:
        if spans and spans[-1][1] == hour:
            spans[-1] = (spans[-1][0], hour + _HOUR)
        else:
            spans.append((hour, hour + _HOUR))
    return spans


def _add_rolled(
    client: Client,
    checks: Sequence[Check],
    found: dict[int, Hours],
    start: datetime,
    rolled: set[datetime],
) -> None:
    by_id = {check.pk: check for check in checks}
    counts: dict[tuple[int, int], list[int]] = {}
    rows = RollupHour.objects.for_client(client).filter(check_id__in=by_id, hour__in=rolled)
    for check_id, hour, up, degraded, down, p95 in rows.values_list(
        "check_id", "hour", "up", "degraded", "down", "p95"
    ):
        place = (hour - start) // _HOUR
        counts.setdefault((check_id, place), []).append(up + degraded + down)
        line = found[check_id].p95_ms
        known = [value for value in (line[place], p95) if value is not None]
        line[place] = max(known, default=None)  # the slowest region
    for (check_id, _), regions in counts.items():
        check = by_id[check_id]
        seen = sum(regions) if check.rotate else max(regions)
        # Rechecks are results too, but no slots of the schedule.
        found[check_id].measured += min(seen, max(1, 3_600 // check.interval_s))


def _add_single(
    client: Client,
    checks: Sequence[Check],
    found: dict[int, Hours],
    start: datetime,
    first: datetime,
    end: datetime,
) -> None:
    for check_id, recent in results.recent(client, checks, start=first, end=end).items():
        found[check_id].measured += recent.whole.measured
        for hour, span in recent.by_hour.items():
            place = (hour - start) // _HOUR
            if 0 <= place <= HOURS and span.p95_us is not None:
                found[check_id].p95_ms[place] = span.p95_us / 1_000

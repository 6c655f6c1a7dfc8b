"""Reads of one client's checks, results and incidents; the client comes first everywhere (hop 10).

Results lie under (at, check, region): a check's rows are found by asking for each point of its grid, never by a range
of time, which would read the rows of every check; heartbeats' have an index of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import QuerySet

from checks.models import Check, Evidence, Incident, Region, Result
from checks.schedules import KEPT, schedules_of, seconds_of
from clients.models import Client

FIRST_REACH = timedelta(hours=1)

# `offset 0` keeps the planner at one key look-up a slot, whatever it believes about the sizes.
_AT_SLOTS = """
select r.at, r.region from unnest(%s::bigint[]) as s(slot)
cross join lateral (
    select at, region, outcome from result
    where at = to_timestamp(s.slot) and check_id = %s and client_id = %s offset 0) r
where (%s::smallint[] is null or r.outcome = any(%s::smallint[]))
  and (r.at, r.region) < (to_timestamp(%s), %s)
order by r.at desc, r.region desc limit %s
"""
Place = tuple[int, int]
"""A result's place in a check's history: slot and region."""
BEFORE_ALL: Place = (2**40, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenResult:
    """A result with the region's code, and the sentence of one that was not simply up."""

    row: Result
    region: str
    message: str


def live_checks(client: Client) -> QuerySet[Check]:
    return Check.objects.for_client(client).filter(deleted_at=None)


def incidents_of(client: Client) -> QuerySet[Incident]:
    """All incidents, those of deleted checks included."""
    return Incident.objects.for_client(client).select_related("subject")


def region_codes() -> dict[int, str]:
    return dict(Region.objects.values_list("pk", "code"))


def results_page(
    client: Client,
    check: Check,
    *,
    now: datetime,
    limit: int,
    before: Place = BEFORE_ALL,
    outcomes: list[int] | None = None,
) -> list[SeenResult]:
    """The check's newest results before a place, rechecks included, newest first."""
    oldest = int(max(now - KEPT, check.created_at - timedelta(minutes=1)).timestamp())
    end = min(before[0], int(now.timestamp()) + 60) + 1
    reach = int(max(FIRST_REACH, timedelta(seconds=check.interval_s * limit)).total_seconds())
    places: list[tuple[datetime, int]] = []
    schedules = schedules_of(client, [check], since=now - KEPT)[check.pk]
    while len(places) < limit and end > oldest:
        start = max(oldest, end - reach)
        slots = seconds_of(client, schedules, start=start, end=end, rechecks=True)
        with connection.cursor() as cursor:
            values = [slots, check.pk, client.pk, outcomes, outcomes, *before]
            cursor.execute(_AT_SLOTS, [*values, limit - len(places)])
            places += cursor.fetchall()
        end, reach = start, reach * 4
    return list(_seen(client, check, places))


def _seen(client: Client, check: Check, places: list[tuple[datetime, int]]) -> Iterator[SeenResult]:
    times = {at for at, _ in places}
    rows = {
        (row.at, row.region): row
        for row in Result.objects.for_client(client).filter(check_id=check.pk, at__in=times)
    }
    said = {
        (row.at, row.region): row.message
        for row in Evidence.objects.for_client(client).filter(check_id=check.pk, at__in=times)
    }
    codes = region_codes()
    for place in places:
        if (row := rows.get(place)) is not None:  # its partition may be dropped in between
            yield SeenResult(
                row=row, region=codes.get(place[1], str(place[1])), message=said.get(place, "")
            )

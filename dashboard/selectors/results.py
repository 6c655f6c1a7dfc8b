"""Single results of one check, read slot by slot through the primary key (at, check_id, region) (hop 10)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from checks.models import Check, Evidence, Region, Result
from checks.models.result import OUTCOME_OF, REASON_OF
from checks.schedules import EACH_SLOT, KEPT, Schedule, slot_values
from clients.models import Client
from fanout_lambdas.shared.contracts import Outcome, Reason

_COLUMNS = (
    *("at", "region", "outcome", "reason", "http_status", "total_us"),
    *("dns_us", "connect_us", "tls_us", "send_us", "wait_us", "receive_us", "bytes", "extra"),
)
_ROWS = f"select {', '.join(f'r.{name}' for name in _COLUMNS)} {EACH_SLOT} order by r.at desc"


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


def results(
    client: Client,
    schedules: Iterable[Schedule],
    *,
    start: datetime,
    end: datetime,
    rechecks: bool = True,
) -> list[Seen]:
    """A check's results, newest first; those between the regular slots cost six times the look-ups."""
    span = (int(start.timestamp()), int(end.timestamp()) + 1)
    with connection.cursor() as cursor:
        cursor.execute(_ROWS, slot_values(client, schedules, [span], rechecks=rechecks))
        rows = [_seen(row) for row in cursor.fetchall()]
    # Around a change of interval two schedules may name the same slot.
    return list({(row.at, row.region): row for row in rows}.values())


def _seen(row: tuple[Any, ...]) -> Seen:
    values = dict(zip(_COLUMNS, row, strict=True))
    values["outcome"] = OUTCOME_OF[values["outcome"]]
    values["reason"] = REASON_OF[values["reason"]]
    return Seen(**values)


def newest_results(
    client: Client,
    check: Check,
    schedules: Sequence[Schedule],
    *,
    before: datetime,
    count: int,
    failures: bool = False,
) -> list[Seen]:
    """A page of results before a moment, looking back as far as results are kept."""
    reach = timedelta(seconds=max(check.interval_s * (count + 1), 3_600))
    oldest = max(before - KEPT, check.created_at - timedelta(minutes=1))
    found: list[Seen] = []
    end = before
    while len(found) <= count and end > oldest:
        start = max(oldest, end - reach)
        rows = results(client, schedules, start=start, end=end - timedelta(seconds=1))
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

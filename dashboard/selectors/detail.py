"""One check in depth: its chart, figures, deliveries and changes (hop 10)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from alerts.models import Delivery
from checks.availability import Record
from checks.models import Check, Incident
from checks.schedules import Schedule
from clients.models import AuditEvent, Client
from dashboard.charts import Bucket, Chart, Phases, percentile, phases_chart
from dashboard.selectors import checks as listing
from dashboard.selectors import results
from fanout_lambdas.shared.contracts import Outcome

RANGES = {
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(hours=24),
    "48h": timedelta(hours=48),
}
RANGE_WORDS = {"1h": "1 hour", "6h": "6 hours", "24h": "24 hours", "48h": "48 hours"}
_MOST_BUCKETS = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Availability over one window."""

    word: str
    value: listing.Availability


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """What single results say of a stretch of time."""

    buckets: list[Bucket]
    start: datetime
    end: datetime
    p95_ms: float | None
    """Of the total of its good results; None when nothing answered as it should."""


def measurements_of(
    client: Client,
    check: Check,
    schedules: Iterable[Schedule],
    *,
    span: timedelta,
    now: datetime,
) -> Range:
    """The range in at most 240 buckets, from single results."""
    step = bucket_step(check, span)
    end = _floor(now, step) + step
    start = end - span
    # Over a long range rechecks would cost most of the reading and show nothing.
    seen = results.results(client, schedules, start=start, end=now, rechecks=span <= RANGES["6h"])
    return Range(
        buckets=buckets_of(seen, start=start, end=end, step=step),
        start=start,
        end=end,
        p95_ms=_p95_ms([one for one in seen if one.good]),
    )


def _p95_ms(good: Sequence[results.Seen]) -> float | None:
    return percentile([one.total_us / 1_000 for one in good], 0.95) if good else None


def chart_of(
    check: Check, measured: Range, changes: Sequence[AuditEvent], *, zone: tzinfo
) -> Chart:
    """Response time by phase, with a flag where the check was edited."""
    edits = [one.at for one in changes if one.action == "check.updated"]
    return phases_chart(
        measured.buckets,
        start=measured.start,
        end=measured.end,
        limit_ms=check.max_latency_ms,
        edits=edits,
        zone=zone,
    )


def bucket_step(check: Check, span: timedelta) -> timedelta:
    """A bucket holds at least one regular result, so that a slow rhythm does not look like gaps."""
    least = max(span.total_seconds() / _MOST_BUCKETS, check.interval_s, 60)
    return timedelta(seconds=-(-int(least) // 60) * 60)


def _floor(at: datetime, step: timedelta) -> datetime:
    seconds = int(step.total_seconds())
    return datetime.fromtimestamp(int(at.timestamp()) // seconds * seconds, UTC)


def buckets_of(
    seen: Sequence[results.Seen], *, start: datetime, end: datetime, step: timedelta
) -> list[Bucket]:
    """Means of the good results of each bucket; failures are counted, not averaged in."""
    groups: dict[int, list[results.Seen]] = {}
    for one in seen:
        groups.setdefault((one.at - start) // step, []).append(one)
    buckets = []
    for index in range(-(-(end - start) // step)):
        group = groups.get(index, [])
        good = [one for one in group if one.good]
        buckets.append(
            Bucket(
                start=start + step * index,
                end=start + step * (index + 1),
                mean=_mean(good) if good else None,
                p95_ms=_p95_ms(good),
                max_ms=max((one.total_us / 1_000 for one in good), default=None),
                results=sum(1 for one in group if one.good or one.outcome is Outcome.DOWN),
                failures=sum(1 for one in group if one.outcome is Outcome.DOWN),
            )
        )
    return buckets


def _mean(group: Sequence[results.Seen]) -> Phases:
    each = [phases_of(one) for one in group]
    dns, connect, tls, wait, receive = (
        sum(column) / len(each) for column in zip(*(one.values for one in each), strict=True)
    )
    return Phases(dns=dns, connect=connect, tls=tls, wait=wait, receive=receive)


def phases_of(one: results.Seen) -> Phases:
    """One result's phases in milliseconds; none where nothing was asked, such as of a forbidden address. What none
    explains counts as waiting, or where nobody waited, as part of the last that took place: a probe of a certificate
    ends with its handshake."""
    known = [one.dns_us, one.connect_us, one.tls_us, one.send_us, one.wait_us, one.receive_us]
    dns, connect, tls, send, wait, receive = ((value or 0) / 1_000 for value in known)
    rest = max(0.0, one.total_us / 1_000 - (dns + connect + tls + send + wait + receive))
    if one.wait_us is not None or one.send_us is not None:
        wait += rest
    elif one.tls_us is not None:
        tls += rest
    elif one.connect_us is not None:
        connect += rest
    elif one.dns_us is not None:
        dns += rest
    return Phases(dns=dns, connect=connect, tls=tls, wait=send + wait, receive=receive)


def figures_of(record: Record, *, now: datetime) -> list[Figure]:
    return [
        Figure(word=word, value=listing.availability(record, start=now - span))
        for word, span in (("Last hour", RANGES["1h"]), ("24 hours", RANGES["24h"]))
    ]


def incidents_of(client: Client, check: Check, *, count: int = 5) -> list[Incident]:
    rows = Incident.objects.for_client(client).filter(subject=check)
    return list(rows.order_by("-started_at")[:count])


def deliveries_of(client: Client, check: Check, *, count: int = 5) -> list[Delivery]:
    rows = Delivery.objects.for_client(client).filter(subject=check)
    return list(rows.select_related("channel").order_by("-pk")[:count])


def changes_of(client: Client, check: Check, *, count: int = 30) -> list[AuditEvent]:
    rows = AuditEvent.objects.for_client(client).filter(subject_kind="check", subject_id=check.pk)
    return list(rows.order_by("-pk")[:count])

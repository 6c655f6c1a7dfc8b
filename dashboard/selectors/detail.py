"""One check in depth: its chart, figures, deliveries and changes (hop 10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from alerts.models import Delivery
from checks.models import Check, Incident
from clients.models import AuditEvent, Client
from dashboard.charts import Bucket, Chart, Phases, phases_chart
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
    p95_ms: float | None


def chart_of(
    client: Client, check: Check, *, span: timedelta, now: datetime, zone: tzinfo
) -> Chart:
    """Response time by phase from single results, in at most 240 buckets."""
    step = bucket_step(check, span)
    end = _floor(now, step) + step
    start = end - span
    # Over a long range rechecks would cost most of the reading and show nothing.
    seen = results.results(client, check, start=start, end=now, rechecks=span <= RANGES["6h"])
    edits = AuditEvent.objects.for_client(client).filter(
        subject_kind="check", subject_id=check.pk, action="check.updated", at__gte=start
    )
    return phases_chart(
        buckets_of(seen, start=start, end=end, step=step),
        start=start,
        end=end,
        limit_ms=check.max_latency_ms,
        edits=list(edits.values_list("at", flat=True)[:20]),
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
        totals = sorted(one.total_us / 1_000 for one in good)
        buckets.append(
            Bucket(
                start=start + step * index,
                end=start + step * (index + 1),
                mean=_mean(good) if good else None,
                p95_ms=totals[max(0, -(-len(totals) * 95 // 100) - 1)] if totals else None,
                max_ms=totals[-1] if totals else None,
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
    """One result's phases in milliseconds; what no phase explains counts as waiting."""
    known = [one.dns_us, one.connect_us, one.tls_us, one.send_us, one.wait_us, one.receive_us]
    dns, connect, tls, send, wait, receive = ((value or 0) / 1_000 for value in known)
    rest = max(0.0, one.total_us / 1_000 - (dns + connect + tls + send + wait + receive))
    return Phases(dns=dns, connect=connect, tls=tls, wait=send + wait + rest, receive=receive)


def figures_of(client: Client, check: Check, *, now: datetime) -> list[Figure]:
    """Uptime over the windows that single results reach back to."""
    figures = []
    for word, span in (("Last hour", RANGES["1h"]), ("24 hours", RANGES["24h"])):
        start = now - span
        seen = results.recent(client, [check], start=start, end=now).get(check.pk)
        whole = seen.whole if seen else results.Span()
        outages = listing.outage_seconds(client, [check], start=start, end=now)
        figures.append(
            Figure(
                word=word,
                value=listing.availability(
                    check,
                    measured_slots=whole.measured,
                    outages=outages.get(check.pk, (0.0, 0)),
                    start=start,
                    end=now,
                ),
                p95_ms=None if whole.p95_us is None else whole.p95_us / 1_000,
            )
        )
    return figures


def incidents_of(client: Client, check: Check, *, count: int = 5) -> list[Incident]:
    rows = Incident.objects.for_client(client).filter(subject=check)
    return list(rows.order_by("-started_at")[:count])


def open_incident(client: Client, check: Check) -> Incident | None:
    return Incident.objects.for_client(client).filter(subject=check, resolved_at=None).first()


def deliveries_of(client: Client, check: Check, *, count: int = 5) -> list[Delivery]:
    rows = Delivery.objects.for_client(client).filter(subject=check)
    return list(rows.select_related("channel").order_by("-pk")[:count])


def changes_of(client: Client, check: Check, *, count: int = 10) -> list[AuditEvent]:
    rows = AuditEvent.objects.for_client(client).filter(subject_kind="check", subject_id=check.pk)
    return list(rows.order_by("-pk")[:count])

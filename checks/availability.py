"""What is known of checks over a period: measured time, outages, speed by the hour; and from these uptime (rule 13).

Three queries for any number of checks: hours from `rollup_hour`, the rest from single results, and incidents; and one
more for heartbeats. Pages and API take their figures from here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.db import connection
from django.db.models import Q

from checks.history.uptime import Span, Uptime, union, uptime
from checks.models import Check, HeartbeatSpan, Incident, Kind
from checks.models.result import OUTCOME_OF, OUTCOMES
from checks.schedules import EACH_SLOT, EVER, KEPT, Schedule, schedules_of, slot_values
from clients.models import Client
from fanout_lambdas.shared.contracts import Outcome

HOUR = timedelta(hours=1)
REAL = [OUTCOMES[outcome] for outcome in (Outcome.UP, Outcome.DEGRADED, Outcome.DOWN)]

# Hours that are rolled up, and those with results that are not: a late result has its hour rolled again.
_HOURS = """
select hour, check_id, up + degraded + down, p95 from rollup_hour
where client_id = %(client)s and check_id = any(%(ids)s::int[]) and hour >= %(start)s
union all
select hour, null, null, null
from generate_series(%(open)s::timestamptz, %(now)s::timestamptz, interval '1 hour') as series(hour)
where not exists (
    select from checks_rolledhour r where r.hour = series.hour and r.rolled_at is not null)
and exists (
    select from result where at >= series.hour and at < series.hour + interval '1 hour')
"""
_SINGLE = f"""
select r.check_id, extract(epoch from r.at)::bigint, r.outcome, r.total_us, c.every {EACH_SLOT}
where r.outcome = any(%(real)s::smallint[])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One check's period up to `now`."""

    schedules: list[Schedule]
    born: int
    """The check's first slot: before it nothing could be measured."""
    paused: int | None
    now: int
    steady: bool = False
    """A heartbeat: measured up to this second, for its silence says something too."""
    measured: list[Span] = field(default_factory=list)
    """The time that good and bad results stand for."""
    outages: list[Span] = field(default_factory=list)
    recent: list[tuple[Span, Outcome]] = field(default_factory=list)
    """The results that were read singly, each with the time that it stands for."""
    p95_ms: dict[datetime, float] = field(default_factory=dict)
    """Of the good results of each full hour; where regions are rolled up, of the slowest."""

    def uptime(self, start: datetime) -> Uptime:
        """From `start`, or from the check's first slot."""
        begin = max(_second(start), self.born)
        end = max(begin, self._end())
        return uptime(
            (begin, end),
            measured=self.measured,
            incidents=self.outages,
            excluded=[] if self.paused is None else [(self.paused, end)],
        )

    def outage(self, start: datetime) -> tuple[int, int]:
        """Seconds of incidents since `start` up to this second, and how many there were."""
        first = _second(start)
        spans = [(max(first, begin), min(end, self.now)) for begin, end in self.outages]
        spans = [(begin, end) for begin, end in spans if end > begin]
        return sum(end - begin for begin, end in union(spans)), len(spans)

    def _end(self) -> int:
        """The slot under way counts when its result is there; figures so change once a slot."""
        if self.steady:
            return self.now
        current = self.schedules[-1]
        slot = self.now - (self.now - current.phase_s) % current.interval_s
        newest = max((end for _, end in self.measured), default=0)
        return min(newest, slot + current.interval_s) if newest > self.now else slot


def uptime_of(
    client: Client, checks: Sequence[Check], *, start: datetime, now: datetime
) -> dict[int, Uptime]:
    """The uptime of each check from `start`, or from when it was made, to `now`."""
    records = records_of(client, checks, start=start, now=now)
    return {check_id: record.uptime(start) for check_id, record in records.items()}


def records_of(
    client: Client,
    checks: Sequence[Check],
    *,
    start: datetime,
    now: datetime,
    recent: timedelta = timedelta(0),
) -> dict[int, Record]:
    """For each check its record since `start`; at least `recent` of it is read singly."""
    beats = [check for check in checks if check.kind == Kind.HEARTBEAT]
    probed = [check for check in checks if check.kind != Kind.HEARTBEAT]
    records = _of_probed(client, probed, start=start, now=now, recent=recent) if probed else {}
    if beats:
        records |= _of_heartbeats(client, beats, start=start, now=now)
    _add_outages(client, records, start=start, now=now)
    for check in beats:
        records[check.pk].recent.extend(_recent(records[check.pk], recent))
    return records


def _of_probed(
    client: Client, checks: Sequence[Check], *, start: datetime, now: datetime, recent: timedelta
) -> dict[int, Record]:
    # A rare check's result before the period stands for time inside it.
    reach = start - timedelta(seconds=max(check.interval_s for check in checks))
    schedules = schedules_of(client, checks, since=reach)
    records = {
        check.pk: Record(
            schedules=schedules[check.pk],
            born=schedules[check.pk][0].slots(_second(check.created_at), EVER).start,
            paused=_second(check.paused_at) if check.paused_at else None,
            now=_second(now),
        )
        for check in checks
    }
    open_hours = _add_hours(client, checks, records, start=reach, now=now)
    end = _second(now) + 1
    single = [(_second(hour), min(_second(hour + HOUR), end)) for hour in open_hours]
    _add_single(client, records, union([*single, (_second(now - recent), end)]))
    return records


def _of_heartbeats(
    client: Client, checks: Sequence[Check], *, start: datetime, now: datetime
) -> dict[int, Record]:
    """Rule 15: measured from the first call on, less pauses and the deadlines that we could not have heard."""
    schedules = schedules_of(client, checks, since=start)
    watched: dict[int, list[Span]] = {check.pk: [] for check in checks}
    spans = HeartbeatSpan.objects.for_client(client).filter(subject__in=checks, since__lt=now)
    for check_id, since, until in spans.values_list("subject_id", "since", "until"):
        watched[check_id].append((_second(since), _second(until or now)))
    return {
        check.pk: Record(
            schedules=schedules[check.pk],
            born=min((since for since, _ in watched[check.pk]), default=_second(now)),
            paused=_second(check.paused_at) if check.paused_at else None,
            now=_second(now),
            steady=True,
            measured=watched[check.pk],
        )
        for check in checks
    }


def _recent(record: Record, recent: timedelta) -> Iterator[tuple[Span, Outcome]]:
    """What a heartbeat was, up to the end of the minute under way; an outage within it is the worse word."""
    begin, end = record.now - int(recent.total_seconds()), record.now - record.now % 60 + 60
    for spans, outcome in ((record.measured, Outcome.UP), (record.outages, Outcome.DOWN)):
        for first, last in spans:
            shown = max(first, begin), end if last >= record.now else last
            if shown[0] < shown[1]:
                yield shown, outcome


def _add_hours(
    client: Client,
    checks: Sequence[Check],
    records: dict[int, Record],
    *,
    start: datetime,
    now: datetime,
) -> list[datetime]:
    """Adds what is rolled up; gives the hours that must be read singly."""
    first = start.replace(minute=0, second=0, microsecond=0)
    kept = (now - KEPT).replace(minute=0, second=0, microsecond=0)
    open_hours: list[datetime] = []
    counts: dict[tuple[int, datetime], list[int]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            _HOURS,
            {
                "client": client.pk,
                "ids": list(records),
                "start": first,
                "open": max(first, kept),
                "now": now,
            },
        )
        for at, check_id, real, p95 in cursor.fetchall():
            hour = at.astimezone(UTC)
            if check_id is None:
                open_hours.append(hour)
                continue
            counts.setdefault((check_id, hour), []).append(real)
            if p95 is not None:
                speeds = records[check_id].p95_ms
                speeds[hour] = max(speeds.get(hour, 0.0), p95)
    rotating = {check.pk for check in checks if check.rotate}
    for (check_id, hour), regions in counts.items():
        record = records[check_id]
        seen = sum(regions) if check_id in rotating else max(regions)
        if seen:
            record.measured.append(_span_of(record.schedules, _second(hour), seen))
    return open_hours


def _span_of(schedules: Sequence[Schedule], hour: int, seen: int) -> Span:
    """As much time as an hour's results stand for, from its first slot on."""
    schedule = next(one for one in schedules if one.until > hour)
    slots = schedule.slots(hour, hour + 3_600)
    first = slots.start if slots else hour
    # Rechecks are results too, but no slots of the schedule.
    return first, first + min(seen, max(1, len(slots))) * schedule.interval_s


def _add_single(client: Client, records: dict[int, Record], spans: Sequence[Span]) -> None:
    schedules = [one for record in records.values() for one in record.schedules]
    totals: dict[tuple[int, datetime], list[int]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            _SINGLE, {**slot_values(client, schedules, spans, reaching_in=True), "real": REAL}
        )
        for check_id, slot, code, total_us, every in cursor.fetchall():
            record, outcome = records[check_id], OUTCOME_OF[code]
            span = (slot, slot + every)
            record.measured.append(span)
            record.recent.append((span, outcome))
            if outcome is not Outcome.DOWN:
                hour = datetime.fromtimestamp(slot - slot % 3_600, UTC)
                totals.setdefault((check_id, hour), []).append(total_us)
    for (check_id, hour), values in totals.items():
        rank = -(-len(values) * 95 // 100) - 1
        # What is rolled up is whole; of such an hour perhaps only a part was read.
        records[check_id].p95_ms.setdefault(hour, sorted(values)[rank] / 1_000)


def _add_outages(
    client: Client, records: dict[int, Record], *, start: datetime, now: datetime
) -> None:
    rows = (
        Incident.objects.for_client(client)
        .filter(subject_id__in=list(records), started_at__lt=now)
        .filter(Q(ended_at=None) | Q(ended_at__gt=start))
        .values_list("subject_id", "started_at", "ended_at")
    )
    for check_id, started, ended in rows:
        records[check_id].outages.append((_second(started), _second(ended) if ended else EVER))


def _second(at: datetime) -> int:
    return int(at.timestamp())

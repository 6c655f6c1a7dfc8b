"""Hop 11: a run whose time is over accounts for every slot: planned = answered + late + missed + excluded."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from django.db import connection, transaction

from checks.models import BatchReport, MinuteRun
from checks.models.result import OUTCOMES
from checks.pipeline.alarm import NO_TICK, alarm_of
from checks.pipeline.resending import lost_batches
from checks.pipeline.runs import as_time
from checks.pipeline.slots import marker, take_slots
from checks.pipeline.snapshot import load_snapshot
from fanout_lambdas.objectstore import NoSuchObject, ObjectStore, dispatch_key, trigger_prefix
from fanout_lambdas.planning import ANSWER_WITHIN_S, due_slots
from fanout_lambdas.shared.contracts import ContractError, Outcome
from fanout_lambdas.shared.contracts.dispatch import DispatchReport, TriggerReport
from fanout_lambdas.shared.contracts.snapshot import Snapshot
from fanout_lambdas.shared.slots import MINUTE_S, minute_of

logger = logging.getLogger(__name__)
T = TypeVar("T")

CLOSE_AFTER_S = MINUTE_S + ANSWER_WITHIN_S + 5
"""From a minute's start to the time at which none of its slots can be answered in time any more."""
GAP_LIMIT = timedelta(hours=6)
"""Minutes without a tick are booked this far back; what lies before was nobody's plan."""
CLOSE_FOR_S = 15.0
"""In one call; after a long outage of ours the next calls go on."""
STOPPED_WITHIN_S = 60
"""A check that was stopped this soon after a slot may have been stopped while it was probed."""


@dataclass(slots=True, kw_only=True)
class ClosedRun:
    """What the operator hears of a run that was closed."""

    minute: int
    region: str
    planned: int
    missed: int
    alarm: str


@dataclass(frozen=True, slots=True)
class Invocations:
    """What the functions themselves say of a minute's invocations."""

    dispatched: DispatchReport
    triggered: Sequence[TriggerReport]

    def enter(self, run: MinuteRun) -> None:
        """Fill in the run's counters."""
        reports: list[DispatchReport | TriggerReport] = [self.dispatched, *self.triggered]
        failed = {number for report in reports for number in report.failed}
        run.dispatch_report = self.dispatched.to_json()
        run.throttled = sum(report.throttled for report in reports)
        run.retried = sum(report.retried for report in reports)
        run.failed = len(failed)
        run.dispatched = run.planned
        if run.batches:
            run.dispatched = sum(row[3] for row in run.batches if row[0] not in failed)


@dataclass(slots=True)
class Snapshots:
    """The snapshots that one call needs, each read once."""

    store: ObjectStore
    _held: dict[int, Snapshot | None] = field(default_factory=dict)

    def of(self, minute: int) -> Snapshot | None:
        if minute not in self._held:
            self._held[minute] = load_snapshot(minute, store=self.store)
        return self._held[minute]


def open_gap_runs(*, now: datetime) -> int:
    """Make the runs of past minutes in which no tick ran, so that their slots are booked as missed."""
    current = as_time(minute_of(int(now.timestamp())))
    with connection.cursor() as cursor:
        cursor.execute(
            """
            insert into checks_minuterun (minute, region_id, snapshot_key, planned, batches, rechecks, dispatched,
              answered, late, void, missed, excluded, duplicates, redispatched, resent, dispatch_report, alarm,
              dead_letters)
            select gap.minute, region.id, '', 0, '[]', 0, 0, 0, 0, 0, 0, 0, 0, 0, '{}', '{}', %(alarm)s,
              (select count(*) from checks_deadletter letter
               where letter.minute = gap.minute and letter.region_id = region.id)
            from checks_region region
            cross join lateral (
              select min(run.minute) as minute from checks_minuterun run
              where run.region_id = region.id and run.minute >= %(since)s
            ) earliest
            cross join lateral (
              select exists (select from checks_minuterun run
                             where run.region_id = region.id and run.minute < %(since)s) as yes
            ) older
            cross join lateral generate_series(
              case when older.yes then %(since)s::timestamptz else earliest.minute end,
              %(current)s::timestamptz - interval '1 minute', interval '1 minute') as gap(minute)
            where region.active and not exists (
              select from checks_minuterun run
              where run.region_id = region.id and run.minute = gap.minute)
            on conflict do nothing
            """,
            {"alarm": NO_TICK, "since": current - GAP_LIMIT, "current": current},
        )
        return int(cursor.rowcount)


def close_runs(*, now: datetime, store: ObjectStore) -> list[ClosedRun]:
    """Close each run whose slots can no longer be answered in time and of which nothing is to be sent again; the
    newest first, so that what happens now does not wait for what happened in an outage."""
    snapshots = Snapshots(store)
    until = time.monotonic() + CLOSE_FOR_S
    over = as_time(int(now.timestamp()) - CLOSE_AFTER_S)
    runs = MinuteRun.objects.filter(closed_at=None, minute__lte=over).select_related("region")
    closed: list[ClosedRun] = []
    for run in runs.order_by("-minute", "region_id"):
        if time.monotonic() > until:
            break
        if not lost_batches(run, now) and (one := _close(run, snapshots, now)) is not None:
            closed.append(one)
    return closed


def _close(run: MinuteRun, snapshots: Snapshots, now: datetime) -> ClosedRun | None:
    due: list[tuple[int, int]] | None = None
    if not _all_answered(run):
        due = _due(run, snapshots)
        # Markers first and committed, the run's row after them: ingest takes its locks in this order too.
        with transaction.atomic():
            _mark_missed(run, due, now)
    invocations = _read_invocations(run, snapshots.store)
    with transaction.atomic():
        held = MinuteRun.objects.select_for_update().filter(pk=run.pk, closed_at=None).first()
        if held is None:
            return None
        if due is not None:
            _recount(held, run.region_id, due)
        held.closed_at = now
        if invocations is not None:
            invocations.enter(held)
        held.alarm = alarm_of(held)
        held.save()
    return ClosedRun(
        minute=int(run.minute.timestamp()),
        region=run.region.code,
        planned=held.planned,
        missed=held.missed,
        alarm=held.alarm,
    )


def _all_answered(run: MinuteRun) -> bool:
    """The usual case, told without reading the snapshot: every batch reported and the counters add up."""
    if not run.snapshot_key or run.answered + run.late != run.planned or run.missed:
        return False
    reported = set(
        BatchReport.objects.filter(minute=run.minute, region_id=run.region_id).values_list(
            "batch", flat=True
        )
    )
    return all(row[0] in reported for row in run.batches)


def _due(run: MinuteRun, snapshots: Snapshots) -> list[tuple[int, int]]:
    minute = int(run.minute.timestamp())
    snapshot = snapshots.of(minute)
    if snapshot is None:
        return []
    return [(slot, check_id) for slot, check_id, _ in due_slots(snapshot, minute, run.region.code)]


def _mark_missed(run: MinuteRun, due: Sequence[tuple[int, int]], now: datetime) -> None:
    """A marker in each due slot that nobody took, except where the check had been stopped."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select due.slot, due.check_id, one.client_id
            from unnest(%s::bigint[], %s::int[]) as due(slot, check_id)
            join checks_check one on one.id = due.check_id
            join clients_client client on client.id = one.client_id
            where not exists (
              select from result where result.at = to_timestamp(due.slot)
                and result.check_id = due.check_id and result.region = %s)
              and not coalesce(
                least(one.paused_at, one.deleted_at, client.suspended_at)
                  <= to_timestamp(due.slot + %s), false)
            """,
            [*_columns(due), run.region_id, STOPPED_WITHIN_S],
        )
        missing = cursor.fetchall()
    take_slots(
        [
            marker(
                slot=slot,
                check_id=check_id,
                client_id=client_id,
                outcome=Outcome.MISSED,
                now=now,
            )
            for slot, check_id, client_id in missing
        ],
        region_id=run.region_id,
    )
    _roll_again(run.minute, bool(missing))


def _roll_again(minute: datetime, marked: bool) -> None:
    if marked:
        hour = minute.replace(minute=0, second=0, microsecond=0)
        with connection.cursor() as cursor:
            cursor.execute("delete from checks_rolledhour where hour = %s", [hour])


def _recount(run: MinuteRun, region_id: int, due: Sequence[tuple[int, int]]) -> None:
    """The counters from the rows themselves, under the run's lock. What has no row is excluded."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select count(*) filter (where result.outcome <= %(real)s and result.stored_ms <= %(in_time)s),
              count(*) filter (where result.outcome <= %(real)s and result.stored_ms > %(in_time)s),
              count(*) filter (where result.outcome > %(real)s),
              count(*) filter (where result.outcome = %(void)s)
            from unnest(%(slots)s::bigint[], %(checks)s::int[]) as due(slot, check_id)
            join result on result.at = to_timestamp(due.slot)
              and result.check_id = due.check_id and result.region = %(region)s
            """,
            {
                "real": OUTCOMES[Outcome.DOWN],
                "void": OUTCOMES[Outcome.VOID],
                "in_time": ANSWER_WITHIN_S * 1000,
                "slots": _columns(due)[0],
                "checks": _columns(due)[1],
                "region": region_id,
            },
        )
        run.answered, run.late, run.missed, run.void = cursor.fetchone()
    run.planned = len(due)
    run.excluded = run.planned - run.answered - run.late - run.missed


def _columns(due: Sequence[tuple[int, int]]) -> tuple[list[int], list[int]]:
    return [slot for slot, _ in due], [check_id for _, check_id in due]


def _read_invocations(run: MinuteRun, store: ObjectStore) -> Invocations | None:
    """The dispatcher's report and those of triggerers that had trouble; None when the dispatcher left none."""
    minute, region = int(run.minute.timestamp()), run.region.code
    dispatched = _read(dispatch_key(minute, region), DispatchReport.from_bytes, store)
    if dispatched is None:
        return None
    keys = store.list(trigger_prefix(minute, region)) if dispatched.triggerers else []
    reports = [_read(key, TriggerReport.from_bytes, store) for key in keys]
    return Invocations(dispatched, [report for report in reports if report is not None])


def _read(key: str, form: Callable[[bytes], T], store: ObjectStore) -> T | None:
    try:
        return form(store.get(key))
    except NoSuchObject:
        return None
    except ContractError as error:
        logger.error("%s cannot be read: %s", key, error)
        return None

"""Hop 11: what did not come back. Our own blindness is our alarm, never a client's incident."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import connection, transaction

from checks.exclusion import GAP_CADENCES, SILENCE_S
from checks.pipeline.beliefs import load_beliefs, write_beliefs
from checks.pipeline.closing import ClosedRun, close_runs, open_gap_runs
from checks.pipeline.evaluate import evaluate
from checks.pipeline.fresh import FreshResult
from checks.pipeline.rechecks import TOO_LATE_S
from checks.pipeline.resending import resend_lost_batches
from checks.pipeline.slots import marker, take_slots
from checks.state import State, state_at
from fanout_lambdas.invoke import Invoker
from fanout_lambdas.objectstore import ObjectStore
from fanout_lambdas.shared.contracts import Outcome

logger = logging.getLogger(__name__)

RECHECK_PATIENCE_S = 15
"""Beyond its own timeout, an extra slot that has not come back is over."""
MOST_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchReport:
    """What one call found."""

    gap_minutes: int
    resent: int
    closed: tuple[ClosedRun, ...]
    extras_missed: int
    silent: int

    @property
    def quiet(self) -> bool:
        """Nothing an operator needs to hear."""
        alarms = any(run.alarm for run in self.closed)
        return not (self.gap_minutes or self.resent or self.extras_missed or self.silent or alarms)


def watch(*, now: datetime, store: ObjectStore, invoker: Invoker) -> WatchReport:
    """Everything that silence asks for: every ten seconds, or once a minute, some things then later."""
    # What needs the database alone comes first: the object store may be away.
    gap_minutes = open_gap_runs(now=now)
    extras_missed = close_lost_extras(now=now)
    silent = mark_silent(now=now)
    closed = tuple(close_runs(now=now, store=store))
    # Last: a region that does not answer takes all the time it is given.
    resent = resend_lost_batches(now=now, store=store, invoker=invoker)
    return WatchReport(
        gap_minutes=gap_minutes,
        resent=resent,
        closed=closed,
        extras_missed=extras_missed,
        silent=silent,
    )


def close_lost_extras(*, now: datetime) -> int:
    """Close rechecks and first probes that went out and did not come back, so that no round hangs, and those that
    nobody sent out in time."""
    missed = 0
    while True:
        found, closed = _close_lost_extras(now)
        missed += closed
        if found < MOST_AT_ONCE:
            return missed


def _close_lost_extras(now: datetime) -> tuple[int, int]:
    """How many were found, and how many of them had no result."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            """
            select extra.id, extra.subject_id, extra.client_id, extra.region_id,
              extract(epoch from extra.slot)::bigint
            from checks_extraslot extra join checks_check subject on subject.id = extra.subject_id
            where extra.closed_at is null and extra.slot < %(now)s
              and case when extra.dispatched_at is null
                then extra.slot <= %(now)s - make_interval(secs => %(too_late)s)
                else greatest(extra.slot, extra.dispatched_at)
                  < %(now)s - make_interval(secs => subject.timeout_ms / 1000.0 + %(patience)s) end
            order by extra.subject_id, extra.slot, extra.region_id limit %(most)s
            """,
            {
                "now": now,
                "too_late": TOO_LATE_S,
                "patience": RECHECK_PATIENCE_S,
                "most": MOST_AT_ONCE,
            },
        )
        lost = cursor.fetchall()
        fresh: list[FreshResult] = []
        for region_id in sorted({row[3] for row in lost}):
            fresh += _take_markers([row for row in lost if row[3] == region_id], region_id, now)
        cursor.execute(
            "update checks_extraslot set closed_at = %s where id = any(%s) and closed_at is null",
            [now, [row[0] for row in lost]],
        )
        if fresh:
            evaluate(fresh, now=now)
    return len(lost), len(fresh)


def _take_markers(
    lost: Sequence[tuple[int, int, int, int, int]], region_id: int, now: datetime
) -> list[FreshResult]:
    owners = {(check_id, slot): client_id for _, check_id, client_id, _, slot in lost}
    taken = take_slots(
        [
            marker(
                slot=slot, check_id=check_id, client_id=client_id, outcome=Outcome.MISSED, now=now
            )._replace(extra=True)
            for (check_id, slot), client_id in owners.items()
        ],
        region_id=region_id,
    )
    return [
        FreshResult(
            check_id=check_id,
            client_id=owners[check_id, slot],
            region_id=region_id,
            slot=slot,
            outcome=Outcome.MISSED,
            extra=True,
        )
        for check_id, slot in taken.inserted
    ]


def mark_silent(*, now: datetime) -> int:
    """Checks of which nothing was heard for 3 cadences and 3 minutes become unknown (rule 11)."""
    silent = 0
    while found := _silent_checks(now):
        with transaction.atomic():
            loaded = load_beliefs(found)
            for one in loaded.values():
                state = state_at(one.belief, one.policy, now=int(now.timestamp()))
                if state is State.UNKNOWN and one.belief.state is not State.UNKNOWN:
                    one.belief = replace(one.belief, state=state, since=int(now.timestamp()))
            changed = [one for one in loaded.values() if one.belief is not one.before]
            write_beliefs(changed)
        silent += len(changed)
        if len(changed) < MOST_AT_ONCE:
            break
    if silent:
        logger.error("%s checks are silent: nothing was heard of them for 3 intervals", silent)
    return silent


def _silent_checks(now: datetime) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select one.id from checks_check one
            join clients_client client on client.id = one.client_id
            left join (select check_id, max(last_at) as at from region_state group by check_id) heard
              on heard.check_id = one.id
            where one.state in ('new', 'up', 'degraded') and one.paused_at is null
              and one.kind <> 'heartbeat'
              and one.deleted_at is null and client.suspended_at is null
              and greatest(one.state_since, heard.at)
                <= %s - make_interval(secs => greatest(%s * one.interval_s, %s))
            order by one.id limit %s
            """,
            [now, GAP_CADENCES, SILENCE_S, MOST_AT_ONCE],
        )
        return [check_id for (check_id,) in cursor.fetchall()]

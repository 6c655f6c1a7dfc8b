"""Hop 6b: extra slots - rechecks a few seconds after a first bad or good result (rule 7), first probes of new checks.

A slot is a row; the engine's nudge and the periodic job both send out what the rows say is due.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db import connection, transaction

from checks.models import ExtraSlot
from checks.pipeline.beliefs import at
from checks.pipeline.plans import check_plans
from checks.pipeline.snapshot import canary_requests, topology
from fanout_lambdas.invoke import WORKER, InvokeError, Invoker
from fanout_lambdas.planning import PlannedSlot, plan_extra
from fanout_lambdas.shared.contracts import EXTRA_BATCHES_FROM
from fanout_lambdas.shared.slots import GRID_S, MINUTE_S, minute_of

logger = logging.getLogger(__name__)

CAP_SHARE = 0.2
"""Of the planned slots of a minute (rule 7)."""
CAP_FLOOR = 60
"""A small installation still confirms what it sees; one recheck a second is nobody's burden."""
SEND_AHEAD_S = GRID_S
"""The worker waits this long at most for a slot."""
TOO_LATE_S = 2 * MINUTE_S
"""After a slot it is not probed any more. The job that sends slots may come once a minute, and not to the second."""
MOST_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One slot in each region of a check."""

    check_id: int
    client_id: int
    regions: tuple[int, ...]
    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecheckReport:
    """What one call sent out."""

    slots: int
    batches: int


def ask_for_rounds(rounds: Sequence[Round]) -> int:
    """Write the rounds' slots as far as the cap allows; how many slots that made.

    What the cap refuses is not lost: the check's next regular slot decides instead.
    """
    asked = 0
    for minute in sorted({minute_of(each.slot) for each in rounds}):
        due = [each for each in rounds if minute_of(each.slot) == minute]
        room = _room(minute)
        rows: list[ExtraSlot] = []
        for each in due:
            if len(rows) + len(each.regions) > room:
                break
            rows.extend(
                ExtraSlot(
                    client_id=each.client_id,
                    subject_id=each.check_id,
                    region_id=region,
                    slot=at(each.slot),
                    why=ExtraSlot.Why.RECHECK,
                )
                for region in each.regions
            )
        ExtraSlot.objects.bulk_create(rows, ignore_conflicts=True)
        asked += len(rows)
    return asked


def send_due(*, now: datetime, invoker: Invoker) -> RecheckReport:
    """Send out the extra slots that are due; two callers at once never take the same row.

    The invocation happens before the commit: dying in between sends a slot twice, and duplicates are free.
    """
    slots = batches = 0
    sent: list[int] = []
    with transaction.atomic():
        rows = list(
            ExtraSlot.objects.across_clients()
            .filter(
                closed_at=None,
                dispatched_at=None,
                slot__lte=now + timedelta(seconds=SEND_AHEAD_S),
                slot__gt=now - timedelta(seconds=TOO_LATE_S),
            )
            .order_by("slot", "id")
            .select_for_update(skip_locked=True, of=("self",))
            .select_related("region")[:MOST_AT_ONCE]
        )
        plans = {plan.check_id: plan for plan in check_plans([row.subject_id for row in rows])}
        canaries = canary_requests() if rows else ()
        for code in sorted({row.region.code for row in rows}):
            planned = [
                PlannedSlot(int(row.slot.timestamp()), row.subject_id, plans[row.subject_id])
                for row in rows
                if row.region.code == code and row.subject_id in plans
            ]
            cut = plan_extra(planned, region=code, canaries=canaries, topology=topology())
            try:
                for batch, number in zip(cut, _numbers(len(cut)), strict=True):
                    invoker.invoke(WORKER, replace(batch, number=number).to_json())
            except (
                InvokeError
            ) as error:  # the other regions' slots go out; these wait for the next call
                logger.error("extra slots of %s are not sent: %s", code, error)
                continue
            slots += len(planned)
            batches += len(cut)
            sent += [row.pk for row in rows if row.region.code == code]
        ExtraSlot.objects.across_clients().filter(pk__in=sent).update(dispatched_at=now, attempts=1)
    return RecheckReport(slots=slots, batches=batches)


def _numbers(count: int) -> list[int]:
    """Batch numbers that no other call has."""
    if not count:
        return []
    with connection.cursor() as cursor:
        cursor.execute("select nextval('extra_batch') from generate_series(1, %s)", [count])
        return [EXTRA_BATCHES_FROM + number for (number,) in cursor.fetchall()]


def _room(minute: int) -> int:
    """How many more rechecks this minute's cap allows, over all regions."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select (select coalesce(sum(planned), 0) from checks_minuterun where minute =
                       (select max(minute) from checks_minuterun where minute <= to_timestamp(%s))),
                   (select count(*) from checks_extraslot
                     where why = 'recheck' and slot >= to_timestamp(%s) and slot < to_timestamp(%s))
            """,
            [minute, minute, minute + MINUTE_S],
        )
        planned, taken = cursor.fetchone()
    return max(CAP_FLOOR, int(planned * CAP_SHARE)) - int(taken)

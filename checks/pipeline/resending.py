"""Hop 11: batches that did not report go out once more.

In time as long as somebody looks every ten seconds. Where the watch comes once a minute, some go out up to a minute
after that: their slots are answered late, which still says what was true about then, where "missed" says nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime

from django.db import transaction

from checks.models import BatchReport, MinuteRun
from checks.pipeline.snapshot import load_snapshot, topology
from fanout_lambdas.invoke import WORKER, InvokeError, Invoker
from fanout_lambdas.objectstore import ObjectStore
from fanout_lambdas.planning import plan_batches, renew
from fanout_lambdas.shared.contracts import Batch
from fanout_lambdas.shared.slots import MINUTE_S

logger = logging.getLogger(__name__)

LATE_S = MINUTE_S
"""After a batch's deadline: long enough for a watch that comes once a minute to have seen each lost batch."""
THREADS = 20
SEND_FOR_S = 15.0
"""In one call: a region that does not answer must not hold up the next call."""


def lost_batches(run: MinuteRun, now: datetime) -> set[int]:
    """Numbers of the run's batches that should have reported, did not, and can still be sent again."""
    second = now.timestamp()
    overdue = {row[0] for row in run.batches if row[4] < second <= row[2] + LATE_S}
    overdue -= set(run.resent)
    if not overdue:
        return set()
    reported = BatchReport.objects.filter(minute=run.minute, region_id=run.region_id)
    return overdue - set(reported.values_list("batch", flat=True))


def resend_lost_batches(*, now: datetime, store: ObjectStore, invoker: Invoker) -> int:
    """Send each batch that did not report in time once more; how many that were."""
    until = time.monotonic() + SEND_FOR_S
    resent = 0
    again: set[int] = set()
    open_runs = MinuteRun.objects.filter(closed_at=None, minute__lte=now).exclude(snapshot_key="")
    for run in open_runs.select_related("region").order_by("-minute", "region_id"):
        if time.monotonic() > until:
            break
        if not lost_batches(run, now):
            continue
        minute = int(run.minute.timestamp())
        # Before the claim: what was claimed is not looked at again, even if the store was away.
        snapshot = load_snapshot(minute, store=store)
        if snapshot is None or not (numbers := _claim(run, now)):
            continue
        batches = plan_batches(snapshot, minute, run.region.code, topology())
        lost = [batch for batch in batches if batch.number in numbers]
        renewed = [renew(batch, now=int(now.timestamp())) for batch in _once(lost, again)]
        resent += _send(renewed, invoker, until)
    return resent


def _once(batches: Sequence[Batch], again: set[int]) -> list[Batch]:
    """Of each check the newest lost slot alone, added to `again`. Probed in one moment, several would pass for failures
    in a row; of the older ones nobody can know any more, and they are missed."""
    newest: dict[int, int] = {}
    for batch in batches:
        for probe in batch.probes:
            if probe["check_id"] not in again:
                newest[probe["check_id"]] = max(newest.get(probe["check_id"], 0), probe["slot"])
    again.update(newest)
    kept = (
        tuple(probe for probe in batch.probes if newest.get(probe["check_id"]) == probe["slot"])
        for batch in batches
    )
    return [
        replace(batch, probes=probes) for batch, probes in zip(batches, kept, strict=True) if probes
    ]


def _claim(run: MinuteRun, now: datetime) -> set[int]:
    """The lost batches of a run that are ours to send; being listed in the run is the claim."""
    with transaction.atomic():
        held = (
            MinuteRun.objects.select_for_update(skip_locked=True)
            .filter(pk=run.pk, closed_at=None)
            .first()
        )
        if held is None:  # another watch is at it, or ingest: the next call comes soon
            return set()
        lost = lost_batches(held, now)
        if lost:
            held.resent = [*held.resent, *sorted(lost)]
            held.redispatched += len(lost)
            held.save(update_fields=["resent", "redispatched"])
    return lost


def _send(batches: Sequence[Batch], invoker: Invoker, until: float) -> int:
    def send(batch: Batch) -> int:
        if time.monotonic() > until:
            logger.error("lost batch %s is not sent again: no time is left", batch.number)
            return 0
        try:
            invoker.invoke(WORKER, batch.to_json())
        except InvokeError as error:
            logger.error("lost batch %s could not be sent again: %s", batch.number, error)
            return 0
        return 1

    with ThreadPoolExecutor(min(THREADS, len(batches) or 1), "resend") as pool:
        return sum(pool.map(send, batches))

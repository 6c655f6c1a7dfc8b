"""Every periodic entry point. Celery beat and Zappa's events both call these; each calls one verb and logs one line.

An event calls a job once a minute, with (event, context); Celery every few seconds, without them. The truth is in the
database and the object store: a job that is called twice, or not at all for a while, does no harm.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from django.core.signals import request_finished, request_started
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from alerts.delivery import deliver_due
from alerts.outbox import enqueue_deliveries
from checks.heartbeats.health import listen
from checks.heartbeats.overdue import judge_overdue
from checks.history.partitions import ensure_partitions
from checks.history.retention import drop_old_partitions
from checks.history.retention import prune as prune_old
from checks.history.rollups import roll_up_hours
from checks.models import MinuteRun
from checks.pipeline.dead_letters import count_dead_letters
from checks.pipeline.rechecks import send_due
from checks.pipeline.runs import as_time
from checks.pipeline.snapshot import claim_without_database, take_snapshot, topology
from checks.pipeline.spool import drain_spool as drain
from checks.pipeline.watch import watch as watch_runs
from fanout_lambdas.invoke import DISPATCHER, InvokeError
from fanout_lambdas.objectstore import StoreUnavailable
from fanout_lambdas.shared.slots import MINUTE_S, minute_of
from uptime.engine import invoker, queues, store

logger = logging.getLogger(__name__)

PREPARE_FROM_S = 30
"""The next minute is prepared from this second on: late enough that a change reaches probes within 90 s, early enough
for a slow snapshot. A caller that comes only once a minute prepares it whenever it comes."""
HEARTBEATS_EVERY_S = 10
GO_ON_S = 15.0
"""A job with more to do than one turn takes goes on for this long: its next turn may be a minute away."""
CLAIM_FOR_S = 25.0
REGIONS_AT_ONCE = 20
SENDERS_AT_ONCE = 2
"""Delivery may hang on a receiver for a while; it never takes more than these threads from the other jobs."""

_sending = threading.BoundedSemaphore(SENDERS_AT_ONCE)


def _job(run: Callable[[object], None]) -> Callable[..., None]:
    """What every entry point needs: one line in place of a stack trace while something is away, as the next call tries
    again. And to Django a job is a request: connections from before a freeze are dropped, nudges leave at its end."""

    @functools.wraps(run)
    def entry(event: object = None, context: object = None) -> None:
        request_started.send(sender=entry)
        try:
            run(event)
        except (OperationalError, InterfaceError) as error:
            logger.error("%s: the database is away: %s", run.__name__, str(error).strip()[:200])
        except StoreUnavailable as error:
            logger.error("%s: the object store is away: %s", run.__name__, str(error)[:200])
        finally:
            request_finished.send(sender=entry)

    return entry


@_job
def tick(event: object) -> None:
    """Prepare and dispatch the next minute; after a pause of ours also what is left of this one."""
    now = timezone.now()
    for minute in minutes_to_prepare(now, once_a_minute=event is not None):
        try:
            if minute % 3600 == 0 or _first_for_long(minute):
                ensure_partitions(now=now)
            report = take_snapshot(minute, now=now, store=store())
        except (OperationalError, InterfaceError) as error:
            logger.error("tick: the database is away: %s", str(error).strip()[:200])
            _dispatch_blind(minute, now)
            continue
        if report.repeated:
            continue
        logger.info("tick %s", report)
        if not report.dispatched_blind:
            runs = MinuteRun.objects.filter(minute=as_time(minute))
            _dispatch(minute, runs.values_list("region__code", flat=True))


def minutes_to_prepare(now: datetime, *, once_a_minute: bool = False) -> list[int]:
    """This minute, if nobody prepared it, and the next one when its time has come."""
    second = int(now.timestamp())
    current = minute_of(second)
    if once_a_minute or second - current >= PREPARE_FROM_S:
        return [current, current + MINUTE_S]
    return [current]


def _dispatch_blind(minute: int, now: datetime) -> None:
    """Probing goes on from the newest snapshot while the database is away: the workers spool what they see, and the
    minute's run is made afterwards."""
    snapshot = claim_without_database(minute, now=now, store=store())
    if snapshot is not None:
        _dispatch(minute, sorted({code for plan in snapshot.checks for code in plan.regions}))


def _dispatch(minute: int, regions: Iterable[str]) -> None:
    """Start a dispatcher in each region, all at once: one that does not answer takes most of a minute to say so."""
    shape = topology()
    engine = invoker()

    def start(region: str) -> None:
        payload = {
            "minute": minute,
            "region": region,
            "topology": {
                "checks_per_worker": shape.checks_per_worker,
                "workers_per_triggerer": shape.workers_per_triggerer,
                "billed": shape.billed,
            },
        }
        try:
            engine.invoke(DISPATCHER, payload)
        except InvokeError as error:
            # The watch sends the minute's batches out by itself when they do not report.
            logger.error("minute %s was not dispatched in %s: %s", minute, region, error)

    with ThreadPoolExecutor(REGIONS_AT_ONCE, "dispatch") as pool:
        list(pool.map(start, regions))


@_job
def watch(event: object) -> None:
    """Account for what did not come back."""
    report = watch_runs(now=timezone.now(), store=store(), invoker=invoker())
    if not report.quiet:
        logger.warning("watch %s", report)
    elif report.closed:
        logger.info("watch %s", report)


@_job
def recheck(event: object) -> None:
    """Send out the extra slots that are due."""
    report = send_due(now=timezone.now(), invoker=invoker())
    if report.slots:
        logger.info("recheck %s", report)


@_job
def heartbeats(event: object) -> None:
    """Hear whether jobs can reach us, then judge the heartbeats that were not heard in time."""
    now = timezone.now()
    listen(now=now, every_s=MINUTE_S if event is not None else HEARTBEATS_EVERY_S)
    report = judge_overdue(now=now)
    if report.down or report.void:
        logger.info("heartbeats %s", report)


@_job
def deliver(event: object) -> None:
    """Queue and send what somebody must hear."""
    more = True
    while more:
        queued = enqueue_deliveries(now=timezone.now())
        more = queued.more
        if not queued.idle:
            logger.info("deliver %s", queued)
    if not _sending.acquire(blocking=False):
        return  # who is sending now takes these too, or the next call does
    try:
        # A function on Lambda is ended after a minute, wherever it is.
        sent = deliver_due() if event is None else deliver_due(claim_for_s=CLAIM_FOR_S)
    finally:
        _sending.release()
    if not sent.idle:
        logger.info("deliver %s", sent)


@_job
def dead_letters(event: object) -> None:
    """Count what the engine accepted and then gave up."""
    report = count_dead_letters(queues())
    if report.counted or report.away:
        logger.warning("dead_letters %s", report)


@_job
def drain_spool(event: object) -> None:
    """Take in reports that found ingest away."""
    until = time.monotonic() + GO_ON_S
    more = True
    while more:
        report = drain(store=store(), now=timezone.now())
        more = report.waiting > 0 and time.monotonic() < until
        if report.taken or report.bad:
            logger.warning("drain_spool %s", report)


@_job
def rollup(event: object) -> None:
    """Roll up closed hours."""
    report = roll_up_hours(timezone.now())
    if report.hours:
        logger.info("rollup %s", report)


@_job
def partitions(event: object) -> None:
    """Make the next days' partitions and drop those whose time is over."""
    now = timezone.now()
    made, dropped = ensure_partitions(now=now), drop_old_partitions(now=now)
    if made or dropped:
        logger.info("partitions made=%s dropped=%s", made, dropped)


@_job
def prune(event: object) -> None:
    """Drop old runs, reports, snapshots."""
    report = prune_old(now=timezone.now(), store=store())
    if report.rows or report.objects:
        logger.info("prune %s", report)


def _first_for_long(minute: int) -> bool:
    """Nothing was prepared in the hour before: after a longer pause the partitions may have run out."""
    since = as_time(minute - 3600)
    return not MinuteRun.objects.filter(minute__gte=since, minute__lt=as_time(minute)).exists()

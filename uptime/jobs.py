"""Every periodic entry point. Celery beat and Zappa's events both call these; each calls one verb and logs one line.

As an event handler each takes (event, context); as a Celery task it is called without them. The truth is in the
database and the object store: a job that is called twice, or not at all for a while, does no harm.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from celery.schedules import crontab
from celery.signals import worker_ready
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
from checks.pipeline.rechecks import send_due
from checks.pipeline.runs import as_time
from checks.pipeline.snapshot import load_snapshot, take_snapshot, topology
from checks.pipeline.spool import drain_spool as drain
from checks.pipeline.watch import watch as watch_runs
from fanout_lambdas.invoke import DISPATCHER, InvokeError
from fanout_lambdas.shared.slots import MINUTE_S, minute_of
from uptime.celery import app
from uptime.engine import invoker, store

logger = logging.getLogger(__name__)

Job = Callable[[object, object], None]

PREPARE_FROM_S = 30
"""The next minute is prepared from this second on: late enough that a change reaches probes within 90 s, early enough
for a slow snapshot. A caller that comes only once a minute prepares it whenever it comes."""
QUEUE = "jobs"
HEARTBEATS_EVERY_S = 10
SENDERS_AT_ONCE = 2
"""Delivery may hang on a receiver for a while; it never takes more than these threads from the other jobs."""

_blind: deque[int] = deque(maxlen=60)
"""Minutes that this process dispatched without the database; once is enough."""
_sending = threading.BoundedSemaphore(SENDERS_AT_ONCE)


def tick(event: object = None, context: object = None) -> None:
    """Prepare and dispatch the next minute; after a pause of ours also what is left of this one."""
    now = timezone.now()
    for minute in minutes_to_prepare(now, once_a_minute=event is not None):
        if minute in _blind:
            continue
        try:
            if minute % 3600 == 0 or _first_for_long(minute):
                ensure_partitions(now=now)
            report = take_snapshot(minute, now=now, store=store())
        except (OperationalError, InterfaceError) as error:
            logger.error("tick: the database is away: %s", str(error).strip()[:200])
            _dispatch_blind(minute)
            continue
        if not report.repeated:
            logger.info("tick %s", report)
            runs = MinuteRun.objects.filter(minute=as_time(minute))
            _dispatch(minute, runs.values_list("region__code", flat=True))


def minutes_to_prepare(now: datetime, *, once_a_minute: bool = False) -> list[int]:
    """This minute, if nobody prepared it, and the next one when its time has come."""
    second = int(now.timestamp())
    current = minute_of(second)
    if once_a_minute or second - current >= PREPARE_FROM_S:
        return [current, current + MINUTE_S]
    return [current]


def _dispatch_blind(minute: int) -> None:
    """Probing goes on from the newest snapshot while the database is away: the workers spool what they see, and the
    watch makes the minute's run afterwards."""
    _blind.append(minute)
    snapshot = load_snapshot(minute, store=store())
    if snapshot is not None:
        _dispatch(minute, sorted({code for plan in snapshot.checks for code in plan.regions}))


def _dispatch(minute: int, regions: Iterable[str]) -> None:
    """Start a dispatcher in each region."""
    shape = topology()
    for region in regions:
        payload = {
            "minute": minute,
            "region": region,
            "topology": {
                "checks_per_worker": shape.checks_per_worker,
                "workers_per_triggerer": shape.workers_per_triggerer,
            },
        }
        try:
            invoker().invoke(DISPATCHER, payload)
        except InvokeError as error:
            # The watch sends the minute's batches out by itself when they do not report.
            logger.error("minute %s was not dispatched in %s: %s", minute, region, error)


def watch(event: object = None, context: object = None) -> None:
    """Account for what did not come back."""
    report = watch_runs(now=timezone.now(), store=store(), invoker=invoker())
    if not report.quiet:
        logger.warning("watch %s", report)
    elif report.closed:
        logger.info("watch %s", report)


def recheck(event: object = None, context: object = None) -> None:
    """Send out the extra slots that are due."""
    report = send_due(now=timezone.now(), invoker=invoker())
    if report.slots:
        logger.info("recheck %s", report)


def heartbeats(event: object = None, context: object = None) -> None:
    """Hear whether jobs can reach us, then judge the heartbeats that were not heard in time."""
    now = timezone.now()
    listen(now=now, every_s=MINUTE_S if event is not None else HEARTBEATS_EVERY_S)
    report = judge_overdue(now=now)
    if report.down or report.void:
        logger.info("heartbeats %s", report)


def deliver(event: object = None, context: object = None) -> None:
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
        sent = deliver_due()
    finally:
        _sending.release()
    if not sent.idle:
        logger.info("deliver %s", sent)


def drain_spool(event: object = None, context: object = None) -> None:
    """Take in reports that found ingest away."""
    report = drain(store=store(), now=timezone.now())
    if report.taken or report.bad:
        logger.warning("drain_spool %s", report)


def rollup(event: object = None, context: object = None) -> None:
    """Roll up closed hours."""
    report = roll_up_hours(timezone.now())
    if report.hours:
        logger.info("rollup %s", report)


def partitions(event: object = None, context: object = None) -> None:
    """Make the next days' partitions and drop those whose time is over."""
    now = timezone.now()
    made, dropped = ensure_partitions(now=now), drop_old_partitions(now=now)
    if made or dropped:
        logger.info("partitions made=%s dropped=%s", made, dropped)


def prune(event: object = None, context: object = None) -> None:
    """Drop old runs, reports, snapshots."""
    report = prune_old(now=timezone.now(), store=store())
    if report.rows or report.objects:
        logger.info("prune %s", report)


def _first_for_long(minute: int) -> bool:
    """Nothing was prepared in the hour before: after a longer pause the partitions may have run out."""
    since = as_time(minute - 3600)
    return not MinuteRun.objects.filter(minute__gte=since, minute__lt=as_time(minute)).exists()


@contextmanager
def _database_may_be_away(name: str) -> Iterator[None]:
    """One line instead of a stack trace a second while the database is away; the next call tries again."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        logger.error("%s: the database is away: %s", name, str(error).strip()[:200])


def _register(job: Job, schedule: Any, *, expires_s: int) -> None:
    """As a Celery task on a schedule. The expiry keeps a backlog from being replayed after downtime."""
    name = f"uptime.jobs.{job.__name__}"

    def run() -> None:
        with _database_may_be_away(job.__name__):
            job(None, None)

    app.task(name=name)(run)
    app.conf.beat_schedule[job.__name__] = {
        "task": name,
        "schedule": schedule,
        "options": {"queue": QUEUE, "expires": expires_s, "ignore_result": True},
    }


app.conf.beat_schedule = {}
_register(tick, 10.0, expires_s=9)
_register(watch, 10.0, expires_s=9)
_register(recheck, 5.0, expires_s=4)
_register(heartbeats, float(HEARTBEATS_EVERY_S), expires_s=HEARTBEATS_EVERY_S - 1)
_register(deliver, 5.0, expires_s=4)
_register(drain_spool, 15.0, expires_s=14)
_register(rollup, crontab(minute="6-59/10"), expires_s=300)
_register(partitions, crontab(minute="20"), expires_s=600)
_register(prune, crontab(minute="*/15"), expires_s=600)


@worker_ready.connect
def _begin_at_once(sender: Any, **_: Any) -> None:
    """After a start nobody waits for the clock: what is left of this minute is probed now."""
    if QUEUE in sender.app.amqp.queues.consume_from:
        for name in ("tick", "recheck", "deliver"):
            app.send_task(f"uptime.jobs.{name}", queue=QUEUE, expires=9, ignore_result=True)

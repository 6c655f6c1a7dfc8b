"""The clock of the jobs on machines of one's own: each job as a Celery task, and when beat calls it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery.schedules import crontab
from celery.signals import worker_ready
from django.conf import settings

from uptime import jobs
from uptime.celery import app

QUEUE = "jobs"


def _register(job: Callable[..., None], schedule: Any, *, expires_s: int) -> None:
    """As a Celery task on a schedule. The expiry keeps a backlog from being replayed after downtime."""
    name = f"uptime.jobs.{job.__name__}"

    def run() -> None:
        job()

    app.task(name=name)(run)
    app.conf.beat_schedule[job.__name__] = {
        "task": name,
        "schedule": schedule,
        "options": {"queue": QUEUE, "expires": expires_s, "ignore_result": True},
    }


app.conf.beat_schedule = {}
_register(jobs.tick, 10.0, expires_s=9)
_register(jobs.watch, 10.0, expires_s=9)
_register(jobs.recheck, 5.0, expires_s=4)
_register(jobs.heartbeats, float(jobs.HEARTBEATS_EVERY_S), expires_s=jobs.HEARTBEATS_EVERY_S - 1)
_register(jobs.deliver, 5.0, expires_s=4)
_register(jobs.drain_spool, 15.0, expires_s=14)
_register(jobs.rollup, crontab(minute="6-59/10"), expires_s=300)
_register(jobs.partitions, crontab(minute="20"), expires_s=600)
_register(jobs.prune, crontab(minute="*/15"), expires_s=600)
if settings.PROBE_ENGINE == "lambda":  # jobs on machines of one's own, probes on AWS
    _register(jobs.dead_letters, 60.0, expires_s=59)


@worker_ready.connect
def _begin_at_once(sender: Any, **_: Any) -> None:
    """After a start nobody waits for the clock: what is left of this minute is probed now."""
    if QUEUE in sender.app.amqp.queues.consume_from:
        for name in ("tick", "recheck", "deliver"):
            app.send_task(f"uptime.jobs.{name}", queue=QUEUE, expires=9, ignore_result=True)

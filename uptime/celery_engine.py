"""The engine on machines of one's own: the handlers of the fan-out as Celery tasks (hops 1 to 3)."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from celery import Celery
from celery.signals import worker_ready, worker_shutdown, worker_shutting_down
from django.conf import settings
from kombu.exceptions import OperationalError as BrokerAway

from checks.models import Region
from checks.regions import newest_ingest_key
from fanout_lambdas.config import WorkerConfig
from fanout_lambdas.dispatcher import NothingToDispatch, dispatch
from fanout_lambdas.invoke import DISPATCHER, Invoked, InvokeError
from fanout_lambdas.shared.netguard import AllowList
from fanout_lambdas.triggerer import multiply
from uptime.celery import app
from uptime.engine import invoker, store
from uptime.probe_loop import ProbeLoop

logger = logging.getLogger(__name__)

QUEUE = "probe"
PLANNING_QUEUE = "jobs"
"""Planning a minute takes a third of a second of CPU: beside probes it would falsify the times that they measure."""
LIFE_S = 120
"""An invocation that nobody took for this long is of no use any more; the watch has found its slots by then."""

CONSUMER_STOPS_S = 3.0
"""Celery's consumer looks up once a second and then stops."""

_ending = threading.Event()


class CeleryInvoker:
    """Starts a fan-out function as a task on whichever machine has room."""

    def __init__(self, celery: Celery = app) -> None:
        self._celery = celery

    def invoke(self, function: str, payload: Mapping[str, Any]) -> Invoked:
        try:
            self._celery.send_task(
                f"uptime.engine.{function}",
                args=[payload],
                queue=PLANNING_QUEUE if function == DISPATCHER else QUEUE,
                expires=_expiry(payload),
                retry=False,  # the caller has its own patience
                ignore_result=True,
            )
        except (BrokerAway, OSError) as error:
            raise InvokeError(f"{function} was not started: {error}", permanent=False) from error
        except Exception as error:  # each broker's library has errors of its own
            logger.exception("%s could not be published", function)
            raise InvokeError(f"{function} was not started: {error}", permanent=False) from error
        return Invoked()


def worker_config(region: str) -> WorkerConfig:
    """How this process probes and reports for a region; LookupError when it cannot."""
    row = Region.objects.filter(code=region).first()
    key = newest_ingest_key(row) if row is not None else None
    if row is None or key is None:
        raise LookupError(f"Region {region!r} has no ingest key: manage.py ensure_region {region}")
    return WorkerConfig(
        region=row.code,
        ingest_url=settings.INGEST_URL,
        key_id=key.key_id,
        secret=key.secret.encode(),
        object_store_url=settings.OBJECT_STORE_URL,
        sealing_keys=row.opening_keys,
        in_flight=settings.PROBE_IN_FLIGHT,
        allow=AllowList.parse(",".join(settings.ALLOW_NETWORKS)),
        user_agent=settings.USER_AGENT,
        ca_file=settings.PROBE_CA_FILE or None,
        name_servers=settings.PROBE_NAME_SERVERS,
    )


probe_loop = ProbeLoop(worker_config)


@app.task(name="uptime.engine.dispatcher")
def dispatcher(event: dict[str, Any]) -> None:
    """Plans a minute and hands out its batches at their time. When the process is to end, the rest goes out at once:
    the batches wait in the queue, and whoever takes them keeps each probe to its second."""
    try:
        report = dispatch(event, store=store(), invoker=invoker(), sleep=_Pause())
    except NothingToDispatch as error:
        logger.error("%s", error)
        return
    logger.info(
        "dispatched minute=%s region=%s planned=%s batches=%s failed=%s",
        report.minute,
        report.region,
        report.planned,
        report.batches,
        len(report.failed),
    )


@app.task(name="uptime.engine.triggerer")
def triggerer(event: dict[str, Any]) -> None:
    """Multiplies: one worker for each batch."""
    multiply(event, store=store, invoker=invoker())


@app.task(name="uptime.engine.worker")
def worker(event: dict[str, Any]) -> None:
    """Hands its batch to the loop and is done; the batch reports by itself."""
    probe_loop.submit(event)


class _Pause:
    """Sleeps, but not beyond the end of the process: then it lets the consumer stop first, so that what is
    published from here on is not taken back by this very process, and sleeps no more."""

    def __init__(self) -> None:
        self._hurry = False

    def __call__(self, seconds: float) -> None:
        if self._hurry or not _ending.wait(seconds):
            return
        self._hurry = True
        time.sleep(CONSUMER_STOPS_S)


def _expiry(payload: Mapping[str, Any]) -> datetime:
    deadline = payload.get("deadline")
    if not isinstance(deadline, int):
        deadline = int(payload.get("minute") or datetime.now(UTC).timestamp()) + LIFE_S
    return datetime.fromtimestamp(deadline, UTC)


@worker_ready.connect
def _warm_up(sender: Any, **_: Any) -> None:
    """Certificates are loaded before the first batch, so that its first probe starts in time."""
    if QUEUE not in sender.app.amqp.queues.consume_from:
        return
    try:
        probe_loop.warm_up([region.code for region in Region.objects.filter(active=True)])
    except Exception as error:  # the first batch tries again, and says what is wrong
        logger.warning("the prober is not warm yet: %s", error)


@worker_shutting_down.connect
def _let_dispatchers_go(**_: Any) -> None:
    _ending.set()


@worker_shutdown.connect
def _report_first(**_: Any) -> None:
    """SIGTERM loses nothing: what has begun is probed to its end and reported."""
    probe_loop.drain()

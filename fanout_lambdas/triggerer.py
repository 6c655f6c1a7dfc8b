"""The triggerer (hop 2): multiplies, starting one worker for each batch it is handed."""

from __future__ import annotations

import importlib
import logging
import os
import secrets
import time
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

from fanout_lambdas.config import DispatcherConfig
from fanout_lambdas.invoke import WORKER, Invoker
from fanout_lambdas.objectstore import ObjectStore, StoreUnavailable, open_store, trigger_key
from fanout_lambdas.shared.contracts import MAX_REGION, VERSION, Batch, Fields
from fanout_lambdas.shared.contracts.dispatch import TriggerReport
from fanout_lambdas.starting import REPORT_S, LambdaContext, Starts

log = logging.getLogger(__name__)

MAX_BATCHES = 1_000


def multiply(
    event: Mapping[str, Any],
    *,
    store: Callable[[], ObjectStore],
    invoker: Invoker,
    threads: int = 1,
    until: float | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> TriggerReport:
    """Start one worker for each batch at its time; `store` is asked for only when there was trouble to report.

    Stateless: repeated, it makes duplicates, which workers and ingest take without effect.
    """
    source = Fields(dict(event))
    source.version(VERSION)
    minute, region = source.time("minute"), source.text("region", MAX_REGION, empty=False)
    batches = [Batch.from_json(each) for each in source.items("batches", MAX_BATCHES)]
    starts = Starts(invoker, threads=threads, until=until, clock=clock, sleep=sleep)
    waiting = {batch.number for batch in batches}
    for batch in batches:
        # A paced batch's worker waits by itself; where waiting is billed one of us waits for a hundred workers.
        if not starts.turn(0.0 if batch.paced else batch.not_before):
            break
        if batch.deadline > clock():
            starts.start(WORKER, batch.to_json(), [batch.number])
            waiting.discard(batch.number)
    failed = waiting | starts.finish()
    report = TriggerReport(
        minute=minute,
        region=region,
        started=len(batches) - len(failed),
        retried=starts.retried,
        throttled=starts.throttled,
        failed=tuple(sorted(failed)),
    )
    if report.retried or report.throttled or report.failed:
        log.warning("%s", report)
        try:
            store().put(trigger_key(minute, region, secrets.token_hex(8)), report.to_bytes())
        except StoreUnavailable as error:  # done again, the workers would start twice
            log.error("the report is lost: %s", error)
    return report


def handler(event: Any, context: LambdaContext) -> dict[str, Any]:
    """The Lambda entry."""
    until = time.time() + context.get_remaining_time_in_millis() / 1_000 - REPORT_S
    config, invoker = _deployed()
    report = multiply(
        event,
        store=partial(open_store, config.object_store_url),
        invoker=invoker,
        threads=config.threads,
        until=until,
    )
    return {"started": report.started, "failed": len(report.failed)}


@cache
def _deployed() -> tuple[DispatcherConfig, Invoker]:
    """What one execution environment keeps between invocations."""
    config = DispatcherConfig.from_env()
    # Loaded by name: only a deployment on AWS carries the AWS library.
    lambdas = importlib.import_module("fanout_lambdas.invoke_aws")
    invoker = lambdas.invoker(config.stack, config.threads)
    invoker.prepare(os.environ["AWS_REGION"])
    return config, invoker


if os.environ.get("_HANDLER") == f"{__name__}.handler":
    _deployed()  # Lambda lends INIT a whole processor, and the first invocation a fraction of one

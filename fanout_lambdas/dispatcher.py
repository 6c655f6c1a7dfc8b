"""The dispatcher (hop 1): minute > due slots > batches > triggerers or workers. It reads the object
store and never the database."""

from __future__ import annotations

import importlib
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from fanout_lambdas.config import DispatcherConfig
from fanout_lambdas.invoke import TRIGGERER, WORKER, Invoker
from fanout_lambdas.objectstore import (
    NoSuchObject,
    ObjectStore,
    StoreUnavailable,
    dispatch_key,
    newest_snapshot_minute,
    open_store,
    snapshot_key,
)
from fanout_lambdas.planning import BATCHED, Topology, plan_batches, tiers, with_tier
from fanout_lambdas.shared.contracts import MAX_ATTEMPT, MAX_REGION, VERSION, Batch, Fields
from fanout_lambdas.shared.contracts.dispatch import DispatchReport
from fanout_lambdas.shared.contracts.snapshot import Snapshot
from fanout_lambdas.shared.slots import MINUTE_S
from fanout_lambdas.starting import REPORT_S, LambdaContext, Starts, leaves_at

log = logging.getLogger(__name__)


class NothingToDispatch(Exception):
    """There is no snapshot for this minute or before it."""


def dispatch(
    event: Mapping[str, Any],
    *,
    store: ObjectStore,
    invoker: Invoker,
    threads: int = 1,
    until: float | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> DispatchReport:
    """Start one minute's batches in one region, each at its time, and leave a report.

    The event names `minute` and `region`, and may carry a `topology` and an `attempt`. What could not be started by
    `until` counts as failed.
    """
    source = Fields(dict(event))
    minute, region = source.time("minute"), source.text("region", MAX_REGION, empty=False)
    topology = read_topology(source.child("topology"))
    attempt = source.whole("attempt", 1, MAX_ATTEMPT, 1)
    started = clock()
    snapshot = _newest_snapshot(store, minute)
    batches = plan_batches(snapshot, minute, region, topology, attempt=attempt)
    topology = with_tier(topology, len(batches))
    starts = Starts(invoker, threads=threads, until=until, clock=clock, sleep=sleep)
    waiting = {batch.number for batch in batches}
    triggerers = 0
    for group in tiers(batches, topology):
        if not starts.turn(leaves_at(group[0])):
            break
        live = [batch for batch in group if batch.deadline > clock()]
        if not live:
            continue
        numbers = [batch.number for batch in live]
        if topology.workers_per_triggerer:
            triggerers += 1
            starts.start(TRIGGERER, _trigger_event(minute, region, live), numbers)
        else:
            starts.start(WORKER, live[0].to_json(), numbers)
        waiting.difference_update(numbers)
    failed = waiting | starts.finish()
    report = DispatchReport(
        minute=minute,
        region=region,
        snapshot_minute=snapshot.minute,
        snapshot_age_s=max(0, minute - snapshot.minute),
        planned=sum(len(batch.probes) for batch in batches),
        batches=len(batches),
        invoked=len(batches) - len(failed),
        triggerers=triggerers,
        retried=starts.retried,
        throttled=starts.throttled,
        failed=tuple(sorted(failed)),
        started_ms=int(started * 1_000),
        finished_ms=int(clock() * 1_000),
    )
    if failed:
        log.error("%s of %s batches were not started", len(failed), len(batches))
    if report.snapshot_age_s > MINUTE_S:
        log.warning("dispatched from a snapshot %s s old", report.snapshot_age_s)
    try:
        store.put(dispatch_key(minute, region), report.to_bytes())
    except StoreUnavailable as error:  # done again, the minute would be probed twice
        log.error("the report is lost: %s", error)
    return report


def handler(event: Any, context: LambdaContext) -> dict[str, Any]:
    """The Lambda entry."""
    until = time.time() + context.get_remaining_time_in_millis() / 1_000 - REPORT_S
    config, store, invoker = _deployed()
    report = dispatch(event, store=store, invoker=invoker, threads=config.threads, until=until)
    return {"batches": report.batches, "invoked": report.invoked}


def read_topology(source: Fields | None) -> Topology:
    if source is None:
        return BATCHED
    return Topology(
        checks_per_worker=source.whole("checks_per_worker", 1, 1_000),
        workers_per_triggerer=source.whole("workers_per_triggerer", 0, 1_000),
        billed=source.flag("billed", False),
    )


def _newest_snapshot(store: ObjectStore, minute: int) -> Snapshot:
    # The usual case costs no listing.
    for candidate in (minute, None):
        found = candidate if candidate is not None else newest_snapshot_minute(store, minute)
        if found is None:
            break
        try:
            return Snapshot.from_bytes(store.get(snapshot_key(found)))
        except NoSuchObject:
            continue
    raise NothingToDispatch(f"There is no snapshot for minute {minute} or before.")


def _trigger_event(minute: int, region: str, batches: Sequence[Batch]) -> dict[str, Any]:
    return {
        "version": VERSION,
        "minute": minute,
        "region": region,
        "batches": [batch.to_json() for batch in batches],
    }


@cache
def _deployed() -> tuple[DispatcherConfig, ObjectStore, Invoker]:
    """What one execution environment keeps between invocations."""
    config = DispatcherConfig.from_env()
    # Loaded by name: only a deployment on AWS carries the AWS library.
    lambdas = importlib.import_module("fanout_lambdas.invoke_aws")
    invoker = lambdas.invoker(config.stack, config.threads)
    invoker.prepare(os.environ["AWS_REGION"])
    return config, open_store(config.object_store_url), invoker


if os.environ.get("_HANDLER") == f"{__name__}.handler":
    _deployed()  # Lambda lends INIT a whole processor; the first minute would wait for a fraction of one

"""The dispatcher (hop 1): minute > due slots > batches > triggerers or workers. It reads the object
store and never the database."""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fanout_lambdas.config import DispatcherConfig
from fanout_lambdas.invoke import TRIGGERER, WORKER, InvokeError, Invoker
from fanout_lambdas.objectstore import (
    NoSuchObject,
    ObjectStore,
    dispatch_key,
    newest_snapshot_minute,
    open_store,
    snapshot_key,
)
from fanout_lambdas.planning import BATCHED, Topology, plan_batches, tiers, with_tier
from fanout_lambdas.shared.contracts import Batch, Fields
from fanout_lambdas.shared.contracts.dispatch import DispatchReport
from fanout_lambdas.shared.contracts.snapshot import Snapshot
from fanout_lambdas.shared.slots import MINUTE_S

log = logging.getLogger(__name__)

LEAD_S = 2.0  # invocations leave this much before their first slot; the worker waits the rest
TRIES = 3
RETRY_PAUSE_S = 0.2


class NothingToDispatch(Exception):
    """There is no snapshot for this minute or before it."""


def dispatch(
    event: Mapping[str, Any],
    *,
    store: ObjectStore,
    invoker: Invoker,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> DispatchReport:
    """Start one minute's batches in one region.

    The event names `minute` and `region`, and may carry a `topology` and an `attempt`.
    """
    source = Fields(dict(event))
    minute, region = source.time("minute"), source.text("region", 32, empty=False)
    topology = read_topology(source.child("topology"))
    started = clock()
    snapshot = _newest_snapshot(store, minute)
    attempt = source.whole("attempt", 1, 1_000, 1)
    batches = plan_batches(snapshot, minute, region, topology, attempt=attempt)
    topology = with_tier(topology, len(batches))
    failed: list[int] = []
    retried = 0
    for group in tiers(batches, topology):
        if topology.spread:
            wait = group[0].not_before - LEAD_S - clock()
            if wait > 0:
                sleep(wait)
        live = [batch for batch in group if batch.deadline > clock()]
        failed += [batch.number for batch in group if batch not in live]
        tries = _start(invoker, live, topology, sleep=sleep) if live else 1
        retried += max(0, abs(tries) - 1)
        if tries < 0:
            failed += [batch.number for batch in live]
    report = DispatchReport(
        minute=minute,
        region=region,
        snapshot_minute=snapshot.minute,
        snapshot_age_s=max(0, minute - snapshot.minute),
        planned=sum(len(batch.probes) for batch in batches),
        batches=len(batches),
        invoked=len(batches) - len(failed),
        retried=retried,
        failed=tuple(sorted(failed)),
        started_ms=int(started * 1_000),
        finished_ms=int(clock() * 1_000),
    )
    store.put(dispatch_key(minute, region), report.to_bytes())
    if report.snapshot_age_s > MINUTE_S:
        log.warning("dispatched from a snapshot %s s old", report.snapshot_age_s)
    return report


def handler(event: Any, context: object) -> dict[str, Any]:
    """The Lambda entry."""
    config = DispatcherConfig.from_env()
    # Loaded by name: only a deployment on AWS carries the AWS library.
    lambdas = importlib.import_module("fanout_lambdas.invoke_aws")
    report = dispatch(
        event,
        store=open_store(config.object_store_url),
        invoker=lambdas.invoker(config.functions),
    )
    return report.to_json()


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


def _start(
    invoker: Invoker,
    group: Sequence[Batch],
    topology: Topology,
    *,
    sleep: Callable[[float], None],
) -> int:
    """The number of tries it took, negative when all of them failed."""
    if topology.workers_per_triggerer:
        function = TRIGGERER
        payload: Mapping[str, Any] = {"batches": [batch.to_json() for batch in group]}
    else:
        function, payload = WORKER, group[0].to_json()
    for number in range(1, TRIES + 1):
        try:
            invoker.invoke(function, payload)
        except InvokeError as error:
            log.warning("%s", error)
            if error.permanent or number == TRIES:
                return -number
            sleep(RETRY_PAUSE_S * number)
        else:
            return number
    return -TRIES

"""Hop 0: all active checks > one immutable document in the object store, and a run for each region.

The tick in minute M prepares M+1. Whole or nothing: the document is written first, then the runs in one transaction;
whoever finds the document but no run plans from the document.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from checks.models import MinuteRun, Region
from checks.pipeline.plans import check_plans
from checks.pipeline.runs import BILLED_GRACE_S, GRACE_S, as_time, outline
from fanout_lambdas.objectstore import (
    NoSuchObject,
    ObjectStore,
    newest_snapshot_minute,
    snapshot_key,
)
from fanout_lambdas.planning import Topology, plan_batches
from fanout_lambdas.shared.contracts.snapshot import Snapshot

_LOCK = 0x736E6170


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotReport:
    """What one call prepared. `repeated`: the minute had been prepared before. `dispatched_blind`: it had been
    dispatched while the database was away."""

    minute: int
    checks: int = 0
    planned: int = 0
    batches: int = 0
    bytes: int = 0
    repeated: bool = False
    dispatched_blind: bool = False


def take_snapshot(minute: int, *, now: datetime, store: ObjectStore) -> SnapshotReport:
    """Prepare the minute that starts at `minute`; a second call changes nothing."""
    with transaction.atomic(), connection.cursor() as cursor:
        # Two ticks at once: the second finds the work done.
        cursor.execute("select pg_advisory_xact_lock(%s, %s)", [_LOCK, minute // 60])
        return _take_snapshot(minute, now, store)


def _take_snapshot(minute: int, now: datetime, store: ObjectStore) -> SnapshotReport:
    regions = list(Region.objects.filter(active=True).order_by("id"))
    prepared = set(
        MinuteRun.objects.filter(minute=as_time(minute)).values_list("region_id", flat=True)
    )
    missing = [region for region in regions if region.id not in prepared]
    if not missing:
        return SnapshotReport(minute=minute, repeated=True)
    key = snapshot_key(minute)
    try:
        data = store.get(key)
        snapshot = Snapshot.from_bytes(data)
    except NoSuchObject:
        snapshot = Snapshot(
            minute=minute,
            taken_at=int(now.timestamp()),
            checks=tuple(check_plans(now=now)),
            canaries=canary_requests(),
        )
        data = snapshot.to_bytes()
        store.put(key, data)
    runs = [_run(snapshot, minute, region, key) for region in missing]
    MinuteRun.objects.bulk_create(runs, ignore_conflicts=True)
    return SnapshotReport(
        minute=minute,
        checks=len(snapshot.checks),
        planned=sum(run.planned for run in runs),
        batches=sum(len(run.batches) for run in runs),
        bytes=len(data),
        dispatched_blind=snapshot.minute != minute,
    )


def claim_without_database(minute: int, *, now: datetime, store: ObjectStore) -> Snapshot | None:
    """The newest snapshot, for a minute that is to be dispatched while the database is away; None when there is none,
    or when the minute was prepared and so dispatched by an earlier call.

    The claim is a copy under the minute's own key: whoever comes next, in whichever process, finds it there.
    """
    newest = newest_snapshot_minute(store, minute)
    if newest is None:
        return None
    data = store.get(snapshot_key(newest))
    snapshot = Snapshot.from_bytes(data)
    # A document of this very second is that of the call that asks: the database went away after it was written.
    if newest == minute and snapshot.taken_at != int(now.timestamp()):
        return None
    store.put(snapshot_key(minute), data)
    return snapshot


def topology() -> Topology:
    """The shape of the fan-out in use. On Lambda waiting is billed, so batches there wait for nothing."""
    shape: Topology = settings.PROBE_TOPOLOGY
    return replace(shape, billed=settings.PROBE_ENGINE == "lambda")


def load_snapshot(minute: int, *, store: ObjectStore) -> Snapshot | None:
    """The newest snapshot that is not newer than `minute`."""
    newest = newest_snapshot_minute(store, minute)
    return None if newest is None else Snapshot.from_bytes(store.get(snapshot_key(newest)))


def canary_requests() -> tuple[Mapping[str, Any], ...]:
    """Requests to the operator's own targets, by which a worker judges whether it is fit to judge."""
    return tuple({"url": url, "timeout_ms": 5_000} for url in settings.CANARIES)


def _run(snapshot: Snapshot, minute: int, region: Region, key: str) -> MinuteRun:
    shape = topology()
    batches = plan_batches(snapshot, minute, region.code, shape)
    return MinuteRun(
        minute=as_time(minute),
        region=region,
        snapshot_key=key,
        planned=sum(len(batch.probes) for batch in batches),
        batches=outline(batches, grace_s=BILLED_GRACE_S if shape.billed else GRACE_S),
    )

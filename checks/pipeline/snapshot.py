"""Hop 0: all active checks > one immutable document in the object store, and a run for each region.

The tick in minute M prepares M+1. Whole or nothing: the document is written first, then the runs in one transaction;
whoever finds the document but no run plans from the document.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.db import connection, transaction

from checks.models import MinuteRun, Region
from checks.models.result import REASONS
from checks.pipeline.runs import as_time, outline
from clients.encryption import cipher
from fanout_lambdas.objectstore import (
    NoSuchObject,
    ObjectStore,
    newest_snapshot_minute,
    snapshot_key,
)
from fanout_lambdas.planning import PRESETS, Topology, plan_batches
from fanout_lambdas.sealing import Sealer
from fanout_lambdas.shared.contracts import (
    DEFAULT_STATUS,
    MAX_BODY_BYTES,
    CheckPlan,
    Reason,
    Snapshot,
)
from fanout_lambdas.shared.slots import phase

logger = logging.getLogger(__name__)

_LOCK = 0x736E6170
SLOW_LANE_S = 600
"""A check whose last result timed out rides in the slow lane for this long, or for 3 intervals if that is longer."""

_CHECKS = """
    select c.id, c.interval_s, c.regions, c.rotate, c.url, c.method, c.headers, c.body, c.timeout_ms,
      c.follow_redirects, c.max_redirects, c.verify_tls, c.family, c.max_body_bytes, c.expected_status,
      c.keyword, c.keyword_absent, c.max_latency_ms, c.cert_min_days,
      coalesce(seen.total_us, 0), coalesce(seen.slow, false)
    from checks_check c
    join clients_client on clients_client.id = c.client_id
    left join (
      select s.check_id, max(s.last_total_us) as total_us,
        bool_or(s.last_reason = %(timeout)s and s.last_at > coalesce(%(now)s, now())
          - make_interval(secs => greatest(%(slow_for)s, 3 * own.interval_s))) as slow
      from region_state s join checks_check own on own.id = s.check_id
      where %(ids)s::bigint[] is null or s.check_id = any(%(ids)s)
      group by s.check_id
    ) seen on seen.check_id = c.id
    where c.deleted_at is null and c.paused_at is null and clients_client.suspended_at is null
      and (%(ids)s::bigint[] is null or c.id = any(%(ids)s))
    order by c.id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotReport:
    """What one call prepared. `repeated`: the minute had been prepared before."""

    minute: int
    checks: int = 0
    planned: int = 0
    batches: int = 0
    bytes: int = 0
    repeated: bool = False


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
    )


def topology() -> Topology:
    """The shape of the fan-out in use."""
    return PRESETS[getattr(settings, "PROBE_TOPOLOGY", "batched")]


def load_snapshot(minute: int, *, store: ObjectStore) -> Snapshot | None:
    """The newest snapshot that is not newer than `minute`."""
    newest = newest_snapshot_minute(store, minute)
    return None if newest is None else Snapshot.from_bytes(store.get(snapshot_key(newest)))


def canary_requests() -> tuple[Mapping[str, Any], ...]:
    """Requests to the operator's own targets, by which a worker judges whether it is fit to judge."""
    return tuple({"url": url, "timeout_ms": 5_000} for url in settings.CANARIES)


def check_plans(
    check_ids: Sequence[int] | None = None, *, now: datetime | None = None
) -> list[CheckPlan]:
    """The checks that are probed, as the planner sees them; no ids means all. `now` decides who is slow."""
    regions = {region.id: region for region in Region.objects.filter(active=True)}
    codes = {number: region.code for number, region in regions.items()}
    with connection.cursor() as cursor:
        cursor.execute(
            _CHECKS,
            {
                "timeout": REASONS[Reason.TIMEOUT],
                "now": now,
                "slow_for": SLOW_LANE_S,
                "ids": None if check_ids is None else list(check_ids),
            },
        )
        rows = cursor.fetchall()
    sealing = _Sealing(regions.values(), keep=check_ids is None)
    plans: list[CheckPlan] = []
    for row in rows:
        try:
            plan = _plan(row, codes, sealing)
        except (InvalidToken, ValueError):
            # One unreadable secret must not blind everybody else.
            logger.exception("check %s is left out: its secrets cannot be read", row[0])
            continue
        if plan.regions:
            plans.append(plan)
    sealing.forget_the_rest()
    return plans


def _plan(row: Sequence[Any], codes: Mapping[int, str], sealing: _Sealing) -> CheckPlan:
    check_id, interval_s, regions, rotate, url, method, headers, body, *rest = row
    timeout_ms, follow, redirects, verify_tls, family, max_body, *rest = rest
    expected, keyword, absent, latency_ms, cert_days, total_us, slow = rest
    own = tuple(codes[number] for number in regions if number in codes)
    # What equals the contract's default stays out: a tenth of the bytes.
    request: dict[str, Any] = {"url": url, "timeout_ms": timeout_ms, "max_redirects": redirects}
    if method != "GET":
        request["method"] = method
    if not follow:
        request["follow_redirects"] = False
    if not verify_tls:
        request["verify_tls"] = False
    if family != "any":
        request["family"] = family
    if max_body != MAX_BODY_BYTES:
        request["max_body_bytes"] = max_body
    if expected and tuple(expected) != DEFAULT_STATUS:
        request["expected_status"] = expected
    if keyword:
        request["keyword"] = keyword
    if absent:
        request["keyword_absent"] = absent
    if latency_ms:
        request["max_latency_ms"] = latency_ms
    if cert_days and url[:8].lower() == "https://":
        request["cert_min_days"] = cert_days
    return CheckPlan(
        check_id=check_id,
        interval_s=interval_s,
        phase_s=phase(check_id, interval_s),
        regions=own,
        request=request,
        rotate=rotate,
        expected_ms=total_us // 1000,
        slow=slow,
        sealed=sealing.seal(check_id, own, headers, body) if headers or body else None,
    )


_Source = tuple[str, str]
_kept: dict[tuple[int, str, str], tuple[_Source, str]] = {}
"""By check, region and its key: the sealed text of the last snapshot with the ciphertexts it was made from.
Sealing costs more than all the rest of a snapshot, and a check rarely changes."""


class _Sealing:
    """Re-encrypts a check's secrets from our own key to those of its regions."""

    def __init__(self, regions: Iterable[Region], *, keep: bool) -> None:
        self._keys = {region.code: region.sealing_key for region in regions}
        self._sealers = {code: Sealer([key]) for code, key in self._keys.items()}
        self._keep = keep
        self._used: dict[tuple[int, str, str], tuple[_Source, str]] = {}

    def seal(
        self, check_id: int, regions: Sequence[str], headers: str, body: str
    ) -> dict[str, str]:
        source, secrets = (headers, body), None
        sealed: dict[str, str] = {}
        for code in regions:
            place = check_id, code, self._keys[code]
            held = _kept.get(place)
            if held is not None and held[0] == source:
                sealed[code] = held[1]
            else:
                secrets = secrets or _open(headers, body)
                sealed[code] = self._sealers[code].seal(secrets)
            self._used[place] = source, sealed[code]
        return sealed

    def forget_the_rest(self) -> None:
        """After a whole snapshot only what it used is remembered."""
        if self._keep:
            _kept.clear()
            _kept.update(self._used)


def _open(headers: str, body: str) -> dict[str, Any]:
    secrets: dict[str, Any] = {}
    if headers:
        secrets["headers"] = json.loads(cipher().decrypt(headers.encode()))
    if body:
        secrets["body"] = cipher().decrypt(body.encode()).decode()
    return secrets


def _run(snapshot: Snapshot, minute: int, region: Region, key: str) -> MinuteRun:
    shape = topology()
    batches = plan_batches(snapshot, minute, region.code, shape)
    return MinuteRun(
        minute=as_time(minute),
        region=region,
        snapshot_key=key,
        planned=sum(len(batch.probes) for batch in batches),
        batches=outline(batches),
    )

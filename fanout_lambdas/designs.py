"""Three designs of the fan-out and what each uses in a month under a load. Pure; the constants are what it assumes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from fanout_lambdas.costs import FunctionUse, Usage
from fanout_lambdas.durations import ARTICLE_INVOKE_S, Durations, core_of
from fanout_lambdas.planning import (
    BATCH_SPAN_S,
    BATCHED,
    SLOW_SPAN_S,
    TIER_FROM_BATCHES,
    TIERED,
)
from fanout_lambdas.prices import GB, MONTH_S
from fanout_lambdas.shared.slots import MINUTE_S

MINUTES = MONTH_S // MINUTE_S

# The article's sizes and times.
ARTICLE_LOOP_MB, ARTICLE_LOOP_S = 3_008, 60.0
ARTICLE_TRIGGERER_MB, ARTICLE_TRIGGERER_S, ARTICLE_FAN = 256, 10.0, 100
ARTICLE_WORKER_MB, ARTICLE_WORKER_OWN_S = 128, 0.1
ARTICLE_LOG_BYTES = 550.0
"""START, END and REPORT of an invocation; its sum leaves them out, its bill did not."""

BEFORE_MINUTE_S = 30.0
"""A schedule fires anywhere in its minute and prepares the next, so the dispatcher waits half a minute on average."""
SNAPSHOT_BYTES, SNAPSHOTS_KEPT = 20, 120
"""Of one check, compressed; they are kept for two hours."""
OBJECTS_A_MINUTE = (4, 4)
"""At home: one snapshot put and three listings (spool, runs, pruning); four gets (watch, jobs)."""
OBJECTS_A_REGION = (2, 2)
"""A dispatch report put and one listing; the snapshot and the report got."""
SPOOLED_SHARE = 0.001
JOBS_A_MONTH = MINUTES * 7 + MINUTES // 10 + MINUTES // 15 + MINUTES // 60
"""The schedule of the web function: seven jobs each minute, one each 10 minutes, quarter of an hour and hour. Counted
as EventBridge Scheduler's, though the rules that Zappa makes cost nothing."""
ALARMS = 7
LOG_RETENTION_DAYS = 14
PROBE_BYTES = 1_200
"""A TLS probe: 764 bytes counted at a relay, the rest packets' headers and the name; half of it without TLS."""
REPORT_BYTES, RESULT_BYTES = 1_900, 64
"""A handshake, headers and packets; each result in the compressed body."""


class Design(StrEnum):
    """`planning.PRESETS`, as they are run: the first two as the article ran them."""

    DIRECT = "direct"
    FANOUT = "fanout"
    BATCHED = "batched"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is watched: every check in each of the regions."""

    checks: int
    interval_s: int = MINUTE_S
    regions: int = 1
    latency_s: float = 0.5
    """Mean time of those that answer."""
    timeout_share: float = 0.01
    timeout_s: float = 10.0
    new_share: float = 0.02
    """Of the timeouts, those that were answers a minute before: they hold up a batch of the quick lane."""

    @property
    def a_minute(self) -> float:
        """Slots of one region."""
        return self.checks * MINUTE_S / self.interval_s

    @property
    def mean_s(self) -> float:
        share = self.timeout_share
        return (1 - share) * self.latency_s + share * self.timeout_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A design under a load: how many of the slots it starts each minute, and the usage of each region."""

    started: float
    workers: float
    """Invocations a minute in one region."""
    worker_s: float
    """Their mean."""
    regions: tuple[Usage, ...]


def plan(design: Design, load: Load, durations: Durations) -> Plan:
    """One region's functions, times the regions; the first is the home of snapshots and jobs."""
    make = {
        Design.DIRECT: _direct,
        Design.FANOUT: _fanout,
        Design.BATCHED: _batched,
    }[design]
    started, functions = make(load, durations)
    worker = [use for use in functions if use.name.startswith("worker")]
    workers = sum(use.invocations for use in worker) / MINUTES
    spent = sum(use.invocations * use.seconds for use in worker) / MINUTES
    usages = [
        usage_of(
            functions,
            checks=load.checks,
            probes=started * MINUTES,
            reports=workers * MINUTES,
            home=number == 0,
        )
        for number in range(load.regions)
    ]
    return Plan(
        started=started,
        workers=workers,
        worker_s=spent / workers if workers else 0.0,
        regions=tuple(usages),
    )


def usage_of(
    functions: Sequence[FunctionUse], *, checks: float, probes: float, reports: float, home: bool
) -> Usage:
    """One region's month around its functions; `home`: where snapshots, spool and jobs are."""
    puts, gets = OBJECTS_A_REGION
    if home:
        puts, gets = puts + OBJECTS_A_MINUTE[0], gets + OBJECTS_A_MINUTE[1]
    snapshot_gb = checks * SNAPSHOT_BYTES / GB
    return Usage(
        functions=tuple(functions),
        log_retention_days=LOG_RETENTION_DAYS,
        s3_puts=puts * MINUTES + reports * SPOOLED_SHARE,
        s3_gets=gets * MINUTES + reports * SPOOLED_SHARE,
        s3_gb=snapshot_gb * SNAPSHOTS_KEPT if home else 0.0,
        schedules=JOBS_A_MONTH if home else 0.0,
        alarms=ALARMS,
        egress_gb=egress_gb(probes=probes, reports=reports),
        interregion_gb=0.0 if home else snapshot_gb * MINUTES,
        reports=reports,
    )


def egress_gb(*, probes: float, reports: float) -> float:
    return (probes * (PROBE_BYTES + RESULT_BYTES) + reports * REPORT_BYTES) / GB


def article_month() -> Usage:
    """The article's own sum: 10,000 workers of 600 ms and 101 functions of 10 s each minute, nothing else."""
    one_minute = MINUTES * 10_000, MINUTES * 101
    return Usage(
        functions=(
            FunctionUse(
                name="worker",
                memory_mb=ARTICLE_WORKER_MB,
                seconds=0.6,
                invocations=one_minute[0],
            ),
            FunctionUse(
                name="triggerer",
                memory_mb=ARTICLE_TRIGGERER_MB,
                seconds=ARTICLE_TRIGGERER_S,
                invocations=one_minute[1],
            ),
        )
    )


def _direct(load: Load, durations: Durations) -> tuple[float, list[FunctionUse]]:
    started = min(load.a_minute, ARTICLE_LOOP_S / ARTICLE_INVOKE_S)
    loop_s = started * ARTICLE_INVOKE_S
    return started, [
        _articles("dispatcher", ARTICLE_LOOP_MB, loop_s, 1, durations),
        _one_url_workers(started, load, durations),
    ]


def _fanout(load: Load, durations: Durations) -> tuple[float, list[FunctionUse]]:
    triggerers = math.ceil(load.a_minute / ARTICLE_FAN)
    # Beyond what its own loop can start in a minute, the main function starts no more.
    reached = min(triggerers, int(ARTICLE_LOOP_S / ARTICLE_INVOKE_S))
    started = min(load.a_minute, reached * ARTICLE_FAN)
    main_s = max(ARTICLE_TRIGGERER_S, reached * ARTICLE_INVOKE_S)
    return started, [
        _articles("dispatcher", ARTICLE_TRIGGERER_MB, main_s, 1, durations),
        _articles("triggerer", ARTICLE_TRIGGERER_MB, ARTICLE_TRIGGERER_S, reached, durations),
        _one_url_workers(started, load, durations),
    ]


def _batched(load: Load, durations: Durations) -> tuple[float, list[FunctionUse]]:
    known = load.timeout_share * (1 - load.new_share)
    fresh = load.timeout_share - known
    quick, slow = load.a_minute * (1 - known), load.a_minute * known
    per_quick, per_slow = _size(quick, BATCH_SPAN_S), _size(slow, SLOW_SPAN_S)
    memory = durations.worker_mb
    clean_s = durations.worker_s(per_quick, latency_s=load.latency_s, memory_mb=memory)
    held_s = max(clean_s, clean_s - load.latency_s * durations.last_answer + load.timeout_s)
    held = 1 - (1 - fresh) ** per_quick
    slow_s = durations.worker_s(per_slow, latency_s=0.0, memory_mb=memory) + load.timeout_s
    workers = [
        _use("worker", memory, clean_s + held * (held_s - clean_s), quick / per_quick, durations),
        _use("worker, slow lane", memory, slow_s, slow / per_slow, durations),
    ]
    batches = sum(use.invocations for use in workers) / MINUTES
    waits = BEFORE_MINUTE_S + MINUTE_S
    functions = [_use("dispatcher", durations.dispatcher_mb, waits, 1, durations), *workers]
    if batches >= TIER_FROM_BATCHES:
        fan = TIERED.workers_per_triggerer
        fan_s = fan * durations.invoke_cpu_s / core_of(durations.triggerer_mb)
        functions.append(_use("triggerer", durations.triggerer_mb, fan_s, batches / fan, durations))
    return load.a_minute, functions


def _size(a_minute: float, span_s: int) -> int:
    """How many slots one batch holds: a hundred, or those of its span."""
    return max(1, min(BATCHED.checks_per_worker, int(a_minute / MINUTE_S * span_s)))


def _one_url_workers(started: float, load: Load, durations: Durations) -> FunctionUse:
    return _articles(
        "worker", ARTICLE_WORKER_MB, load.mean_s + ARTICLE_WORKER_OWN_S, started, durations
    )


def _articles(
    name: str, memory_mb: int, seconds: float, a_minute: float, durations: Durations
) -> FunctionUse:
    used = _use(name, memory_mb, seconds, a_minute, durations)
    return replace(used, log_bytes=ARTICLE_LOG_BYTES)


def _use(
    name: str, memory_mb: int, seconds: float, a_minute: float, durations: Durations
) -> FunctionUse:
    invocations = a_minute * MINUTES
    return FunctionUse(
        name=name,
        memory_mb=memory_mb,
        seconds=seconds,
        invocations=invocations,
        cold_starts=invocations * durations.cold_share,
        # INIT gets a whole core whatever the memory, so its time does not follow it.
        init_s=durations.init_s,
        log_bytes=durations.log_bytes,
    )

"""The experiments: the article's loop, the article's fan-out, and ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bench.fanout.checks import TIMEOUT_MS
from bench.fanout.deployment import UNRESERVED
from bench.fanout.experiment import Experiment
from fanout_lambdas.config import DEFAULT_INVOKE_THREADS
from fanout_lambdas.designs import (
    ARTICLE_LOOP_MB,
    ARTICLE_TRIGGERER_MB,
    ARTICLE_WORKER_MB,
    BEFORE_MINUTE_S,
)
from fanout_lambdas.durations import ARTICLE_INVOKE_S
from fanout_lambdas.invoke import DISPATCHER, TRIGGERER, WORKER
from fanout_lambdas.planning import BATCHED, DIRECT, FANOUT
from fanout_lambdas.starting import REPORT_S

ARTICLE_LIMIT_S = 60.0
ARTICLE_WORKER_S = 0.513
"""Mean duration that the article read off its graphs."""
MINUTE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """`minute_s` below 60: a shorter minute with as much less of everything, for a quick look."""

    checks: int
    minute_s: float = MINUTE_S
    timeout_ms: int = TIMEOUT_MS
    warm_workers: int = 14
    """As many as are ever needed at once."""

    @property
    def part(self) -> float:
        return self.minute_s / MINUTE_S

    @property
    def article_direct(self) -> float:
        """What the article's loop started."""
        return self.minute_s / ARTICLE_INVOKE_S


def direct(scale: Scale) -> Experiment:
    """The loop without the article's latency; so many workers at once are too many for one machine."""
    return Experiment(
        topology="direct",
        how="no latency added; simulated workers",
        preset=DIRECT,
        parameters=_article(ARTICLE_LOOP_MB),
        threads=1,
        ahead_s=0.0,
        minute_s=scale.minute_s,
        limit_s=ARTICLE_LIMIT_S * scale.part + REPORT_S,
        warm={DISPATCHER: 1},
        simulated_s=ARTICLE_WORKER_S,
    )


def direct_padded(scale: Scale, own_invoke_s: float) -> Experiment:
    return replace(
        direct(scale),
        how="57 ms an invoke; real probes",
        simulated_s=None,
        invoke_latency_s=_padding(own_invoke_s),
        warm={DISPATCHER: 1, WORKER: scale.warm_workers},
    )


def fanout_padded(scale: Scale, own_invoke_s: float) -> Experiment:
    triggerers = -(-scale.checks // FANOUT.workers_per_triggerer)
    return replace(
        direct(scale),
        topology="fanout",
        limit_s=ARTICLE_LIMIT_S,
        how="57 ms an invoke; simulated workers",
        preset=FANOUT,
        parameters=_article(ARTICLE_TRIGGERER_MB),
        invoke_latency_s=_padding(own_invoke_s),
        warm={DISPATCHER: 1, TRIGGERER: triggerers},
    )


def batched(scale: Scale, *, held: bool) -> Experiment:
    """As deployed."""
    return Experiment(
        topology="batched",
        how="real probes, CPU held" if held else "real probes, CPU not held",
        preset=replace(BATCHED, billed=True),
        parameters={},
        threads=DEFAULT_INVOKE_THREADS,
        ahead_s=BEFORE_MINUTE_S * scale.part,
        minute_s=scale.minute_s,
        # Batches are cut in windows of the clock's minute.
        grid_s=int(scale.minute_s),
        warm={DISPATCHER: 1, WORKER: scale.warm_workers},
        held=held,
    )


def _article(loop_mb: int) -> Mapping[str, str]:
    return {
        **UNRESERVED,
        "DispatcherMemory": str(loop_mb),
        "TriggererMemory": str(ARTICLE_TRIGGERER_MB),
        "WorkerMemory": str(ARTICLE_WORKER_MB),
    }


def _padding(own_invoke_s: float) -> float:
    return max(0.0, ARTICLE_INVOKE_S - own_invoke_s)

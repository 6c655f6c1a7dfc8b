"""One minute of checks through one topology: sets the stage, starts the dispatcher, counts what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from bench.emulator import Emulator, FunctionLedger, FunctionSpec
from bench.fanout.checks import Watched, snapshot
from bench.fanout.deployment import Place, dispatch_report, name, start_minute
from bench.fanout.receiver import Received, Receiver
from bench.fanout.row import Row
from bench.fanout.spending import since, spent
from bench.report import percentile
from fanout_lambdas.invoke import DISPATCHER, TRIGGERER, WORKER
from fanout_lambdas.objectstore import open_store, snapshot_key
from fanout_lambdas.planning import DIRECT, Topology
from fanout_lambdas.shared.contracts import Reason
from fanout_lambdas.shared.contracts.dispatch import DispatchReport

LOOK_S = 0.5
GRACE_S = 90.0
"""Beyond the minute, for what is under way to end."""

Progress = Callable[[int, int], None]
"""Workers begun, and slots."""


class ExperimentFailed(Exception):
    """It did not come to its end; the text says how far it came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """`parameters` of the template. `limit_s`: the dispatcher's and triggerers' limit where it is not
    the template's. `simulated_s`: workers are no processes and take so long. `invoke_latency_s`: of each
    Invoke, beside what it takes here. `ahead_s`: the dispatcher starts that long before the minute.
    `grid_s`: it begins at a multiple of this. `held`: each environment has the CPU of its memory."""

    topology: str
    how: str
    preset: Topology
    parameters: Mapping[str, str]
    threads: int
    ahead_s: float
    minute_s: float
    warm: Mapping[str, int]
    grid_s: int = 1
    limit_s: float | None = None
    simulated_s: float | None = None
    invoke_latency_s: float = 0.0
    held: bool = False

    def functions(self, place: Place) -> dict[str, FunctionSpec]:
        found = place.functions(self.parameters, threads=self.threads)
        if self.limit_s is not None:
            for function in (DISPATCHER, TRIGGERER):
                found[function] = replace(found[function], timeout_s=self.limit_s)
        if self.simulated_s is not None:
            found[WORKER] = replace(found[WORKER], simulated_s=self.simulated_s)
        return found


def run(
    experiment: Experiment,
    checks: tuple[Watched, ...],
    *,
    place: Place,
    addresses: Mapping[str, str],
    receiver: Receiver,
    progress: Progress,
) -> Row:
    """Raises ExperimentFailed, EmulatorError."""
    functions = experiment.functions(place)
    with Emulator(
        list(functions.values()),
        invoke_latency_s=experiment.invoke_latency_s,
        cpu_share=experiment.held,
    ) as emulator:
        for function, count in experiment.warm.items():
            emulator.warm(name(function), count)

        def start(
            some: Sequence[Watched], topology: Topology, ahead_s: float, grid_s: int = 1
        ) -> int:
            minute = (int(time.time() + ahead_s) // grid_s + 1) * grid_s
            document = snapshot(some, minute=minute, addresses=addresses)
            open_store(place.store_url).put(snapshot_key(minute), document.to_bytes())
            while time.time() < minute - ahead_s:
                time.sleep(0.01)
            start_minute(emulator, minute, topology)
            return minute

        def wait(until: float, before: int = 0) -> None:
            while not emulator.drain(LOOK_S):
                begun = emulator.ledger()[name(WORKER)].invocations - before
                progress(begun, len(checks))
                if time.time() > until:
                    raise ExperimentFailed(
                        f"{experiment.topology}: {begun} workers had begun, and not all had ended "
                        f"{GRACE_S:.0f} s after the minute."
                    )

        # A first run is slower than any later one: names are imported, clients made, connections opened.
        answering = [each for each in checks if each.delay_ms is not None]
        first = experiment.preset if experiment.preset.workers_per_triggerer else DIRECT
        minute = start(answering[: experiment.warm.get(WORKER, 1)], first, 0.0)
        wait(minute + GRACE_S)
        before = emulator.ledger()
        receiver.received = received = Received()
        minute = start(checks, experiment.preset, experiment.ahead_s, experiment.grid_s)
        wait(minute + experiment.minute_s + GRACE_S, before[name(WORKER)].invocations)
        ledger = {each: since(before[each], after) for each, after in emulator.ledger().items()}
    report = dispatch_report(place, minute)
    return _row(experiment, functions, ledger, report, checks, received, minute)


def _row(
    experiment: Experiment,
    functions: Mapping[str, FunctionSpec],
    ledger: Mapping[str, FunctionLedger],
    report: DispatchReport,
    checks: tuple[Watched, ...],
    received: Received,
    minute: int,
) -> Row:
    worker = ledger[name(WORKER)]
    simulated = experiment.simulated_s is not None
    batched = experiment.preset.checks_per_worker > 1
    from_when = minute if batched else report.started_ms / 1_000
    begun = worker.invocations if not batched else report.planned if not report.failed else 0
    notes = {
        "limit_s": experiment.limit_s or functions[DISPATCHER].timeout_s,
        "workers": worker.invocations,
        "worker_mb": functions[WORKER].memory_mb,
        "dispatcher_mb": functions[DISPATCHER].memory_mb,
        "triggerer_mb": functions[TRIGGERER].memory_mb,
        "invoke_ms": _invoke_ms(report),
        "worker_s_p50": round(median(worker.durations), 3) if worker.durations else 0.0,
        "cold_starts": worker.cold_starts,
        "worker_peak_mb": round(worker.max_memory_mb),
        "peak_workers": worker.peak_environments,
    }
    if not simulated:
        notes |= _seen(checks, received)
    return Row(
        topology=experiment.topology,
        how=experiment.how,
        slots=len(checks),
        started=begun,
        finished=worker.finished if simulated else len(received.slots),
        throttled=sum(each.throttles for each in ledger.values()),
        retried=sum(each.retries for each in ledger.values()) + report.retried,
        duplicates=sum(each.duplicates for each in ledger.values()) + received.duplicates,
        seconds_to_start=max(worker.begun, default=from_when) - from_when,
        gb_s=sum(each.gb_s for each in ledger.values()),
        parts=spent(functions, ledger),
        notes=notes,
    )


def _invoke_ms(report: DispatchReport) -> float:
    """One turn of the dispatcher's loop."""
    starts = report.triggerers or report.invoked
    return round((report.finished_ms - report.started_ms) / starts, 2) if starts else 0.0


def _seen(checks: tuple[Watched, ...], received: Received) -> dict[str, float]:
    """What the results say, beside what is true."""
    truth = {each.number: each.delay_ms for each in checks}
    errors = [
        abs(result.total_us / 1_000 - delay)
        for result in received.answered()
        if (delay := truth[result.check_id]) is not None
    ]
    lags = [result.lag_us / 1_000 for result in received.results.values()]
    timeouts = sum(result.reason is Reason.TIMEOUT for result in received.results.values())
    return {
        "reports": received.reports,
        "reports_refused": len(received.refused),
        "up": len(errors),
        "timed_out": timeouts,
        "p50_error_ms": round(percentile(errors, 0.5), 2),
        "p95_error_ms": round(percentile(errors, 0.95), 2),
        "lag_p50_ms": round(percentile(lags, 0.5), 1),
        "lag_p99_ms": round(percentile(lags, 0.99), 1),
    }

"""The engine: probes a batch, each at its slot, with a bound on what is in flight; canaries decide
whether the prober itself was fit."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from fanout_lambdas.config import DEFAULT_IN_FLIGHT
from fanout_lambdas.probe.canaries import Canaries
from fanout_lambdas.probe.connection import Connector
from fanout_lambdas.probe.cores import granted_cores
from fanout_lambdas.probe.kinds import Kit, probers
from fanout_lambdas.probe.name_servers import NameServer
from fanout_lambdas.probe.pace import Pace
from fanout_lambdas.probe.reading import read_probes, void
from fanout_lambdas.probe.resolver import Resolver
from fanout_lambdas.sealing import Sealer
from fanout_lambdas.shared.contracts import (
    Batch,
    Outcome,
    Probe,
    Reason,
    Result,
    ResultBatch,
    WorkerFigures,
)
from fanout_lambdas.shared.netguard import Guard

log = logging.getLogger(__name__)

_MAX_LAG_US = 10**9

Clock = Callable[[], float]


class ProbeEngine:
    """One per process and event loop. All batches share its connections' limit and contexts."""

    def __init__(
        self,
        *,
        guard: Guard,
        user_agent: str,
        in_flight: int = DEFAULT_IN_FLIGHT,
        ca_file: str | None = None,
        name_servers: Sequence[NameServer] = (),
        cores: float | None = None,
        clock: Clock = time.time,
    ) -> None:
        """`cores`: the share of a processor to pace for, None: what this process is granted."""
        self.in_flight = in_flight
        self._clock = clock
        self._cores = cores
        self._pace = Pace(cores or granted_cores())
        self._slots = asyncio.Semaphore(in_flight)
        resolver = Resolver(name_servers)
        self._connector = Connector(guard=guard, resolver=resolver, ca_file=ca_file)
        self._probers = probers(
            Kit(
                guard=guard,
                user_agent=user_agent,
                connector=self._connector,
                resolver=resolver,
            )
        )
        self._canaries = Canaries(self._ask)

    @property
    def tls_context(self) -> ssl.SSLContext:
        """To share: the roots of another one would take 20 ms to load."""
        return self._connector.tls_context

    def close(self) -> None:
        self._connector.close()

    async def probe(self, probe: Probe, *, due: float | None = None) -> Result:
        """One result for one probe. `due` is the loop time at which it ought to have started."""
        loop = asyncio.get_running_loop()
        if due is None:
            due = loop.time()
        await self._admit(due)
        try:
            return await self._start(probe, due)
        finally:
            self._slots.release()

    async def _admit(self, due: float) -> None:
        """Returns when one more probe may start; it holds a slot until it is over."""
        await self._slots.acquire()
        try:
            await self._pace.turn(due)
        except BaseException:
            self._slots.release()
            raise

    async def _start(self, probe: Probe, due: float) -> Result:
        lag_s = asyncio.get_running_loop().time() - due
        result = await self._ask(probe, lag_us=min(max(0, int(lag_s * 1e6)), _MAX_LAG_US))
        if result.reason is Reason.BLOCKED:
            log.warning("blocked check=%s %s", probe.check_id, result.message)
        return result

    async def _ask(self, probe: Probe, *, lag_us: int = 0) -> Result:
        """A fault of ours costs this probe its answer, and never the batch."""
        try:
            return await self._probers[probe.kind].probe(probe, lag_us=lag_us)
        except Exception as error:
            # Neither the error's text nor its trace: either may quote a tenant's secret.
            log.error("check=%s the prober failed: %s", probe.check_id, type(error).__name__)
            return void(probe, "The prober failed.")

    async def run(
        self, batch: Batch, *, sealer: Sealer | None = None, cold_start: bool = False
    ) -> ResultBatch:
        """Probe the whole batch. The caller has waited for its `not_before`."""
        loop = asyncio.get_running_loop()
        started, began = self._clock(), loop.time()
        if self._cores is None:
            self._pace.cores = granted_cores()  # it may be changed while we run
        probes, results, refusals = read_probes(batch.probes, sealer)
        canaries = asyncio.create_task(self._canaries.judge(batch.canaries, slot=batch.minute))
        tasks: list[asyncio.Task[Result]] = []
        try:
            for due, probe in _schedule(probes, batch, now=started, began=began):
                wait = due - loop.time()
                if wait > 0:
                    await asyncio.sleep(wait)
                # Waiting here and not in each task: one timer serves many starts.
                await self._admit(due)
                task = asyncio.create_task(self._start(probe, due))
                # Not in the task: one that is cancelled before its first step runs no `finally`.
                task.add_done_callback(lambda _: self._slots.release())
                tasks.append(task)
            for task in tasks:  # most are over by now, and waiting for those costs nothing
                results.append(await task)
            fitness = await canaries
            if not fitness.unfit and _mostly_bad(results):
                # They may have been well when this batch began, or when an earlier one did.
                fitness = await self._canaries.judge(batch.canaries, slot=batch.minute, afresh=True)
        finally:
            for each in (*tasks, canaries):
                each.cancel()
        if fitness.unfit:
            log.error("batch void: %s of %s canaries failed", fitness.failed, fitness.asked)
            results = [replace(result, outcome=Outcome.VOID) for result in results]
        lags = sorted(result.lag_us for result in results)
        figures = WorkerFigures(
            started_ms=int(started * 1_000),
            duration_ms=int((loop.time() - began) * 1_000),
            in_flight=self.in_flight,
            lag_p50_us=_percentile(lags, 50),
            lag_p99_us=_percentile(lags, 99),
            cold_start=cold_start,
            canaries=fitness.asked,
            canaries_failed=fitness.failed,
        )
        return ResultBatch(
            minute=batch.minute,
            number=batch.number,
            attempt=batch.attempt,
            region=batch.region,
            results=tuple(results),
            refusals=tuple(refusals),
            worker=figures,
        )


def _schedule(
    probes: Sequence[Probe], batch: Batch, *, now: float, began: float
) -> list[tuple[float, Probe]]:
    """When each probe starts, in loop time. Probes of one second are spread evenly over it, so
    that they do not compete for the CPU and falsify each other's times."""
    if not batch.paced:
        return [(began, probe) for probe in probes]
    # A worker that was called too early does not wait (and is not billed) for the difference.
    early = max(0.0, batch.not_before - now)
    seconds: dict[int, list[Probe]] = {}
    for probe in sorted(probes, key=lambda probe: probe.slot):
        seconds.setdefault(probe.slot, []).append(probe)
    return [
        (began + slot + position / len(together) - now - early, probe)
        for slot, together in seconds.items()
        for position, probe in enumerate(together)
    ]


def _mostly_bad(results: Sequence[Result]) -> bool:
    bad = sum(not result.outcome.is_good for result in results)
    return bad * 2 > len(results)


def _percentile(ordered: Sequence[int], percent: int) -> int:
    if not ordered:
        return 0
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]

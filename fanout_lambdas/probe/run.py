"""The engine: probes a batch, each at its slot, with a bound on what is in flight; canaries decide
whether the prober itself was fit."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fanout_lambdas.probe.connection import Connector
from fanout_lambdas.probe.kinds import Kit, probers
from fanout_lambdas.probe.name_servers import NameServer
from fanout_lambdas.probe.resolver import Resolver
from fanout_lambdas.sealing import SECRET_FIELDS, SealBroken, Sealer
from fanout_lambdas.shared.contracts import (
    Batch,
    ContractError,
    Outcome,
    Probe,
    Reason,
    Refusal,
    Result,
    ResultBatch,
    WorkerFigures,
)
from fanout_lambdas.shared.netguard import Guard

log = logging.getLogger(__name__)

DEFAULT_IN_FLIGHT = 100
CANARIES_GOOD_FOR_S = 10.0  # batches that follow each other closely share one verdict
_MAX_LAG_US = 10**9

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class _Canaries:
    asked: int = 0
    failed: int = 0

    @property
    def unfit(self) -> bool:
        return self.failed * 2 > self.asked


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
        clock: Clock = time.time,
    ) -> None:
        self.in_flight = in_flight
        self._clock = clock
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
        self._canaries: tuple[float, _Canaries] | None = None

    def close(self) -> None:
        self._connector.close()

    async def probe(self, probe: Probe, *, due: float | None = None) -> Result:
        """One result for one probe. `due` is the loop time at which it ought to have started."""
        loop = asyncio.get_running_loop()
        if due is None:
            due = loop.time()
        async with self._slots:
            lag_us = min(max(0, int((loop.time() - due) * 1e6)), _MAX_LAG_US)
            result = await self._ask(probe, lag_us=lag_us)
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
            return _void(probe, "The prober failed.")

    async def run(
        self, batch: Batch, *, sealer: Sealer | None = None, cold_start: bool = False
    ) -> ResultBatch:
        """Probe the whole batch. The caller has waited for its `not_before`."""
        loop = asyncio.get_running_loop()
        started, began = self._clock(), loop.time()
        probes, results, refusals = _read_probes(batch.probes, sealer)
        canaries = asyncio.create_task(self._ask_canaries(batch))
        tasks: list[asyncio.Task[Result]] = []
        try:
            for due, probe in _schedule(probes, batch, now=started, began=began):
                wait = due - loop.time()
                if wait > 0:
                    await asyncio.sleep(wait)
                tasks.append(asyncio.create_task(self.probe(probe, due=due)))
            results += await asyncio.gather(*tasks)
            verdict = await canaries
        finally:
            for task in (*tasks, canaries):
                task.cancel()
        if verdict.unfit:
            log.error("batch void: %s of %s canaries failed", verdict.failed, verdict.asked)
            results = [replace(result, outcome=Outcome.VOID) for result in results]
        lags = sorted(result.lag_us for result in results)
        figures = WorkerFigures(
            started_ms=int(started * 1_000),
            duration_ms=int((loop.time() - began) * 1_000),
            in_flight=self.in_flight,
            lag_p50_us=_percentile(lags, 50),
            lag_p99_us=_percentile(lags, 99),
            cold_start=cold_start,
            canaries=verdict.asked,
            canaries_failed=verdict.failed,
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

    async def _ask_canaries(self, batch: Batch) -> _Canaries:
        loop = asyncio.get_running_loop()
        if not batch.canaries:
            return _Canaries()
        if self._canaries and loop.time() - self._canaries[0] < CANARIES_GOOD_FOR_S:
            return self._canaries[1]
        probes = []
        for raw in batch.canaries:
            try:
                probes.append(Probe.from_json({**raw, "check_id": 0, "slot": batch.minute}))
            except (ContractError, TypeError) as error:
                log.error("a canary is not a probe: %s", error)
        # Beside the in-flight limit: a full queue must not make the prober look unfit.
        answers = await asyncio.gather(*(self._ask(probe) for probe in probes))
        failed = sum(not answer.outcome.is_good for answer in answers)
        verdict = _Canaries(asked=len(answers), failed=failed)
        self._canaries = loop.time(), verdict
        return verdict


def read_probe(raw: Any, sealer: Sealer | None = None) -> Probe | Refusal | Result:
    """The probe in `raw`, its secrets opened. A refusal where it breaks the contract; a void
    result where its secrets cannot be opened, which is our fault and not the target's."""
    if not isinstance(raw, dict):
        return Refusal(check_id=None, error=ContractError("", "type", "A probe is an object."))
    sealed = raw.get("sealed")
    try:
        if sealed is None:
            return Probe.from_json(raw)
        plain = {name: value for name, value in raw.items() if name != "sealed"}
        if sealer is None or not isinstance(sealed, str):
            raise SealBroken("This worker has no sealing key.")
        opened = sealer.open(sealed)
        return Probe.from_json(
            plain | {name: opened[name] for name in SECRET_FIELDS if name in opened}
        )
    except SealBroken as error:
        return _unopened(plain, str(error))
    except ContractError as error:
        return Refusal(check_id=_shown_id(raw.get("check_id")), error=error)


def _unopened(plain: Mapping[str, Any], message: str) -> Refusal | Result:
    try:
        probe = Probe.from_json(plain)
    except ContractError as error:
        return Refusal(check_id=_shown_id(plain.get("check_id")), error=error)
    log.error("check=%s %s", probe.check_id, message)
    return _void(probe, message)


def _void(probe: Probe, message: str) -> Result:
    return Result(
        check_id=probe.check_id,
        slot=probe.slot,
        outcome=Outcome.VOID,
        reason=Reason.INTERNAL,
        message=message,
    )


def _read_probes(
    raw: Sequence[Any], sealer: Sealer | None
) -> tuple[list[Probe], list[Result], list[Refusal]]:
    probes: list[Probe] = []
    results: list[Result] = []
    refusals: list[Refusal] = []
    for each in raw:
        match read_probe(each, sealer):
            case Probe() as probe:
                probes.append(probe)
            case Result() as result:
                results.append(result)
            case Refusal() as refusal:
                log.error("check=%s refused: %s", refusal.check_id, refusal.error)
                refusals.append(refusal)
    return probes, results, refusals


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


def _percentile(ordered: Sequence[int], percent: int) -> int:
    if not ordered:
        return 0
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def _shown_id(value: Any) -> int | str | None:
    if type(value) is int and 0 <= value < 2**63:
        return value
    if isinstance(value, str):
        return value[:64].replace("\0", "").encode("utf-8", "replace").decode("utf-8")
    return None

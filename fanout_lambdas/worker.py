"""The worker (hop 3): waits for its batch's time, probes it, reports it."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import cache, partial
from typing import Any, Protocol

from fanout_lambdas.config import WorkerConfig
from fanout_lambdas.objectstore import open_store
from fanout_lambdas.probe.run import ProbeEngine
from fanout_lambdas.report import Reporter
from fanout_lambdas.sealing import Sealer
from fanout_lambdas.shared.contracts import Batch, ContractError, ResultBatch
from fanout_lambdas.shared.netguard import Guard

log = logging.getLogger(__name__)

MAX_WAIT_S = 10.0
MOST_REMEMBERED = 4_096  # batches; of a few hundred bytes each
# Patience with ingest is billed, and holds an environment: 10,000 one-check workers a minute with 20 s of it each
# would be 3,300 at once where AWS allows 1,000, and probing would end with ingest. The spool loses nothing.
BILLED_PATIENCE_S = 5.0


class BatchRefused(Exception):
    """The batch is not for this worker, or its time is over: the watch job books its slots."""


class Begun:
    """The batches that a process has begun: events are delivered at least once, sometimes twice."""

    def __init__(self) -> None:
        self._keys: dict[tuple[str, int, int, int], None] = {}

    def add(self, batch: Batch) -> None:
        """Raises BatchRefused for a repeat."""
        key = _identity(batch)
        if key in self._keys:
            raise BatchRefused(f"Batch {batch.number} of minute {batch.minute} is a repeat.")
        if len(self._keys) >= MOST_REMEMBERED:
            del self._keys[next(iter(self._keys))]
        self._keys[key] = None

    def forget(self, batch: Batch) -> None:
        """It came to nothing: a repeat would be welcome."""
        self._keys.pop(_identity(batch), None)


class Reports(Protocol):
    async def report(self, batch: ResultBatch) -> object: ...


async def run_worker(
    event: Mapping[str, Any],
    *,
    engine: ProbeEngine,
    reporter: Reports,
    sealer: Sealer | None = None,
    region: str | None = None,
    begun: Begun | None = None,
    cold_start: bool = False,
    max_wait_s: float = MAX_WAIT_S,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> ResultBatch:
    """Probe and report one batch; raises ContractError or BatchRefused before the first probe.

    Called earlier than `max_wait_s` before the batch's time, it probes that much early: on Lambda
    waiting is billed. A process of one's own may wait longer.
    """
    batch = Batch.from_json(event)
    if region is not None and batch.region != region:
        raise BatchRefused(f"The batch is for region {batch.region}, this worker is {region}.")
    late = clock() - batch.deadline
    if late > 0:
        raise BatchRefused(f"The batch came {late:.1f} s after its deadline.")
    if begun is not None:
        begun.add(batch)
    try:
        early = batch.not_before - clock()
        if early > 0:
            await sleep(min(early, max_wait_s))
        results = await engine.run(batch, sealer=sealer, cold_start=cold_start)
        await reporter.report(results)
    except BaseException:
        if begun is not None:
            begun.forget(batch)
        raise
    return results


class _Process:
    """What one execution environment keeps between invocations."""

    def __init__(self, config: WorkerConfig) -> None:
        self.config = config
        self.runner = asyncio.Runner()
        self.runs = 0
        self.begun = Begun()
        self.sealer = Sealer(config.sealing_keys) if config.sealing_keys else None
        self.engine, self.reporter = self.runner.run(self._build())
        # A look at all that was imported takes as long as ten probes, and all wait for it.
        gc.collect()
        gc.freeze()

    async def _build(self) -> tuple[ProbeEngine, Reporter]:
        engine = ProbeEngine(
            guard=Guard(self.config.allow),
            user_agent=self.config.user_agent,
            in_flight=self.config.in_flight,
            ca_file=self.config.ca_file,
            name_servers=self.config.name_servers,
        )
        reporter = Reporter(
            ingest_url=self.config.ingest_url,
            key_id=self.config.key_id,
            secret=self.config.secret,
            store=partial(open_store, self.config.object_store_url),
            tls=engine.tls_context,
            budget_s=BILLED_PATIENCE_S,
        )
        return engine, reporter

    def run(self, event: Mapping[str, Any]) -> ResultBatch:
        self.runs += 1
        return self.runner.run(
            run_worker(
                event,
                engine=self.engine,
                reporter=self.reporter,
                sealer=self.sealer,
                region=self.config.region,
                begun=self.begun,
                cold_start=self.runs == 1,
            )
        )


def _identity(batch: Batch) -> tuple[str, int, int, int]:
    return batch.region, batch.minute, batch.number, batch.attempt


@cache
def _process() -> _Process:
    return _Process(WorkerConfig.from_env())


def handler(event: Any, context: object) -> dict[str, Any]:
    """The Lambda entry. A refused batch is an answer, not an error: a retry would not help it."""
    try:
        results = _process().run(event)
    except (BatchRefused, ContractError) as error:
        log.warning("batch refused: %s", error)
        return {"refused": str(error)}
    return {"results": len(results.results), "refusals": len(results.refusals)}


if os.environ.get("_HANDLER") == f"{__name__}.handler":
    # Lambda lends INIT a whole processor; the first invocation has a fraction of one, and probes that wait for it.
    _process()

"""The measured process: batches of probes through the engine, and what each probe reported."""

from __future__ import annotations

import asyncio
import json
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from fanout_lambdas.config import DEFAULT_IN_FLIGHT, user_agent
from fanout_lambdas.probe.run import ProbeEngine
from fanout_lambdas.shared.contracts import Batch, Outcome, ResultBatch
from fanout_lambdas.shared.netguard import AllowList, Guard

WARM_UP = 5
APART_S = 0.5  # the share of the CPU that was not used does not add up for longer than a period


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """`in_flight` 0: the engine's default. `paced`: all slots lie in one second and share it.
    `apart`: the engine spaces starts by what the CPU gives."""

    url: str
    ca: str
    batches: int
    probes: int
    in_flight: int
    paced: bool
    apart: bool

    def to_argument(self) -> str:
        return json.dumps(asdict(self))


async def _run(order: Order) -> Iterator[dict[str, Any]]:
    engine = ProbeEngine(
        guard=Guard(AllowList.parse("127.0.0.1")),
        user_agent=user_agent(),
        ca_file=order.ca,
        in_flight=order.in_flight or DEFAULT_IN_FLIGHT,
        cores=None if order.apart else math.inf,
    )
    try:
        await engine.run(_batch(order, WARM_UP))
        found = []
        for _ in range(order.batches):
            await asyncio.sleep(APART_S)
            used = time.process_time()
            results = await engine.run(_batch(order, order.probes))
            found.append(_told(results, engine.in_flight, time.process_time() - used))
        return iter(found)
    finally:
        engine.close()


def _batch(order: Order, probes: int) -> Batch:
    now = int(time.time())
    return Batch(
        minute=now // 60 * 60,
        number=0,
        region="bench",
        not_before=now,
        deadline=now + 90,
        paced=order.paced,
        probes=tuple(
            {"check_id": number, "slot": now, "url": order.url, "timeout_ms": 10_000}
            for number in range(probes)
        ),
    )


def _told(report: ResultBatch, in_flight: int, cpu_s: float) -> dict[str, Any]:
    for result in report.results:
        if result.outcome is not Outcome.UP:
            sys.exit(f"a probe was not up: {result.message}")
    return {
        "in_flight": in_flight,
        "cpu_ms": cpu_s * 1_000,
        "duration_ms": report.worker.duration_ms,
        "total_us": [result.total_us for result in report.results],
        "wait_us": [result.phases.wait_us or 0 for result in report.results],
        "lag_us": [result.lag_us for result in report.results],
    }


def main() -> None:
    """Wait for a line, so that the starter can hold this process first; then run and tell."""
    order = Order(**json.loads(sys.argv[1]))
    sys.stdin.readline()
    for batch in asyncio.run(_run(order)):
        print(json.dumps(batch))


if __name__ == "__main__":
    main()

"""Our engine, the worker's whole path: batches in JSON in; guard, phases, assertions, evidence; signed reports out."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from bench.probe.order import KEYWORD, TIMEOUT_S, Order, Run, obey
from fanout_lambdas.config import user_agent
from fanout_lambdas.probe.run import ProbeEngine
from fanout_lambdas.shared.contracts import Batch, Outcome, decode, encode, pack
from fanout_lambdas.shared.netguard import AllowList, Guard
from fanout_lambdas.shared.signing import sign

BATCH = 100  # probes, as the batched topology hands them out
_SECRET = b"the benchmark's own key, 32 bytes"


@contextlib.asynccontextmanager
async def engine(order: Order) -> AsyncIterator[Run]:
    """As many batches at once as keep `in_flight` probes under way."""
    probes = ProbeEngine(
        guard=Guard(AllowList.parse("127.0.0.1,::1")),
        user_agent=user_agent("https://uptime.example/probe"),
        in_flight=order.in_flight,
        ca_file=order.ca,
        cores=None if order.spaced else math.inf,
    )
    gc.collect()
    gc.freeze()  # as the worker does
    expected = Outcome.DOWN if order.down else Outcome.UP

    async def batch(payload: bytes) -> int:
        batch = Batch.from_json(decode(payload))
        report = await probes.run(batch)
        body = pack(report.to_json())
        sign(body, "bench", _SECRET, int(time.time()))
        bad = [result for result in report.results if result.outcome is not expected]
        bad += [r for r in report.results if (r.evidence is not None) is not order.down]
        return len(batch.probes) - len(report.results) + len(bad)

    async def run(count: int) -> int:
        payloads = iter([encode(each) for each in _batches(order, count)])

        async def lane() -> int:
            return sum([await batch(payload) for payload in payloads])

        lanes = order.in_flight // BATCH + 1
        return sum(await asyncio.gather(*(lane() for _ in range(lanes))))

    try:
        yield run
    finally:
        probes.close()


def _batches(order: Order, count: int) -> Iterator[dict[str, Any]]:
    now = int(time.time())
    minute = now // 60 * 60
    for first in range(0, count, BATCH):
        yield Batch(
            minute=minute,
            number=first // BATCH,
            region="bench",
            not_before=now,
            deadline=now + 600,
            paced=False,
            probes=tuple(
                {
                    "check_id": number,
                    "slot": now,
                    "url": order.url,
                    "timeout_ms": int(TIMEOUT_S * 1_000),
                    "keyword": [KEYWORD],
                    "max_latency_ms": 30_000,
                    "cert_min_days": 14,
                }
                for number in range(first, min(first + BATCH, count))
            ),
        ).to_json()


if __name__ == "__main__":
    obey(engine)

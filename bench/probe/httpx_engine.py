"""Stock httpx: one client, one context, a new connection for each request, body read, keyword looked for."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import httpx

from bench.probe.order import KEYWORD, TIMEOUT_S, Order, Run, each, obey, shared_context


@contextlib.asynccontextmanager
async def engine(order: Order) -> AsyncIterator[Run]:
    """`httpx.AsyncClient` without a pool of idle connections."""
    limits = httpx.Limits(max_connections=order.in_flight, max_keepalive_connections=0)
    async with httpx.AsyncClient(
        verify=shared_context(order.ca), limits=limits, timeout=TIMEOUT_S, trust_env=False
    ) as client:

        async def one() -> bool:
            answer = await client.get(order.url, headers={"Connection": "close"})
            return answer.status_code == 200 and KEYWORD in answer.text

        yield each(one, in_flight=order.in_flight)


if __name__ == "__main__":
    obey(engine)

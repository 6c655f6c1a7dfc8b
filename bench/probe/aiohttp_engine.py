"""aiohttp: one session, one context, a new connection for each request, body read, keyword looked for."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import aiohttp

from bench.probe.order import KEYWORD, TIMEOUT_S, Order, Run, each, obey, shared_context


@contextlib.asynccontextmanager
async def engine(order: Order) -> AsyncIterator[Run]:
    """`aiohttp.ClientSession` that closes each connection after its answer."""
    connector = aiohttp.TCPConnector(
        ssl=shared_context(order.ca), limit=order.in_flight, force_close=True
    )
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def one() -> bool:
            async with session.get(order.url) as answer:
                return answer.status == 200 and KEYWORD in await answer.text()

        yield each(one, in_flight=order.in_flight)


if __name__ == "__main__":
    obey(engine)

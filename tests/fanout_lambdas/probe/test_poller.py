"""The poller: one deadline for a whole run, enforced also on busy and stubborn coroutines."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from fanout_lambdas.probe.poller import Poller, ready


def run(coroutine: Coroutine[Any, Any, Any], timeout_s: float = 5) -> Any:
    async def main() -> Any:
        poller = Poller()
        try:
            return await poller.run(coroutine, timeout_s)
        finally:
            poller.close()

    return asyncio.run(main())


async def gives(value: int) -> int:
    await asyncio.sleep(0.01)
    await asyncio.sleep(0)
    return value


async def breaks() -> None:
    await asyncio.sleep(0)
    raise ValueError("broken")


def test_results_and_errors_come_through() -> None:
    assert run(gives(5)) == 5
    with pytest.raises(ValueError, match="broken"):
        run(breaks())


async def waits_for_ever() -> None:
    await ready()


async def sleeps() -> None:
    await asyncio.sleep(60)


async def is_busy() -> None:
    while True:
        await asyncio.sleep(0)


async def swallows_errors() -> None:
    while True:
        try:
            await ready()
        except Exception:
            continue


async def waits_after_its_end() -> None:
    try:
        await ready()
    finally:
        await ready()


@pytest.mark.parametrize(
    "coroutine", [waits_for_ever, sleeps, is_busy, swallows_errors, waits_after_its_end]
)
def test_the_deadline_ends_every_run(coroutine: Any) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        run(coroutine(), 0.1)
    assert 0.1 <= time.monotonic() - began < 3


def test_each_run_of_one_timeout_has_its_own_deadline() -> None:
    async def main() -> list[float]:
        poller, loop = Poller(), asyncio.get_running_loop()

        async def lasts() -> float:
            began = loop.time()
            with pytest.raises(TimeoutError):
                await poller.run(waits_for_ever(), 0.1)
            return loop.time() - began

        async with asyncio.timeout(5):
            first = asyncio.create_task(lasts())
            assert await poller.run(gives(5), 0.1) == 5
            await asyncio.sleep(0.05)
            second = asyncio.create_task(lasts())
            both = [await first, await second]
            third = await lasts()
        poller.close()
        return [*both, third]

    assert min(asyncio.run(main())) >= 0.099


def test_a_busy_run_lets_others_go_on() -> None:
    async def main() -> int:
        poller = Poller()
        busy = asyncio.create_task(poller.run(is_busy(), 5))
        try:
            return await poller.run(gives(7), 5)
        finally:
            busy.cancel()
            poller.close()

    assert asyncio.run(main()) == 7


def test_a_cancelled_run_cleans_up() -> None:
    closed = []

    async def holds() -> None:
        try:
            await ready()
        finally:
            closed.append(True)

    async def main() -> None:
        poller = Poller()
        task = asyncio.create_task(poller.run(holds(), 5))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        poller.close()

    asyncio.run(main())
    assert closed == [True]


def test_events_of_a_socket_wake_its_run() -> None:
    async def main() -> bytes:
        poller = Poller()
        near, far = socket.socketpair()
        near.setblocking(False)

        async def reads() -> bytes:
            poller.watch(near.fileno())
            while True:
                try:
                    return near.recv(10)
                except BlockingIOError:
                    await ready()

        with near, far:
            asyncio.get_running_loop().call_later(0.02, far.send, b"hello")
            try:
                return await poller.run(reads(), 5)
            finally:
                poller.close()

    assert asyncio.run(main()) == b"hello"

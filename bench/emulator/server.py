"""The emulator's own process: so its CPU is counted apart and it shares no interpreter with what it serves.

It reads its setup from standard input, writes its endpoint to standard output, and ends, with every
process it started, when standard input ends: also when its owner was killed.
"""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

from bench.accuracy.share import NoCgroup
from bench.emulator.environment import House
from bench.emulator.function import Function
from bench.emulator.held import Hold
from bench.emulator.invoke_api import InvokeApi
from bench.emulator.region import Region, wait_until_quiet
from bench.emulator.spec import CONTROL, END_S, Setup
from bench.emulator.wire import Request, listen

SWEEP_S = 0.2


class Service:
    """The Invoke API, and beside it what the owner asks under CONTROL."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._regions: dict[str, Region] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        setup, loop = self._setup, asyncio.get_running_loop()
        try:
            hold = Hold() if setup.cpu_share else None
            server, address = await listen(self._serve, port=setup.port)
        except (NoCgroup, OSError) as error:
            print(json.dumps({"error": str(error)}), flush=True)
            return
        self._house = house = House(
            endpoint=f"http://{address}",
            log_folder=setup.log_folder,
            memory_limit=setup.memory_limit,
            hold=hold,
        )
        for name in dict.fromkeys(spec.region for spec in setup.functions):
            self._regions[name] = Region(name, setup, house)
        self._invoke_api = InvokeApi(self._regions, latency_s=setup.invoke_latency_s)
        ended = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, ended.set)
        loop.add_reader(sys.stdin.fileno(), ended.set)
        print(json.dumps({"endpoint": house.endpoint}), flush=True)
        sweep = asyncio.create_task(self._sweep())
        await ended.wait()
        sweep.cancel()
        server.close()
        await self._stop()

    def _functions(self) -> Iterator[Function]:
        for region in self._regions.values():
            yield from region.functions.values()

    def _serve(self, request: Request) -> None:
        if request.path.startswith(CONTROL):
            task = asyncio.create_task(self._control(request))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._invoke_api.serve(request)

    async def _control(self, request: Request) -> None:
        try:
            asked = json.loads(request.body or b"{}")
            said = await self._answer(request.path.removeprefix(CONTROL), asked)
        except KeyError as error:
            request.answer(400, _refusal(f"The emulator knows no {error}."))
        except RuntimeError as error:
            request.answer(400, _refusal(str(error)))
        else:
            request.answer(200, json.dumps(said).encode())

    async def _answer(self, verb: str, asked: dict[str, Any]) -> Any:
        region = self._regions[asked.get("region") or next(iter(self._regions))]
        if verb == "warm":
            await region.functions[asked["function"]].warm(asked["count"])
            return None
        if verb == "drain":
            return await wait_until_quiet([*self._regions.values()], asked["timeout_s"])
        if verb == "ledger":
            return {name: each.account.to_json() for name, each in region.functions.items()}
        if verb == "dead_letters":
            if region.dead_letters.failure:
                raise RuntimeError(region.dead_letters.failure)
            return region.dead_letters.records(asked["queue"])
        if verb == "cpu":
            used = resource.getrusage(resource.RUSAGE_SELF)
            return used.ru_utime + used.ru_stime
        if verb == "processes":
            found = (each.pid for f in self._functions() for each in f.environments)
            return [pid for pid in found if pid is not None]
        raise KeyError(verb)

    async def _sweep(self) -> None:
        """What time alone brings about: idle environments end, memory is looked at."""
        while True:
            await asyncio.sleep(SWEEP_S)
            before = time.monotonic() - self._setup.idle_s
            for function in self._functions():
                function.expire(before)
                if self._setup.memory_limit:
                    for environment in [*function.environments]:
                        environment.check_memory()

    async def _stop(self) -> None:
        for function in self._functions():
            for environment in [*function.environments]:
                environment.stop()
        async with asyncio.timeout(END_S):
            while self._house.processes:
                await asyncio.sleep(0.01)


def _refusal(said: str) -> bytes:
    return json.dumps({"error": said}).encode()


def main() -> None:
    setup = Setup.from_line(sys.stdin.buffer.readline())
    asyncio.run(Service(setup).serve())


if __name__ == "__main__":
    main()

"""One region of the account: its functions, their queues, its dead letters, its concurrency."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from functools import partial

from bench.emulator.capacity import Concurrency, Throttle
from bench.emulator.dead_letters import DeadLetters
from bench.emulator.environment import House
from bench.emulator.events import EventQueue
from bench.emulator.function import Function
from bench.emulator.run import Call, Outcome
from bench.emulator.spec import Setup

QUIET_POLL_S = 0.02


class Region:
    """Invocations by function name; a name that is not here raises KeyError."""

    def __init__(self, name: str, setup: Setup, house: House) -> None:
        specs = [spec for spec in setup.functions if spec.region == name]
        concurrency = Concurrency(setup.limits, specs)
        self._faults = setup.faults
        self._chance = random.Random(f"{setup.faults.seed} {name}")
        self.dead_letters = DeadLetters(name, setup.sqs_endpoint)
        self.functions: dict[str, Function] = {}
        self._queues: dict[str, EventQueue] = {}
        self._waited_for = 0
        for spec in specs:
            self.functions[spec.name] = function = Function(
                spec,
                house,
                concurrency=concurrency,
                limits=setup.limits,
                faults=setup.faults,
                chance=self._chance,
            )
            self._queues[spec.name] = EventQueue(
                function,
                bury=partial(self.dead_letters.bury, spec),
                duplicates=setup.faults.duplicates,
                chance=self._chance,
                time_scale=setup.time_scale,
            )

    def refuse(self, name: str) -> Throttle | None:
        """The fault put in: a caller is told to come again."""
        if not self._faults.throttles or self._chance.random() >= self._faults.throttles:
            return None
        self.functions[name].account.throttles += 1
        self.functions[name].account.refused += 1
        return Throttle.CALLER

    def start(self, name: str, call: Call) -> None:
        """An asynchronous invocation: always accepted, whatever the concurrency."""
        self.functions[name].account.accepted += 1
        self._queues[name].accept(call)

    def invoke(self, name: str, call: Call, answer: Callable[[Outcome], None]) -> Throttle | None:
        """A synchronous invocation."""
        account = self.functions[name].account

        def ended(outcome: Outcome) -> None:
            self._waited_for -= 1
            answer(outcome)

        refused = self.functions[name].begin(call, ended)
        if refused is None:
            account.accepted += 1
            self._waited_for += 1
        else:
            account.refused += 1
        return refused

    @property
    def quiet(self) -> bool:
        """Nothing queued, nothing running, no dead letter on its way."""
        queued = sum(queue.pending for queue in self._queues.values())
        return not (queued or self._waited_for or self.dead_letters.pending)


async def wait_until_quiet(regions: list[Region], timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            while not all(region.quiet for region in regions):
                await asyncio.sleep(QUIET_POLL_S)
    except TimeoutError:
        return False
    return True

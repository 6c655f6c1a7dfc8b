"""One function: its environments, and who may run in them."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Callable

from bench.emulator.capacity import Concurrency, ScalingRate, Throttle
from bench.emulator.environment import Environment, House
from bench.emulator.ledger import Account
from bench.emulator.run import Call, Outcome
from bench.emulator.simulated import SimulatedEnvironment
from bench.emulator.spec import Faults, FunctionSpec, Limits

FIRST_KILL_S = 0.05
"""A killed run's time where no run has ended yet to take a median of."""
RECENT = 100


class Function:
    """A run takes the environment that was used last, or a new one: so those too many grow old."""

    def __init__(
        self,
        spec: FunctionSpec,
        house: House,
        *,
        concurrency: Concurrency,
        limits: Limits,
        faults: Faults,
        chance: random.Random,
    ) -> None:
        self.spec = spec
        self.account = Account(memory_mb=spec.memory_mb)
        self.environments: set[Environment | SimulatedEnvironment] = set()
        self._house, self._faults, self._chance = house, faults, chance
        self._concurrency = concurrency
        self._rate = ScalingRate(limits.scale_per_10s, time.monotonic)
        self._idle: list[Environment | SimulatedEnvironment] = []
        self._number = 0
        self._warming: dict[Environment | SimulatedEnvironment, asyncio.Future[None]] = {}

    def begin(self, call: Call, ended: Callable[[Outcome], None]) -> Throttle | None:
        """Begin a run, or say why not now."""
        refused = self._concurrency.take(self.spec.name)
        if refused is None and not self._idle and not self._rate.take():
            self._concurrency.give_back(self.spec.name)
            refused = Throttle.SCALING
        if refused is not None:
            self.account.throttles += 1
            return refused
        if self._idle:
            environment = self._idle.pop()
        else:
            environment = self._new()
            self.account.cold_starts += 1
        self.account.invocations += 1

        def end(outcome: Outcome) -> None:
            self._concurrency.give_back(self.spec.name)
            self._enter(outcome)
            ended(outcome)

        environment.run(call, end, kill_after_s=self._drawn_kill())
        return None

    async def warm(self, count: int) -> None:
        """Have this many idle ones. Their INIT is not billed: nobody called. Raises RuntimeError where it fails."""
        for _ in range(count - len(self._idle)):
            environment = self._new()
            self._warming[environment] = asyncio.get_running_loop().create_future()
            environment.warmed()
        await asyncio.gather(*self._warming.values())

    def expire(self, before: float) -> None:
        """End those idle since before that time of the monotonic clock."""
        while self._idle and self._idle[0].idle_since < before:
            self._idle[0].stop()

    def _new(self) -> Environment | SimulatedEnvironment:
        self._number += 1
        name = f"{self.spec.region}-{self.spec.name}-{self._number}"
        environment: Environment | SimulatedEnvironment
        if self.spec.simulated_s is None:
            environment = Environment(
                self.spec, self._house, name=name, ready=self._ready, gone=self._gone
            )
        else:
            environment = SimulatedEnvironment(
                self.spec, name=name, ready=self._ready, gone=self._gone
            )
        self.environments.add(environment)
        self.account.peak_environments = max(self.account.peak_environments, len(self.environments))
        return environment

    def _ready(self, environment: Environment | SimulatedEnvironment) -> None:
        self._idle.append(environment)
        if warm := self._warming.pop(environment, None):
            warm.set_result(None)

    def _gone(self, environment: Environment | SimulatedEnvironment) -> None:
        self.environments.discard(environment)
        if environment in self._idle:
            self._idle.remove(environment)
        if warm := self._warming.pop(environment, None):
            said = (environment.init_error or b"stopped").decode(errors="replace")
            warm.set_exception(RuntimeError(f"{self.spec.name} did not start: {said}"))

    def _enter(self, outcome: Outcome) -> None:
        account = self.account
        if outcome.error is None:
            account.finished += 1
        else:
            account.errors += 1
            account.timeouts += outcome.timed_out
        account.init_s += outcome.init_s
        account.bill(init_s=outcome.init_s, run_s=outcome.run_s)
        account.max_memory_mb = max(account.max_memory_mb, outcome.memory_mb)
        account.durations.append(outcome.run_s)
        account.begun.append(outcome.begun)

    def _drawn_kill(self) -> float | None:
        if not self._faults.kills or self._chance.random() >= self._faults.kills:
            return None
        recent = self.account.durations[-RECENT:]
        usual = statistics.median(recent) if recent else FIRST_KILL_S
        return self._chance.uniform(0.0, usual)

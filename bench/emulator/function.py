"""One function: its environments, and who may run in them."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from bench.emulator.capacity import Concurrency, ScalingRate, Throttle
from bench.emulator.environment import Environment, House
from bench.emulator.ledger import Account
from bench.emulator.run import Call, Outcome
from bench.emulator.simulated import SimulatedEnvironment
from bench.emulator.spec import Faults, FunctionSpec, Limits

FIRST_KILL_S = 0.05
"""A killed run's time where no run has ended yet to take a median of."""
RECENT = 100


Ended = Callable[[Outcome], None]
AnyEnvironment = Environment | SimulatedEnvironment


class Function:
    """A run takes the environment that was used last, so that those too many grow old.

    Where all are busy a new one is started for it, and it takes whichever is ready first. What is then
    no longer needed and not yet begun is not started: this machine is smaller than AWS.
    """

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
        self.environments: set[AnyEnvironment] = set()
        self._house, self._faults, self._chance = house, faults, chance
        self._concurrency = concurrency
        self._rate = ScalingRate(limits.scale_per_10s, time.monotonic)
        self._number = 0
        self._idle: list[AnyEnvironment] = []
        self._starting: dict[AnyEnvironment, None] = {}
        self._warming: dict[AnyEnvironment, asyncio.Future[None]] = {}
        self._waiting: deque[tuple[Call, Ended]] = deque()

    def begin(self, call: Call, ended: Ended) -> Throttle | None:
        """Begin a run, or say why not now."""
        refused = self._concurrency.take(self.spec.name)
        if refused is None and not self._idle and not self._rate.take():
            self._concurrency.give_back(self.spec.name)
            refused = Throttle.SCALING
        if refused is not None:
            self.account.throttles += 1
            return refused
        self.account.invocations += 1
        self._waiting.append((call, ended))
        if self._idle:
            self._assign(self._idle.pop())
        else:
            self._start()
        return None

    async def warm(self, count: int) -> None:
        """Have this many idle ones. Their INIT is not billed: nobody called. Raises RuntimeError where it fails."""
        for _ in range(count - len(self._idle)):
            environment = self._start()
            environment.fresh = False
            self._warming[environment] = asyncio.get_running_loop().create_future()
        await asyncio.gather(*self._warming.values())

    def expire(self, before: float) -> None:
        """End those idle since before that time of the monotonic clock."""
        while self._idle and self._idle[0].idle_since < before:
            self._idle[0].stop()

    def _start(self) -> AnyEnvironment:
        self._number += 1
        name = f"{self.spec.region}-{self.spec.name}-{self._number}"
        environment: AnyEnvironment
        if self.spec.simulated_s is None:
            environment = Environment(
                self.spec, self._house, name=name, ready=self._ready, gone=self._gone
            )
        else:
            environment = SimulatedEnvironment(
                self.spec, name=name, ready=self._ready, gone=self._gone
            )
        self._starting[environment] = None
        self.environments.add(environment)
        return environment

    def _ready(self, environment: AnyEnvironment) -> None:
        self._starting.pop(environment, None)
        if warm := self._warming.pop(environment, None):
            warm.set_result(None)
        ready = len(self.environments) - len(self._starting)
        self.account.peak_environments = max(self.account.peak_environments, ready)
        if self._waiting:
            self._assign(environment)
            self._drop_one_too_many()
        else:
            self._idle.append(environment)

    def _gone(self, environment: AnyEnvironment) -> None:
        self.environments.discard(environment)
        if environment in self._idle:
            self._idle.remove(environment)
        started = environment not in self._starting
        self._starting.pop(environment, None)
        failed = environment.failed_init
        if warm := self._warming.pop(environment, None):
            said = failed.payload.decode(errors="replace") if failed else "it was stopped"
            warm.set_exception(RuntimeError(f"{self.spec.name} did not start: {said}"))
        elif not started and failed is not None:
            # The run that it was started for hears why.
            self.account.cold_starts += 1
            self._end(self._waiting.popleft()[1], failed)

    def _assign(self, environment: AnyEnvironment) -> None:
        call, ended = self._waiting.popleft()
        self.account.cold_starts += environment.fresh
        environment.run(call, partial(self._end, ended), kill_after_s=self._drawn_kill())

    def _drop_one_too_many(self) -> None:
        wanted = len(self._waiting) + len(self._warming)
        if len(self._starting) > wanted:
            for environment in reversed(self._starting):
                if environment.pid is None and environment not in self._warming:
                    environment.stop()
                    return

    def _end(self, ended: Ended, outcome: Outcome) -> None:
        self._concurrency.give_back(self.spec.name)
        self._enter(outcome)
        ended(outcome)

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

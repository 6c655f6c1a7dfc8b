"""What a measured minute costs when every minute of a month is like it, and 10 and 100 times of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bench.emulator import FunctionLedger, FunctionSpec
from fanout_lambdas.costs import FunctionUse, Usage, monthly_bill
from fanout_lambdas.designs import MINUTES
from fanout_lambdas.durations import MEASURED
from fanout_lambdas.prices import Architecture, PriceList

MB_A_GB = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """One function's runs in one minute: seconds of each. `times`: each of them so many times over."""

    function: str
    memory_mb: int
    seconds: tuple[float, ...]
    times: float = 1.0

    @property
    def runs(self) -> float:
        return len(self.seconds) * self.times

    @property
    def gb_s(self) -> float:
        return self.times * sum(self.seconds) * self.memory_mb / MB_A_GB


def spent(
    functions: Mapping[str, FunctionSpec], ledger: Mapping[str, FunctionLedger]
) -> tuple[Spent, ...]:
    """What was measured, INIT left out: a function that runs each minute stays warm."""
    return tuple(
        Spent(function=ours, memory_mb=spec.memory_mb, seconds=ledger[spec.name].durations)
        for ours, spec in functions.items()
        if ledger[spec.name].durations
    )


def since(before: FunctionLedger, after: FunctionLedger) -> FunctionLedger:
    """What one function did between two looks, at each of which nothing ran."""
    sums = (
        *("accepted", "invocations", "finished", "errors", "timeouts", "throttles", "refused"),
        *("retries", "duplicates", "dead", "cold_starts", "init_s", "billed_s", "gb_s"),
    )
    return replace(
        after,
        **{each: getattr(after, each) - getattr(before, each) for each in sums},
        durations=after.durations[len(before.durations) :],
        begun=after.begun[len(before.begun) :],
    )


def usd_month(parts: Sequence[Spent], prices: PriceList) -> float:
    """Compute, requests and the model's share of INIT, on arm64 where that has a price of its own.

    Each run is rounded by itself, so that lists that bill in steps of 100 ms are right."""
    uses = []
    for part in parts:
        billed = Counter(prices.billed_s(seconds) for seconds in part.seconds)
        for seconds, runs in billed.items():
            invocations = runs * part.times * MINUTES
            uses.append(
                FunctionUse(
                    name=part.function,
                    memory_mb=part.memory_mb,
                    seconds=seconds,
                    invocations=invocations,
                    cold_starts=invocations * MEASURED.cold_share,
                    init_s=MEASURED.init_s,
                )
            )
    bill = monthly_bill(
        [Usage(functions=tuple(uses))], prices=prices, architecture=Architecture.ARM
    )
    return bill.on_lambda


def many(part: Spent, times: float) -> Spent:
    """So many times the runs."""
    return Spent(
        function=part.function,
        memory_mb=part.memory_mb,
        seconds=part.seconds,
        times=part.times * times,
    )


def longer(part: Spent, times: float) -> Spent:
    """As many runs, each so many times as long."""
    seconds = tuple(each * times for each in part.seconds)
    return Spent(
        function=part.function, memory_mb=part.memory_mb, seconds=seconds, times=part.times
    )


def alike(name: str, *, memory_mb: int, runs: float, seconds: float) -> Spent:
    """Runs that all take the same; a part of a run is none."""
    return Spent(function=name, memory_mb=memory_mb, seconds=(seconds,), times=math.ceil(runs))

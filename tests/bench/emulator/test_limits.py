"""Account and reserved concurrency, and the rate at which a function may grow."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from bench.emulator import Emulator, FunctionSpec, Limits
from bench.emulator.capacity import ScalingRate
from tests.bench.emulator.conftest import ENDED_S, client, function, simulated, start

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


LONG_S = 60.0
"""Nobody waits for such a run: it ends with its emulator."""


def refusals(lambdas: LambdaClient, name: str, count: int = 1) -> list[str]:
    """Why each of so many synchronous invocations was throttled; those that ran are left out."""
    reasons = []
    for _ in range(count):
        try:
            lambdas.invoke(FunctionName=name)
        except lambdas.exceptions.TooManyRequestsException as error:
            reasons.append(error.response["Reason"])  # type: ignore[typeddict-item]
    return reasons


def test_a_function_runs_no_more_than_its_reserved_concurrency(
    emulated: Callable[..., Emulator],
) -> None:
    emulator = emulated(simulated("few", LONG_S, reserved=3), simulated("off", 0.0, reserved=0))
    lambdas = client(emulator)
    for _ in range(3):
        start(lambdas, "few")
    reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert refusals(lambdas, "few", 2) == [reason, reason]
    ledger = emulator.ledger()["few"]
    assert (ledger.invocations, ledger.throttles, ledger.refused) == (3, 2, 2)
    assert ledger.peak_environments == 3
    assert refusals(lambdas, "off") == [reason]


def test_functions_without_a_reservation_share_what_the_account_has_left(
    emulated: Callable[..., Emulator],
) -> None:
    emulator = emulated(
        simulated("one", LONG_S),
        simulated("two", 0.0),
        simulated("own", 0.0, reserved=10),
        simulated("far", 0.0, region="eu-central-1"),
        limits=Limits(concurrency=110),
    )
    lambdas = client(emulator)
    for _ in range(100):
        start(lambdas, "one")
    assert refusals(lambdas, "two") == ["ConcurrentInvocationLimitExceeded"]
    # A reservation is kept free for its function, and another region is another limit.
    assert refusals(lambdas, "own") == []
    assert refusals(client(emulator, region="eu-central-1"), "far") == []


def test_what_has_ended_makes_room(emulated: Callable[..., Emulator]) -> None:
    emulator = emulated(simulated("one", 0.5), simulated("two", 0.0), limits=Limits(concurrency=2))
    lambdas = client(emulator)
    for _ in range(2):
        start(lambdas, "one")
    assert emulator.drain(ENDED_S)
    assert refusals(lambdas, "two", 3) == []


def test_100_must_stay_unreserved_in_each_region() -> None:
    def checked(*functions: FunctionSpec) -> None:
        Limits(concurrency=300).check(functions)

    half = function("half", reserved=100)
    checked(half, dataclasses.replace(half, name="other"))
    checked(half, dataclasses.replace(half, reserved=200, region="eu-central-1"))
    with pytest.raises(ValueError, match=r"us-east-1: 201 of 300 .* 100 must stay unreserved"):
        checked(half, dataclasses.replace(half, name="other", reserved=101))
    # A small account can reserve nothing, and needs not.
    Limits(concurrency=10).check([function("echo")])
    Limits(concurrency=10).check([function("echo", reserved=0)])


def test_a_function_may_grow_by_so_many_environments_in_10_s(
    emulated: Callable[..., Emulator],
) -> None:
    emulator = emulated(
        simulated("wide", LONG_S), simulated("quick", 0.0), limits=Limits(scale_per_10s=1)
    )
    lambdas = client(emulator)
    start(lambdas, "wide")
    assert refusals(lambdas, "wide") == ["FunctionInvocationRateLimitExceeded"]
    # The rate is each function's own, and an environment that exists is not new.
    assert refusals(lambdas, "quick", 3) == []
    assert emulator.ledger()["quick"].cold_starts == 1


def test_the_scaling_rate_refills_continuously_and_does_not_accumulate() -> None:
    now = 0.0
    rate = ScalingRate(1_000, lambda: now)

    def taken(wanted: int) -> int:
        return sum(rate.take() for _ in range(wanted))

    assert taken(1_500) == 1_000
    now = 0.0625
    assert taken(100) == 6
    now = 2.0625
    assert taken(1_000) == 200
    now = 3_600.0
    assert taken(5_000) == 1_000


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"memory_mb": 64}, "echo: memory_mb is 64, it must be from 128 to 10240"),
        ({"timeout_s": 901}, "echo: timeout_s is 901, it must be from 0.001 to 900"),
        ({"retries": 3}, "echo: retries is 3, it must be from 0 to 2"),
        ({"event_age_s": 59}, "echo: event_age_s is 59, it must be from 60 to 21600"),
        ({"reserved": -1}, "echo: reserved is -1"),
    ],
)
def test_what_aws_would_not_deploy_is_refused(given: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        function("echo", **given)


def test_two_functions_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="same name"):
        Emulator([function("echo"), function("echo")])
    Emulator([function("echo"), function("echo", region="eu-central-1")])
    with pytest.raises(ValueError, match="no function"):
        Emulator([])

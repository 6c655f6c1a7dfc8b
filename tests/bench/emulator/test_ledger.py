"""What is billed: milliseconds rounded up, INIT included, times the memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.emulator import Emulator
from bench.emulator.ledger import Account, FunctionLedger
from tests.bench.emulator.conftest import client, function, invoke, simulated


def billed(*runs: tuple[float, float], memory_mb: int = 1_024) -> FunctionLedger:
    account = Account(memory_mb=memory_mb)
    for init_s, run_s in runs:
        account.bill(init_s=init_s, run_s=run_s)
    return FunctionLedger.from_json(account.to_json())


@pytest.mark.parametrize(
    ("init_s", "run_s", "billed_s"),
    [
        (0.0, 0.0001, 0.001),
        (0.0, 0.001, 0.001),
        (0.0, 0.0010001, 0.002),
        (0.0, 0.5, 0.5),
        (0.3, 0.1, 0.4),
        (0.1, 0.2, 0.3),  # which is 0.30000000000000004 in floats
        (0.2501, 0.0, 0.251),
    ],
)
def test_each_run_is_rounded_up_to_the_millisecond_with_its_init(
    init_s: float, run_s: float, billed_s: float
) -> None:
    assert billed((init_s, run_s)).billed_s == pytest.approx(billed_s, abs=1e-9)


def test_runs_are_rounded_one_by_one() -> None:
    assert billed(*[(0.0, 0.0001)] * 1_000).billed_s == pytest.approx(1.0)


def test_gigabyte_seconds_are_by_the_memory_granted() -> None:
    assert billed((0.0, 2.0), memory_mb=256).gb_s == pytest.approx(0.5)
    assert billed((0.0, 2.0), memory_mb=1_769).gb_s == pytest.approx(2 * 1_769 / 1_024)


def test_a_whole_emulator_adds_up(emulated: Callable[..., Emulator]) -> None:
    emulator = emulated(
        simulated("half", 0.5, memory_mb=512),
        function("sleep", memory_mb=256, timeout_s=0.2),
        function("echo"),
    )
    lambdas = client(emulator)
    for _ in range(2):
        lambdas.invoke(FunctionName="half")
    invoke(lambdas, "sleep", {"s": 0.05})
    lambdas.invoke(FunctionName="sleep", Payload=b'{"s": 9}')
    ledger = emulator.ledger()
    assert ledger["half"].billed_s == pytest.approx(1.0)
    assert ledger["half"].gb_s == pytest.approx(0.5)
    assert ledger["half"].durations == (0.5, 0.5)
    sleep = ledger["sleep"]
    assert sleep.durations[1] == 0.2  # a timeout is billed up to the timeout
    exact = sleep.init_s + sum(sleep.durations)
    assert exact <= sleep.billed_s <= exact + 0.0021
    assert sleep.gb_s == pytest.approx(sleep.billed_s / 4)
    assert sleep.begun[0] < sleep.begun[1]
    assert ledger["echo"] == FunctionLedger()
    assert 0 < emulator.cpu_s() < 60

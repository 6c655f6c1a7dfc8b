"""Starts are spaced by what a probe costs and what the CPU gives."""

from __future__ import annotations

import asyncio

import pytest

from fanout_lambdas.probe.pace import (
    BUSY,
    FIRST_COST_S,
    LEAST_COST_S,
    MOST_COST_S,
    MOST_DEBT_S,
    SAMPLE,
    Pace,
)


class Cpu:
    """A CPU clock that each start moves on."""

    def __init__(self) -> None:
        self.used_s = 0.0

    def __call__(self) -> float:
        return self.used_s


def gap(pace: Pace, *, late: bool = False) -> float:
    first = pace.take(1e6, late=late)
    return pace.take(1e6, late=late) - first


@pytest.mark.parametrize(("cores", "used"), [(1.0, BUSY), (0.29, 0.29), (0.07, 0.07)])
def test_starts_use_a_small_share_whole_and_leave_a_part_of_a_core_free(
    cores: float, used: float
) -> None:
    pace = Pace(cores, cpu_clock=Cpu())
    assert gap(pace) == pytest.approx(FIRST_COST_S / used)


def test_who_falls_behind_takes_the_whole_core() -> None:
    pace = Pace(1.0, cpu_clock=Cpu())
    assert gap(pace, late=True) == pytest.approx(FIRST_COST_S)


def test_a_start_after_a_pause_is_at_once_and_no_burst_follows() -> None:
    pace = Pace(0.5, cpu_clock=Cpu())
    pace.take(10.0)
    assert pace.take(20.0) == 20.0
    assert pace.take(20.0) > 20.0


@pytest.mark.parametrize(
    ("cost_s", "learnt"),
    [(0.000_4, 0.000_4), (0.002, 0.002), (0.5, MOST_COST_S), (0.0, LEAST_COST_S)],
)
def test_the_cost_of_a_probe_is_learnt_within_bounds(cost_s: float, learnt: float) -> None:
    cpu = Cpu()
    pace = Pace(1.0, cpu_clock=cpu)
    for _ in range(20 * SAMPLE):
        cpu.used_s += cost_s
        pace.take(0.0)
    before = pace.take(0.0)
    assert pace.take(0.0) - before == pytest.approx(learnt / BUSY, rel=0.01)


def test_what_was_used_beyond_the_share_is_waited_for() -> None:
    cpu = Cpu()
    pace = Pace(0.5, cpu_clock=cpu)
    pace.take(10.0)
    cpu.used_s += 0.020
    assert pace.take(10.0) == pytest.approx(10.0 + 0.020 / 0.5)
    assert pace.take(11.0) == 11.0  # by then it is paid


def test_one_expensive_answer_does_not_stop_all_others() -> None:
    cpu = Cpu()
    pace = Pace(1.0, cpu_clock=cpu)
    pace.take(10.0)
    cpu.used_s += 30.0
    assert pace.take(10.0) == pytest.approx(10.0 + MOST_DEBT_S / BUSY)


def test_those_who_wait_together_learn_what_the_first_of_them_cost() -> None:
    """Many ask at one moment; the cost of a start is known only after it."""

    async def run() -> float:
        loop, cpu = asyncio.get_running_loop(), Cpu()
        pace = Pace(0.5, cpu_clock=cpu)

        async def start() -> None:
            await pace.turn(began)
            cpu.used_s += 0.006

        began = loop.time()
        await asyncio.gather(*(start() for _ in range(10)))
        return loop.time() - began

    assert asyncio.run(run()) > 9 * 0.006 / 0.5 - 0.02


@pytest.mark.parametrize(("cost_s", "waits"), [(0.000_7, {1, 2, 3}), (0.002, {5, 6, 7})])
def test_only_cheap_starts_share_a_timer(cost_s: float, waits: set[int]) -> None:
    async def run() -> int:
        loop, cpu = asyncio.get_running_loop(), Cpu()
        pace = Pace(0.05, cpu_clock=cpu)
        for _ in range(10 * SAMPLE):
            cpu.used_s += cost_s
            pace.take(0.0)
        began = loop.time()
        waited = 0
        for _ in range(8):
            before = loop.time()
            await pace.turn(began)
            waited += loop.time() - before > 0.005
        return waited

    assert asyncio.run(run()) in waits


def test_turns_come_as_far_apart_as_they_should() -> None:
    async def run() -> float:
        loop = asyncio.get_running_loop()
        pace = Pace(0.1, cpu_clock=Cpu())
        began = loop.time()
        for _ in range(SAMPLE - 1):
            await pace.turn(began)
        return loop.time() - began

    least = (SAMPLE - 2) * FIRST_COST_S / 0.1
    assert least - 0.005 < asyncio.run(run()) < 3 * least

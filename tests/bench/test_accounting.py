"""The benchmark plans for itself; its arithmetic agrees with the product's, and its percentiles are honest."""

from __future__ import annotations

import pytest

from bench.accounting import Minute, planned_slots
from bench.report import Bar, percentile
from fanout_lambdas.shared.slots import minute_of, phase, region_of_slot, slots_between

MINUTE = minute_of(1_795_000_000)


@pytest.mark.parametrize("interval_s", [10, 20, 60, 120, 3600])
def test_the_own_plan_is_the_product_s_plan(interval_s: int) -> None:
    checks = [(check_id, interval_s, [1], False) for check_id in range(1, 200)]
    expected = {
        (slot, check_id, 1)
        for check_id, *_ in checks
        for slot in slots_between(interval_s, phase(check_id, interval_s), MINUTE, MINUTE + 60)
    }
    assert planned_slots(checks, MINUTE) == expected


def test_a_minute_check_has_one_slot_in_each_minute_and_each_region() -> None:
    planned = planned_slots([(7, 60, [1, 2], False)], MINUTE)
    assert len(planned) == 2
    assert {region for _, _, region in planned} == {1, 2}


def test_rotating_rounds_are_planned_in_the_region_whose_turn_it_is() -> None:
    ((slot, _, region),) = planned_slots([(7, 60, [1, 2], True)], MINUTE)
    assert region == int(region_of_slot(["1", "2"], slot, 60, phase(7, 60)))


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.99, 0.0), ([5.0], 0.5, 5.0), (list(range(1, 101)), 0.99, 99), ([1, 2, 3, 4], 0.5, 2)],
)
def test_percentiles_are_values_that_were_measured(
    values: list[float], share: float, expected: float
) -> None:
    assert percentile(values, share) == expected


def test_a_bar_says_whether_it_is_met() -> None:
    assert Bar(name="lag", got=1_999, limit=2_000).met
    assert not Bar(name="lag", got=2_001, limit=2_000).met
    assert Bar(name="answered", got=10_000, limit=10_000, least=True).met
    assert not Bar(name="answered", got=9_999, limit=10_000, least=True).met


def test_counters_that_differ_are_seen() -> None:
    numbers = dict.fromkeys(
        [*Minute.__dataclass_fields__.keys() - {"counters"}],
        0,
    )
    counters = {"planned": 10, "answered": 9, "late": 0, "missed": 1}
    account = Minute(**{**numbers, "planned": 10, "answered_in_minute": 9}, counters=counters)
    assert not account.agrees
    account = Minute(
        **{**numbers, "planned": 10, "answered_in_minute": 9, "missed": 1}, counters=counters
    )
    assert account.agrees

"""Phases, slots, grid and rounds."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_lambdas.shared.slots import (
    GRID_S,
    INTERVALS_S,
    minute_from_key,
    minute_key,
    minute_of,
    next_grid,
    phase,
    region_of_slot,
    slots_between,
)

IDS = st.integers(1, 2**63 - 1)
INTERVALS = st.sampled_from(INTERVALS_S)
TIMES = st.integers(0, 4_000_000_000)


def test_phases_are_what_they_always_were() -> None:
    """A change here would move every check of every installation."""
    assert [phase(check_id, 60) for check_id in (1, 2, 3, 1_000, 10**12)] == [37, 14, 51, 2, 53]


@pytest.mark.parametrize("interval", [10, 60, 300])
def test_phases_of_neighbours_are_spread_evenly(interval: int) -> None:
    counts = Counter(phase(check_id, interval) for check_id in range(1, 6_001))
    expected = 6_000 / interval
    assert len(counts) == interval
    assert max(counts.values()) - min(counts.values()) <= max(3, expected * 0.1)


@given(check_id=IDS, interval=INTERVALS)
def test_phase_lies_in_the_interval(check_id: int, interval: int) -> None:
    assert 0 <= phase(check_id, interval) < interval


@given(check_id=IDS, interval=INTERVALS, start=TIMES, length=st.integers(0, 200_000))
def test_slots_are_the_numbers_of_the_definition(
    check_id: int, interval: int, start: int, length: int
) -> None:
    own = phase(check_id, interval)
    slots = slots_between(interval, own, start, start + length)
    assert all((slot - own) % interval == 0 and start <= slot < start + length for slot in slots)
    assert length // interval <= len(slots) <= length // interval + 1
    # Nothing between the windows is lost, nothing comes twice.
    middle = start + length // 2
    halves = (
        *slots_between(interval, own, start, middle),
        *slots_between(interval, own, middle, start + length),
    )
    assert halves == tuple(slots)


@given(check_id=IDS, interval=INTERVALS, after=TIMES)
def test_next_grid_is_the_first_point_after(check_id: int, interval: int, after: int) -> None:
    own = phase(check_id, interval)
    point = next_grid(own, after)
    assert after < point <= after + GRID_S
    assert (point - own) % GRID_S == 0


@given(check_id=IDS, interval=INTERVALS, start=TIMES)
def test_all_slots_lie_on_the_grid(check_id: int, interval: int, start: int) -> None:
    own = phase(check_id, interval)
    for slot in slots_between(interval, own, start, start + 3 * interval):
        assert next_grid(own, slot - 1) == slot


def test_rotating_rounds_take_the_regions_in_turn() -> None:
    regions = ["eu", "us", "ap"]
    slots = slots_between(60, 37, 600, 1_200)
    turns = [region_of_slot(regions, slot, 60, 37) for slot in slots]
    assert turns[:3] == turns[3:6] == turns[6:9]
    assert set(turns[:3]) == set(regions)


@given(at=TIMES)
def test_minute_keys_sort_like_minutes_and_come_back(at: int) -> None:
    minute = minute_of(at)
    assert minute % 60 == 0
    assert minute_from_key(minute_key(minute)) == minute
    assert minute_key(minute) < minute_key(minute + 60)


@pytest.mark.parametrize("text", ["", "20261123", "20261123T0417.json", "2026-11-23T04", "x" * 13])
def test_other_texts_are_no_minute_keys(text: str) -> None:
    with pytest.raises(ValueError, match=r"minute|match"):
        minute_from_key(text)

"""Which slots are due, and how they are cut into batches."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanout_lambdas.planning import (
    BATCH_SPAN_S,
    BATCHED,
    DIRECT,
    FANOUT,
    SLOW_SPAN_S,
    TIERED,
    PlannedSlot,
    Topology,
    due_slots,
    plan_batches,
    plan_extra,
    renew,
    tiers,
    with_tier,
)
from fanout_lambdas.shared.contracts import MAX_PAYLOAD_BYTES, Batch, Probe
from fanout_lambdas.shared.contracts.snapshot import CheckPlan, Snapshot
from fanout_lambdas.shared.slots import INTERVALS_S, phase, slots_between

MINUTE = 1_795_409_160
BILLED = replace(BATCHED, billed=True)


def check(check_id: int, interval: int = 60, **more: object) -> CheckPlan:
    plan = CheckPlan(
        check_id=check_id,
        interval_s=interval,
        phase_s=phase(check_id, interval),
        regions=("local",),
        request={"url": f"https://example.com/{check_id}"},
    )
    return replace(plan, **more)  # type: ignore[arg-type]


def snapshot(*checks: CheckPlan) -> Snapshot:
    return Snapshot(minute=MINUTE, taken_at=MINUTE - 30, checks=checks)


def many(count: int) -> Snapshot:
    return snapshot(*(check(number) for number in range(1, count + 1)))


def slots_of(batches: list[Batch]) -> list[tuple[int, int]]:
    return [(probe["check_id"], probe["slot"]) for batch in batches for probe in batch.probes]


@given(
    checks=st.lists(
        st.tuples(st.integers(1, 10**9), st.sampled_from(INTERVALS_S)),
        max_size=30,
        unique_by=lambda pair: pair[0],
    ),
    minutes=st.integers(1, 5),
)
@settings(max_examples=50, deadline=None)
def test_minutes_together_hold_every_slot_once(checks: list[tuple[int, int]], minutes: int) -> None:
    plan = snapshot(*(check(number, interval) for number, interval in checks))
    due = [
        (planned.check_id, planned.slot)
        for minute in range(MINUTE, MINUTE + minutes * 60, 60)
        for planned in due_slots(plan, minute, "local")
    ]
    expected = [
        (number, slot)
        for number, interval in checks
        for slot in slots_between(interval, phase(number, interval), MINUTE, MINUTE + minutes * 60)
    ]
    assert sorted(due) == sorted(expected)


def test_due_slots_come_in_the_order_of_time() -> None:
    plan = snapshot(*(check(number, 10) for number in range(1, 50)))
    due = due_slots(plan, MINUTE, "local")
    assert len(due) == 49 * 6
    assert due == sorted(due, key=lambda planned: (planned.slot, planned.check_id))


def test_only_own_regions_are_due() -> None:
    plan = snapshot(check(1, regions=("eu", "us")), check(2, regions=("us",)))
    assert {p.check_id for p in due_slots(plan, MINUTE, "us")} == {1, 2}
    assert {p.check_id for p in due_slots(plan, MINUTE, "eu")} == {1}
    assert due_slots(plan, MINUTE, "mars") == []


def test_rotating_rounds_are_shared_out_among_the_regions() -> None:
    regions = ("eu", "us", "ap")
    plan = snapshot(check(7, 10, regions=regions, rotate=True))
    due = {region: [p.slot for p in due_slots(plan, MINUTE, region)] for region in regions}
    assert {len(slots) for slots in due.values()} == {2}
    together = sorted(slot for slots in due.values() for slot in slots)
    assert together == list(slots_between(10, phase(7, 10), MINUTE, MINUTE + 60))


@pytest.mark.parametrize(
    "topology",
    [
        DIRECT,
        FANOUT,
        BATCHED,
        BILLED,
        TIERED,
        Topology(checks_per_worker=7, workers_per_triggerer=3),
    ],
)
def test_batches_hold_every_due_slot_once(topology: Topology) -> None:
    plan = many(1_000)
    batches = plan_batches(plan, MINUTE, "local", topology)
    due = [(planned.check_id, planned.slot) for planned in due_slots(plan, MINUTE, "local")]
    assert sorted(slots_of(batches)) == sorted(due)
    assert [batch.number for batch in batches] == list(range(len(batches)))
    assert max(len(batch.probes) for batch in batches) <= topology.checks_per_worker


def test_article_presets_have_the_article_shape() -> None:
    plan = many(1_000)
    direct = plan_batches(plan, MINUTE, "local", DIRECT)
    assert len(direct) == 1_000
    assert {batch.not_before for batch in direct} == {MINUTE}
    assert not any(batch.paced for batch in direct)
    assert len(tiers(direct, DIRECT)) == 1_000
    assert len(tiers(plan_batches(plan, MINUTE, "local", FANOUT), FANOUT)) == 10


def test_batches_are_cut_in_slot_order_and_start_with_their_first_slot() -> None:
    batches = plan_batches(many(1_000), MINUTE, "local", BATCHED)
    assert [batch.not_before for batch in batches] == sorted(b.not_before for b in batches)
    for batch in batches:
        slots = [probe["slot"] for probe in batch.probes]
        assert slots == sorted(slots)
        assert batch.not_before == slots[0]
        assert slots[-1] - slots[0] < BATCH_SPAN_S
        assert batch.deadline == slots[-1] + 60
        assert batch.paced


@given(
    checks=st.lists(
        st.tuples(
            st.integers(1, 10**9),  # id
            st.sampled_from(INTERVALS_S[:6]),
            st.booleans(),  # slow
            st.integers(0, 30_000),  # expected ms
            st.sampled_from([0, 100, 200_000]),  # bytes of body
            st.sampled_from([("local",), ("far", "local")]),
            st.booleans(),  # rotate
        ),
        max_size=60,
        unique_by=lambda row: row[0],
    ),
    checks_per_worker=st.integers(1, 20),
    workers_per_triggerer=st.integers(0, 5),
    billed=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_every_plan_holds_its_promises(
    checks: list[tuple[int, int, bool, int, int, tuple[str, ...], bool]],
    checks_per_worker: int,
    workers_per_triggerer: int,
    billed: bool,
) -> None:
    plan = snapshot(
        *(
            check(
                number,
                interval,
                slow=slow,
                expected_ms=expected,
                request={"url": "https://example.com/", "body": "b" * size},
                regions=regions,
                rotate=rotate,
            )
            for number, interval, slow, expected, size, regions, rotate in checks
        )
    )
    topology = Topology(
        checks_per_worker=checks_per_worker,
        workers_per_triggerer=workers_per_triggerer,
        billed=billed,
    )
    batches = plan_batches(plan, MINUTE, "local", topology)
    due = [(planned.check_id, planned.slot) for planned in due_slots(plan, MINUTE, "local")]
    assert sorted(slots_of(batches)) == sorted(due)
    assert [batch.number for batch in batches] == list(range(len(batches)))
    assert [batch.not_before for batch in batches] == sorted(b.not_before for b in batches)
    slow = {number for number, _, slow, *_ in checks if slow}
    for batch in batches:
        lanes = {probe["check_id"] in slow for probe in batch.probes}
        slots = [probe["slot"] for probe in batch.probes]
        assert len(lanes) == 1
        # Probed together, two slots of one check would tell of one moment only.
        assert len({probe["check_id"] for probe in batch.probes}) == len(batch.probes)
        assert len(batch.probes) <= checks_per_worker
        assert max(slots) - min(slots) < (
            SLOW_SPAN_S if billed and lanes == {True} else BATCH_SPAN_S
        )
        assert batch.deadline == max(slots) + 60
        assert len(json.dumps(batch.to_json())) < MAX_PAYLOAD_BYTES
        if not topology.spread:
            assert batch.not_before == MINUTE
        else:
            assert batch.not_before == (max(slots) if billed else min(slots))
    groups = tiers(batches, topology)
    assert [batch for group in groups for batch in group] == batches
    assert all(len(group) <= max(1, workers_per_triggerer) for group in groups)
    for group in groups:
        assert len(json.dumps([batch.to_json() for batch in group])) < MAX_PAYLOAD_BYTES
    again = plan_batches(Snapshot.from_bytes(plan.to_bytes()), MINUTE, "local", topology)
    assert [b.to_json() for b in again] == [b.to_json() for b in batches]


def test_where_it_is_billed_what_lasts_long_shares_a_batch() -> None:
    plan = snapshot(
        *(check(number, expected_ms=2_000 + number % 100 * 10) for number in range(1, 6_001))
    )
    batches = plan_batches(plan, MINUTE, "local", BILLED)
    expected = [[probe["check_id"] % 100 for probe in batch.probes] for batch in batches]
    for row in expected:
        assert row == sorted(row, reverse=True)
        assert row[0] - row[-1] <= 40
    # Three seconds hold 300 checks: three batches, or a fourth for a few more.
    assert len(batches) <= 80


def test_where_it_is_billed_each_batch_begins_with_long_and_ends_with_short_answers() -> None:
    plan = snapshot(*(check(number, expected_ms=number % 800 + 1) for number in range(1, 6_001)))
    batches = plan_batches(plan, MINUTE, "local", BILLED)
    for batch in batches:
        expected = [probe["check_id"] % 800 for probe in batch.probes]
        assert expected == sorted(expected, reverse=True)
        assert expected[0] > 700
        assert expected[-1] < 100
    assert len(batches) <= 80


def test_few_long_answers_hold_up_one_batch_that_the_shortest_fill_up() -> None:
    plan = snapshot(
        *(check(n, expected_ms=5_000 if n % 100 == 7 else n % 100 * 10) for n in range(1, 12_001))
    )
    batches = plan_batches(plan, MINUTE, "local", BILLED)
    long = [sum(probe["check_id"] % 100 == 7 for probe in batch.probes) for batch in batches]
    assert sum(long) == 120
    assert sum(map(bool, long)) == 20  # one for each three seconds
    assert all(
        len(batch.probes) == 100 for batch, among in zip(batches, long, strict=True) if among
    )
    slots = [(probe["check_id"], probe["slot"]) for batch in batches for probe in batch.probes]
    assert len(set(slots)) == len(slots) == 12_000


def test_slow_checks_ride_alone_together() -> None:
    plan = snapshot(*(check(number, slow=number % 10 == 0) for number in range(1, 501)))
    batches = plan_batches(plan, MINUTE, "local", BATCHED)
    for batch in batches:
        assert len({probe["check_id"] % 10 == 0 for probe in batch.probes}) == 1


def test_no_slot_of_a_frequent_slow_check_waits_for_its_next_one() -> None:
    plan = snapshot(*(check(number, 10, slow=True) for number in range(1, 51)))
    started: dict[int, list[int]] = {}
    for batch in plan_batches(plan, MINUTE, "local", BILLED):
        for probe in batch.probes:
            assert 0 <= batch.not_before - probe["slot"] < 10
            started.setdefault(probe["check_id"], []).append(batch.not_before)
    assert all(len(set(times)) == 6 for times in started.values())


def test_plan_is_a_pure_function() -> None:
    first = plan_batches(many(300), MINUTE, "local", BATCHED)
    again = plan_batches(Snapshot.from_bytes(many(300).to_bytes()), MINUTE, "local", BATCHED)
    assert [b.to_json() for b in first] == [b.to_json() for b in again]


def test_payload_stays_below_the_limit_of_an_invocation() -> None:
    body = "é" * 30_000  # six bytes each in ASCII JSON
    checks = (check(n, request={"url": "http://example.com/", "body": body}) for n in range(1, 61))
    batches = plan_batches(snapshot(*checks), MINUTE, "local", BATCHED)
    assert len(slots_of(batches)) == 60
    for batch in batches:
        assert len(json.dumps(batch.to_json())) < 1_000_000
    for group in tiers(batches, TIERED):
        assert len(json.dumps([batch.to_json() for batch in group])) < 1_000_000


def test_probe_carries_the_request_and_its_own_regions_seal() -> None:
    plan = snapshot(
        replace(check(5), regions=("eu", "us"), sealed={"eu": "for-eu", "us": "for-us"})
    )
    (batch,) = plan_batches(plan, MINUTE, "us", BATCHED)
    (probe,) = batch.probes
    assert probe["sealed"] == "for-us"
    assert probe["url"] == "https://example.com/5"
    plain = {name: value for name, value in probe.items() if name != "sealed"}
    assert Probe.from_json(plain).check_id == 5


def test_extra_batches_are_numbered_apart_and_never_straddle_a_minute() -> None:
    slots = [
        PlannedSlot(MINUTE + second, number, check(number))
        for number, second in enumerate((58, 59, 60, 61), start=1)
    ]
    batches = plan_extra(slots, region="local")
    assert [batch.number for batch in batches] == [100_000, 100_001]
    assert [batch.minute for batch in batches] == [MINUTE, MINUTE + 60]
    assert [len(batch.probes) for batch in batches] == [2, 2]
    assert plan_extra([], region="local") == []
    assert plan_extra(slots, region="local", first_number=100_040)[0].number == 100_040


@pytest.mark.parametrize(
    "topology", [DIRECT, FANOUT, BATCHED, BILLED, replace(DIRECT, billed=True)]
)
def test_extra_slots_keep_their_time_in_every_topology(topology: Topology) -> None:
    slots = [PlannedSlot(MINUTE + 10 * number, number, check(number)) for number in range(1, 4)]
    batches = plan_extra(slots, region="local", topology=topology)
    assert [batch.not_before for batch in batches] == [MINUTE + 10, MINUTE + 20, MINUTE + 30]


def test_lost_batch_goes_out_again_at_once() -> None:
    (lost,) = plan_batches(snapshot(check(1)), MINUTE, "local", BATCHED)
    again = renew(lost, now=MINUTE + 200)
    assert again.probes == lost.probes
    assert (again.number, again.attempt, again.paced) == (lost.number, 2, False)
    assert again.not_before == MINUTE + 200 < again.deadline


def test_triggerers_join_by_load() -> None:
    assert with_tier(BATCHED, 100) == BATCHED
    assert with_tier(BATCHED, 5_000) == TIERED
    assert with_tier(BILLED, 5_000) == replace(TIERED, billed=True)
    assert with_tier(DIRECT, 10_000) == DIRECT


def test_load_is_flat_over_the_minute() -> None:
    seconds = Counter(planned.slot for planned in due_slots(many(6_000), MINUTE, "local"))
    assert len(seconds) == 60
    assert max(seconds.values()) <= 105

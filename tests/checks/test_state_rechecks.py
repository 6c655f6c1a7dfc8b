"""Rule 7: recheck rounds, from the first doubt to the end of the episode."""

from __future__ import annotations

import random
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from checks.state import Belief, Observation, Outcome, Policy, observe
from tests.checks.test_state import Story


def test_the_round_lies_on_the_grid_of_the_check_after_arrival() -> None:
    check = Story(phase_s=7)
    check.see(7, "U")

    assert check.see(67, "F", arrived=80).recheck_round == 87
    check = Story(phase_s=7)
    assert check.see(67, "F", arrived=87).recheck_round == 97


def test_a_regular_slot_is_its_own_round_and_the_episode_goes_on_after_it() -> None:
    check = Story(interval_s=20)
    check.see(0, "U")

    assert check.see(20, "F", arrived=30).recheck_round is None
    assert check.see(40, "F", arrived=41).recheck_round == 50


def test_an_interval_of_ten_seconds_needs_no_rounds() -> None:
    check = Story(interval_s=10)
    for index, letter in enumerate("UFFFUUFUF"):
        check.see(10 * index, letter)

    assert check.asked == []


def test_no_round_in_maintenance() -> None:
    check = Story(windows=[(65, 300)])
    check.see(0, "U")

    assert check.see(60, "F").recheck_round is None


def test_a_first_good_result_of_a_new_check_needs_no_confirmation() -> None:
    assert Story().see(0, "U").recheck_round is None


def test_a_new_check_that_fails_is_looked_into() -> None:
    assert Story().see(0, "F").recheck_round == 10


def test_the_next_round_waits_for_this_one_in_all_regions() -> None:
    check = Story(regions=(1, 2, 3))
    check.all(0, "UUU")
    assert check.see(60, "F", region=1).recheck_round == 70
    check.see(60, "F", region=2)
    check.see(60, "U", region=3)

    assert check.see(70, "F", region=1).recheck_round is None
    assert check.see(70, "F", region=2).recheck_round is None
    assert check.see(70, "U", region=3).recheck_round == 80


def test_a_marker_is_an_answer() -> None:
    check = Story()
    check.see(0, "U")
    check.see(60, "F")

    assert check.see(70, "X").recheck_round == 80


def test_nobody_waits_for_a_region_that_is_gone() -> None:
    check = Story(regions=(1, 2, 3))
    check.all(0, "UUU")
    for slot in range(60, 600, 60):
        check.see(slot, "U", region=1)
        check.see(slot, "U", region=2)
    check.see(600, "F", region=1)
    check.see(600, "F", region=2)
    check.see(610, "F", region=1)

    assert check.see(610, "F", region=2).recheck_round == 620


def test_a_round_that_nobody_answers_does_not_block_for_ever() -> None:
    check = Story()
    check.see(0, "U")
    assert check.see(60, "F").recheck_round == 70

    assert check.see(69, "F").recheck_round is None, "an odd slot before the round"
    check = Story(regions=(1, 2), quorum=1)
    check.all(0, "UU")
    check.see(60, "F", region=1)
    check.see(60, "U", region=2)
    assert check.see(70, "F", region=1).recheck_round is None, "region 2 may still answer"
    assert check.see(120, "F", region=1, arrived=131).opened is not None


def test_the_episode_ends_when_the_verdict_can_no_longer_change() -> None:
    check = Story(regions=(1, 2, 3))
    check.all(0, "UUU")
    check.all(60, "FUU")
    assert check.asked == [70]

    check.all(70, "FUU")
    assert check.asked == [70], "two others are up: one region alone decides nothing"


def test_recovery_is_confirmed_in_seconds_too() -> None:
    check = Story(regions=(1, 2, 3), down_after=1)
    check.all(0, "FFF")
    assert check.asked == []
    check.see(60, "U", region=1)
    assert check.asked == [70]
    check.see(60, "U", region=2)
    check.see(60, "U", region=3)

    check.all(70, "UUU")
    assert check.belief.incident is None


def test_flapping_uses_no_more_than_the_limit_and_a_settled_check_starts_anew() -> None:
    check = Story()
    check.see(0, "U")
    for index in range(20):
        check.see(60 + 60 * index, "FU"[index % 2])
    assert len(check.asked) == 5

    check.see(1260, "U")
    assert check.see(1320, "F").recheck_round == 1330


def test_rotating_rounds_ask_every_region() -> None:
    check = Story(regions=(1, 2), rotate=True)
    check.see(0, "U", region=1)
    check.see(60, "U", region=2)

    assert check.see(120, "F", region=1).recheck_round == 130
    check.see(130, "F", region=1)
    assert check.see(130, "F", region=2).recheck_round == 140
    check.see(140, "F", region=1)
    check.see(140, "F", region=2)
    check.see(150, "F", region=1)
    over = check.see(150, "F", region=2)

    assert over.opened is not None
    assert (over.opened.started, over.opened.opened) == (130, 150)


def play(
    policy: Policy, health: Callable[[int, int], Outcome], *, until: int
) -> tuple[list[int], list[int], list[int]]:
    """A closed loop: rounds asked for are run. Rechecks asked, and slots of opening and closing."""
    belief = Belief(since=0)
    due = set(range(policy.phase_s, until, policy.interval_s))
    asked: list[int] = []
    opened: list[int] = []
    closed: list[int] = []
    done = -1
    while (slot := min((slot for slot in due if slot > done), default=until)) < until:
        done = slot
        for region in range(len(policy.regions)):
            decision = observe(
                belief,
                Observation(region=region, slot=slot, outcome=health(region, slot)),
                policy,
                arrived=slot + 1,
            )
            belief = decision.belief
            if decision.recheck_round is not None:
                assert decision.recheck_round not in due
                assert decision.recheck_round > slot + 1
                assert (decision.recheck_round - policy.phase_s) % 10 == 0
                asked.append(decision.recheck_round)
                due.add(decision.recheck_round)
            if decision.opened is not None:
                opened.append(slot)
            if decision.closed is not None:
                closed.append(slot)
    return asked, opened, closed


def test_detection_takes_seconds_after_the_first_failure() -> None:
    policy = Policy(interval_s=300, phase_s=13, regions=(0, 1, 2))
    asked, opened, closed = play(
        policy,
        lambda _, slot: Outcome.DOWN if 900 < slot < 2000 else Outcome.UP,
        until=4000,
    )

    assert (opened, closed) == ([933], [2123])
    assert asked == [923, 933, 2123]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    interval=st.sampled_from([10, 20, 60, 120]),
    regions=st.integers(1, 3),
    down_after=st.integers(1, 4),
    up_after=st.integers(1, 3),
)
def test_rounds_stay_within_reason_whatever_happens(
    seed: int, interval: int, regions: int, down_after: int, up_after: int
) -> None:
    chance = random.Random(seed)
    policy = Policy(
        interval_s=interval,
        phase_s=3,
        regions=tuple(range(regions)),
        down_after=down_after,
        up_after=up_after,
    )
    outcomes = [*Outcome, Outcome.UP, Outcome.DOWN]

    asked, opened, closed = play(
        policy, lambda _region, _slot: chance.choice(outcomes), until=40 * interval
    )

    assert len(asked) == len(set(asked))
    assert len(opened) - len(closed) in (0, 1)

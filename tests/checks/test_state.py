"""The state rules as the pipeline calls them: one observation in, one decision out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from checks.state import (
    Belief,
    ClosedIncident,
    Decision,
    Dropped,
    Observation,
    OpenedIncident,
    Outcome,
    Policy,
    RegionState,
    Slowness,
    State,
    Window,
    change_policy,
    delete,
    is_silent,
    observe,
    pause,
    resume,
    state_at,
)

LETTERS = {
    "U": Outcome.UP,
    "D": Outcome.DEGRADED,
    "F": Outcome.DOWN,
    "M": Outcome.MISSED,
    "X": Outcome.VOID,
}


class Story:
    """One check, told slot by slot; each result arrives a second after its slot."""

    def __init__(self, *, windows: Sequence[Window] = (), **policy: object) -> None:
        defaults: dict[str, object] = {"interval_s": 60, "regions": (1,), "quorum": None}
        self.policy = Policy(**(defaults | policy))  # type: ignore[arg-type]
        self.belief = Belief(since=0)
        self.windows = windows
        self.asked: list[int] = []

    def see(
        self, slot: int, letter: str, *, region: int = 1, arrived: int | None = None
    ) -> Decision:
        decision = observe(
            self.belief,
            Observation(region=region, slot=slot, outcome=LETTERS[letter]),
            self.policy,
            arrived=slot + 1 if arrived is None else arrived,
            windows=self.windows,
        )
        self.belief = decision.belief
        if decision.recheck_round is not None:
            self.asked.append(decision.recheck_round)
        return decision

    def all(self, slot: int, letters: str) -> Decision:
        """One letter for each region, in order; the last one's decision."""
        decisions = [
            self.see(slot, letter, region=region)
            for region, letter in zip(self.policy.regions, letters, strict=True)
            if isinstance(region, int)
        ]
        return decisions[-1]


def test_the_story_of_one_outage() -> None:
    check = Story()
    assert check.belief.state is State.NEW

    assert check.see(0, "U").belief.state is State.UP

    first = check.see(60, "F")
    assert first.belief.state is State.UP, "one failure is no outage"
    assert first.recheck_round == 70, "but it is looked into at once"

    second = check.see(70, "F")
    assert (second.opened, second.recheck_round) == (None, 80)

    third = check.see(80, "F")
    assert third.opened == OpenedIncident(
        started=60, opened=80, last_good=0, first_bad=60, region=1
    )
    assert third.belief.state is State.DOWN
    assert third.recheck_round is None, "the question is settled"

    assert check.see(120, "F").opened is None, "one incident, one alert"

    better = check.see(180, "U")
    assert (better.closed, better.belief.state) == (None, State.DOWN)
    assert better.recheck_round == 190

    over = check.see(190, "U")
    assert over.closed == ClosedIncident(ended=180, resolved=190, region=1)
    assert not over.closed.silent
    assert over.belief.state is State.UP
    assert over.belief.incident is None

    again = check.see(240, "F")
    assert (again.opened, again.closed) == (None, None)


class TestDropping:
    def test_a_slot_not_newer_than_the_last_evaluated_is_history(self) -> None:
        check = Story()
        before = check.see(60, "U").belief

        late = check.see(0, "F", arrived=61)

        assert (late.dropped, late.applied) == (Dropped.LATE, False)
        assert late.belief is before

    def test_markers_do_not_move_the_last_evaluated_slot(self) -> None:
        check = Story(down_after=1)
        check.see(0, "U")
        assert check.see(120, "M", arrived=200).applied

        assert check.see(60, "F", arrived=201).opened is not None

    def test_another_regions_slots_do_not_matter(self) -> None:
        check = Story(regions=(1, 2))
        check.see(60, "U", region=1)

        assert check.see(0, "U", region=2, arrived=62).applied

    @pytest.mark.parametrize(("slot", "arrived"), [(161, 100), (100, 86_501)])
    def test_far_from_arrival_is_refused(self, slot: int, arrived: int) -> None:
        assert Story().see(slot, "U", arrived=arrived).dropped is Dropped.REFUSED

    def test_a_region_that_was_not_asked_is_not_heard(self) -> None:
        assert Story().see(0, "F", region=9).dropped is Dropped.EXCLUDED

    def test_maintenance_ends_before_its_last_second(self) -> None:
        check = Story(windows=[(60, 120)])

        assert check.see(60, "U").dropped is Dropped.EXCLUDED
        assert check.see(120, "U").applied


class TestRotation:
    def test_the_cadence_of_a_region_is_the_interval_times_the_regions(self) -> None:
        check = Story(regions=(1, 2, 3), rotate=True, quorum=1)
        for index, letter in enumerate("FUUFUUFUU"):
            decision = check.see(index * 60, letter, region=index % 3 + 1)

        assert decision.belief.incident is not None
        assert decision.belief.incident.opened == 360

    def test_more_than_three_of_them_are_a_gap(self) -> None:
        near, far = (Story(regions=(1, 2, 3), rotate=True, quorum=1) for _ in range(2))
        for slot in (0, 180):
            near.see(slot, "F")
            far.see(slot, "F")

        assert near.see(720, "F").opened is not None
        assert far.see(721, "F").opened is None


class TestQuorum:
    @pytest.mark.parametrize(("regions", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
    def test_the_default_is_the_majority(self, regions: int, needed: int) -> None:
        assert Policy(interval_s=60, regions=tuple(range(regions))).needed == needed

    def test_one_wrong_region_opens_nothing(self) -> None:
        check = Story(regions=(1, 2, 3))
        for slot in range(0, 600, 60):
            check.all(slot, "FUU")

        assert check.belief.state is State.UP
        assert check.belief.regions[1].down is True

    def test_it_closes_when_fewer_than_quorum_are_down(self) -> None:
        check = Story(regions=(1, 2, 3))
        for slot in range(0, 180, 60):
            check.all(slot, "FFF")
        check.all(180, "UFF")
        check.all(240, "UFF")
        assert check.belief.incident is not None
        check.all(300, "UUF")
        over = check.see(360, "U", region=2)

        assert over.closed == ClosedIncident(ended=300, resolved=360, region=2)

    def test_a_lowered_quorum_opens_at_the_next_result(self) -> None:
        check = Story(regions=(1, 2))
        for slot in range(0, 240, 60):
            check.all(slot, "FU")
        lower = replace(check.policy, quorum=1)
        check.belief = change_policy(check.belief, check.policy, lower, at=200)
        check.policy = lower
        assert check.belief.incident is None

        opened = check.see(240, "U", region=2).opened

        assert opened is not None
        assert (opened.started, opened.opened) == (0, 120)

    def test_a_removed_region_has_no_vote(self) -> None:
        check = Story(regions=(1, 2))
        for slot in range(0, 180, 60):
            check.all(slot, "FF")
        fewer = replace(check.policy, regions=(2,))
        check.belief = change_policy(check.belief, check.policy, fewer, at=150)
        check.policy = fewer

        assert set(check.belief.regions) == {2}
        check.see(180, "U", region=2)
        assert check.see(240, "U", region=2).closed is not None


class TestPausing:
    def test_an_open_incident_ends_silently_at_that_moment(self) -> None:
        check = Story(down_after=1)
        check.see(60, "F")

        decision = pause(check.belief, at=75)

        assert decision.closed == ClosedIncident(ended=75, resolved=75, region=None)
        assert decision.closed.silent
        assert decision.belief.state is State.PAUSED
        assert delete(check.belief, at=75) == decision

    def test_it_never_ends_before_it_started(self) -> None:
        check = Story(down_after=1)
        check.see(60, "F", arrived=10)

        closed = pause(check.belief, at=11).closed

        assert closed is not None
        assert closed.ended == closed.resolved == 60

    def test_results_of_the_life_before_never_count(self) -> None:
        check = Story(regions=(1, 2), quorum=1)
        check.see(0, "U")
        check.belief = pause(check.belief, at=30).belief
        assert check.see(60, "U").dropped is Dropped.EXCLUDED
        check.belief = resume(check.belief, check.policy, at=100)

        assert check.belief.state is State.NEW
        assert check.see(90, "U", arrived=101).dropped is Dropped.EXCLUDED
        assert check.see(90, "U", region=2, arrived=101).dropped is Dropped.EXCLUDED
        assert check.see(0, "U", arrived=101).dropped is Dropped.LATE
        assert check.see(100, "U").belief.state is State.UP


class TestSilence:
    @pytest.mark.parametrize(
        ("interval_s", "quiet", "silent"),
        [(10, 179, False), (10, 180, True), (60, 179, False), (60, 180, True), (300, 899, False)],
    )
    def test_three_cadences_and_at_least_three_minutes(
        self, interval_s: int, quiet: int, silent: bool
    ) -> None:
        check = Story(interval_s=interval_s)
        check.see(600, "U")

        assert is_silent(check.belief, check.policy, now=600 + quiet) is silent

    def test_silence_gives_unknown_and_a_good_slot_up_again(self) -> None:
        check = Story()
        check.see(0, "U")
        assert state_at(check.belief, check.policy, now=180) is State.UNKNOWN

        assert check.see(240, "F").belief.state is State.UNKNOWN
        assert check.see(300, "U").belief.state is State.UP

    def test_an_open_incident_stays_down_however_silent(self) -> None:
        check = Story(down_after=1)
        check.see(0, "F")

        assert state_at(check.belief, check.policy, now=9999) is State.DOWN
        assert is_silent(check.belief, check.policy, now=9999)

    def test_a_check_never_heard_of_is_unknown_in_the_end(self) -> None:
        check = Story()

        assert state_at(check.belief, check.policy, now=179) is State.NEW
        assert state_at(check.belief, check.policy, now=180) is State.UNKNOWN

    def test_maintenance_and_pauses_are_not_silent(self) -> None:
        check = Story()
        check.see(0, "U")

        assert not is_silent(check.belief, check.policy, now=990, windows=[(60, 1000)])
        assert not is_silent(pause(check.belief, at=1).belief, check.policy, now=9999)


class TestDegraded:
    def test_it_is_told_once_and_so_is_its_end(self) -> None:
        check = Story()
        told = [check.see(60 * i, letter).slowness for i, letter in enumerate("UDDFDDUU")]

        became, ended = Slowness.DEGRADED, Slowness.RECOVERED
        assert told == [None, became, None, None, None, None, ended, None]

    def test_it_is_never_an_outage(self) -> None:
        check = Story(down_after=1)

        assert all(check.see(60 * i, "D").opened is None for i in range(10))
        assert check.belief.state is State.DEGRADED

    def test_an_outage_speaks_for_itself(self) -> None:
        check = Story()
        told = [check.see(60 * i, letter).slowness for i, letter in enumerate("UFFFDD")]

        assert told == [None] * 5 + [Slowness.DEGRADED], "over, but still slow"

    def test_quorum_applies(self) -> None:
        check = Story(regions=(1, 2, 3))
        assert check.all(0, "DUU").belief.state is State.UP
        assert check.all(60, "DDU").belief.state is State.DEGRADED


def test_a_memory_survives_its_row() -> None:
    memory = RegionState(
        floor=1,
        last_slot=2,
        last_outcome=Outcome.DOWN,
        last_good=3,
        slow=True,
        down=False,
        counts=True,
        run_bad=True,
        run_len=4,
        run_first=5,
        down_first=6,
        down_done=7,
        down_good=8,
        rounds=9,
        awaits=10,
    )

    assert RegionState.from_row(memory.row()) == memory
    assert RegionState.from_row(RegionState().row()) == RegionState()

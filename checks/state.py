"""The state rules (hop 6): belief + observation + policy > decision. Numbers are those of the design.

Pure: no Django, no I/O, no clock. All times are whole epoch seconds in UTC. The words are in
`checks.belief`, maintenance and silence in `checks.exclusion`, pauses and changes of policy in
`checks.life`, recheck rounds (rule 7) in `checks.episode`; callers need this module only.
Rule 1 needs to know what is stored: the database's key tells the pipeline, a set tells the replay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from checks.belief import (
    Belief,
    ClosedIncident,
    Decision,
    Dropped,
    Observation,
    OpenedIncident,
    OpenIncident,
    Policy,
    Region,
    RegionState,
    Slowness,
    State,
    Window,
)
from checks.episode import answer_round, is_settled, next_round
from checks.exclusion import (
    GAP_CADENCES,
    entered_between,
    is_excluded,
    is_silent,
    quiet_s,
    state_at,
)
from checks.life import change_policy, delete, enter_maintenance, pause, resume
from fanout_lambdas.shared.contracts import Outcome

__all__ = [
    "Belief",
    "ClosedIncident",
    "Decision",
    "Dropped",
    "Observation",
    "OpenIncident",
    "OpenedIncident",
    "Outcome",
    "Policy",
    "Region",
    "RegionState",
    "Slowness",
    "State",
    "Window",
    "change_policy",
    "delete",
    "enter_maintenance",
    "is_refused",
    "is_silent",
    "observe",
    "pause",
    "resume",
    "state_at",
]

AHEAD_S = 60
BEHIND_S = 86_400
LONGEST_RUN = 30_000
"""Runs are counted no further, so that a memory stays small."""


def is_refused(slot: int, *, arrived: int) -> bool:
    """Rule 10: more than 60 s ahead of arrival or more than 24 h behind."""
    return slot > arrived + AHEAD_S or slot < arrived - BEHIND_S


def observe(
    belief: Belief,
    observation: Observation,
    policy: Policy,
    *,
    arrived: int,
    windows: Sequence[Window] = (),
) -> Decision:
    """What follows from one result or marker whose slot has no real result yet.

    `windows` are the check's maintenances, those that are over included as far as they lie after
    the regions' last evaluated slots; overlaps do no harm.
    """
    region, slot, outcome = observation.region, observation.slot, observation.outcome
    memory = belief.regions.get(region, RegionState())
    dropped = _reason_to_drop(belief, memory, observation, policy, arrived, windows)
    if dropped is not None:
        return Decision(belief=belief, dropped=dropped)
    if not outcome.is_real:  # rule 3: unknown; it answers a recheck round and moves nothing else
        return _recheck(Decision(belief=belief), observation, policy, arrived, windows, began=False)
    memory = _evaluate(memory, slot, outcome, policy, windows)
    decision = _judge(
        replace(
            belief,
            state=state_at(belief, policy, now=arrived, windows=windows),
            regions={**belief.regions, region: memory},
        ),
        belief,
        observation,
        policy,
    )
    began = memory.contrary and memory.run_len == 1
    return _recheck(decision, observation, policy, arrived, windows, began=began)


def _reason_to_drop(
    belief: Belief,
    memory: RegionState,
    observation: Observation,
    policy: Policy,
    arrived: int,
    windows: Sequence[Window],
) -> Dropped | None:
    slot = observation.slot
    if is_refused(slot, arrived=arrived):
        return Dropped.REFUSED
    if memory.last_slot is not None and slot <= memory.last_slot:
        return Dropped.LATE  # rule 2: history
    if (
        belief.state is State.PAUSED
        or observation.region not in policy.regions
        or (memory.floor is not None and slot < memory.floor)
        or is_excluded(slot, windows)
    ):
        return Dropped.EXCLUDED  # rule 9
    return None


def _evaluate(
    memory: RegionState, slot: int, outcome: Outcome, policy: Policy, windows: Sequence[Window]
) -> RegionState:
    """One region's run and verdict after one more result."""
    run_len, counts, rounds = memory.run_len, memory.counts, memory.rounds
    if (last := memory.last_slot) is not None:
        cadence_s = policy.cadence_s
        if quiet_s(last, slot, cadence_s=cadence_s, windows=windows) > GAP_CADENCES * cadence_s:
            run_len, counts, rounds = 0, False, 0  # rule 4
        elif memory.unfinished and entered_between(last, slot, windows):
            run_len, rounds = 0, 0  # rule 9
    bad = outcome is Outcome.DOWN
    goes_on = run_len > 0 and memory.run_bad is bad
    run_len = min(run_len + 1, LONGEST_RUN) if goes_on else 1
    first = memory.run_first if goes_on and memory.run_first is not None else slot
    down, verdict = memory.down, (memory.down_first, memory.down_done, memory.down_good)
    if bad and run_len >= policy.down_after and not (down and counts):  # rule 5
        down, counts, verdict = True, True, (first, slot, memory.last_good)
    elif not bad and run_len >= policy.up_after:  # rule 5
        down, counts, verdict = False, False, (None, None, None)
    if rounds and is_settled(bad=bad, run_len=run_len, down=down, policy=policy):
        rounds = 0
    # written out, as `replace` costs several times more and this runs for every result
    return RegionState(
        floor=memory.floor,
        last_slot=slot,
        last_outcome=outcome,
        last_good=memory.last_good if bad else slot,
        slow=memory.slow if bad else outcome is Outcome.DEGRADED,
        down=down,
        counts=counts,
        run_bad=bad,
        run_len=run_len,
        run_first=first,
        down_first=verdict[0],
        down_done=verdict[1],
        down_good=verdict[2],
        rounds=rounds,
        awaits=memory.awaits,
    )


def _judge(belief: Belief, before: Belief, observation: Observation, policy: Policy) -> Decision:
    """The check's incident and state, after `observation` was put into `belief.regions`."""
    slot, good = observation.slot, observation.outcome.is_good
    opened = closed = slowness = None
    if belief.incident is None:
        opened = _opening(belief, policy)
    elif good and sum(bool(memory.down) for _, memory in belief.asked(policy)) < policy.needed:
        # rule 8; a verdict that a gap made stale still keeps an incident open
        first = belief.regions[observation.region].run_first
        closed = ClosedIncident(
            ended=max(slot if first is None else first, belief.incident.started),
            resolved=slot,
            region=observation.region,
        )
    incident = belief.incident
    if opened is not None:
        incident = OpenIncident(started=opened.started, opened=opened.opened)
    elif closed is not None:
        incident = None

    # rule 11
    if incident is not None:
        state = State.DOWN
    elif belief.state in (State.NEW, State.UNKNOWN) and not good:
        state = belief.state
    elif belief.is_degraded(policy):
        state = State.DEGRADED
    else:
        state = State.UP

    # rule 12: told by good results alone, and not during an outage
    if good and incident is None:
        slow = _is_slow(belief, policy)
        was_slow = closed is None and _is_slow(before, policy)
        if slow is not was_slow:
            slowness = Slowness.DEGRADED if slow else Slowness.RECOVERED
    since = belief.since
    if state is not before.state:
        since = slot if opened is None else opened.opened
    return Decision(
        belief=replace(belief, state=state, since=since, incident=incident),
        opened=opened,
        closed=closed,
        slowness=slowness,
    )


def _is_slow(belief: Belief, policy: Policy) -> bool:
    return sum(memory.slow for _, memory in belief.asked(policy)) >= policy.needed


def _opening(belief: Belief, policy: Policy) -> OpenedIncident | None:
    """Rules 6 and 8: enough regions are down, by verdicts that no gap has made stale."""
    runs = sorted(
        (memory.down_first, index, name, memory.down_done, memory.down_good)
        for index, (name, memory) in enumerate(belief.asked(policy))
        if memory.counts and memory.down_first is not None and memory.down_done is not None
    )
    if len(runs) < policy.needed:
        return None
    started, _, region, _, last_good = runs[policy.needed - 1]
    return OpenedIncident(
        started=started,
        opened=max(done for _, _, _, done, _ in runs),
        last_good=last_good,
        first_bad=started,
        region=region,
    )


def _recheck(
    decision: Decision,
    observation: Observation,
    policy: Policy,
    arrived: int,
    windows: Sequence[Window],
    *,
    began: bool,
) -> Decision:
    """Rule 7: what this observation means for the round that is awaited, or for a new one."""
    belief, ended = decision.belief, False
    if any(memory.awaits is not None for memory in belief.regions.values()):
        regions, ended = answer_round(
            belief.regions, observation.region, slot=observation.slot, arrived=arrived
        )
        belief = replace(belief, regions=regions)
    elif not began:
        return decision
    belief, slot = next_round(
        belief, policy, began=began, ended=ended, arrived=arrived, windows=windows
    )
    return replace(decision, belief=belief, recheck_round=slot)

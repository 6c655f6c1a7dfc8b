"""Rule 7: when a doubt asks for a recheck round, which round follows it, and when it ends. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from checks.belief import Belief, Policy, Region, RegionState, Window
from checks.exclusion import GAP_CADENCES, is_excluded, quiet_s
from fanout_lambdas.shared.slots import next_grid

PATIENCE_S = 60
"""A round whose slot went by this long ago is over, whoever did not answer."""


def is_settled(*, bad: bool, run_len: int, down: bool | None, policy: Policy) -> bool:
    """The region's run agrees with its verdict for long enough: its episode is over."""
    return bad is bool(down) and run_len >= (policy.down_after if bad else policy.up_after)


def answer_round(
    regions: Mapping[Region, RegionState], region: Region, *, slot: int, arrived: int
) -> tuple[dict[Region, RegionState], bool]:
    """Strike `region`, and whoever is overdue, off the awaited; say whether that ended a round."""
    struck = {
        name: replace(memory, awaits=None)
        for name, memory in regions.items()
        if memory.awaits is not None
        and ((name == region and slot >= memory.awaits) or arrived > memory.awaits + PATIENCE_S)
    }
    answered = {**regions, **struck}
    return answered, bool(struck) and all(memory.awaits is None for memory in answered.values())


def next_round(
    belief: Belief,
    policy: Policy,
    *,
    began: bool,
    ended: bool,
    arrived: int,
    windows: Sequence[Window],
) -> tuple[Belief, int | None]:
    """The belief and the slot of the round to ask for, if one is to be asked for now.

    `began`: this result begins a run against its region's verdict. `ended`: the last round is over.
    """
    regions = belief.regions
    if not (began or ended) or any(memory.awaits is not None for memory in regions.values()):
        return belief, None  # the next round waits for this one
    doubtful = [
        name
        for name in policy.regions
        if (memory := regions.get(name)) is not None
        and memory.contrary
        and memory.rounds < policy.round_limit
    ]
    # the first result of a doubt always asks, as the other regions are yet to be heard
    if not doubtful or not (began or _can_change(belief, policy)):
        return belief, None
    slot = next_grid(policy.phase_s, arrived)
    if is_excluded(slot, windows):
        return belief, None
    # Where a regular slot lies in all regions that slot is the round, and costs nothing. When the
    # rounds rotate it lies in one region only, and the others get their extra slot.
    regular = not policy.rotate and (slot - policy.phase_s) % policy.interval_s == 0
    asked = dict(regions)
    for name in policy.regions:
        memory = regions.get(name)
        if name in doubtful and memory is not None:
            asked[name] = replace(
                memory, awaits=slot, rounds=memory.rounds if regular else memory.rounds + 1
            )
        elif memory is not None and _is_live(memory, slot, policy, windows):
            asked[name] = replace(memory, awaits=slot)
    return replace(belief, regions=asked), None if regular else slot


def _is_live(memory: RegionState, slot: int, policy: Policy, windows: Sequence[Window]) -> bool:
    """A region that has been silent for longer than a gap is not worth waiting for."""
    if memory.last_slot is None:
        return False
    cadence_s = policy.cadence_s
    quiet = quiet_s(memory.last_slot, slot, cadence_s=cadence_s, windows=windows)
    return quiet <= GAP_CADENCES * cadence_s


def _can_change(belief: Belief, policy: Policy) -> bool:
    """Whether the runs under way, if they go on as they began, would change the check's verdict."""
    known = [memory for _, memory in belief.asked(policy)]
    if belief.incident is not None:
        still_down = sum(1 for memory in known if memory.down and memory.run_bad is not False)
        return still_down < policy.needed
    going_down = sum(1 for memory in known if memory.counts or (memory.contrary and memory.run_bad))
    return going_down >= policy.needed

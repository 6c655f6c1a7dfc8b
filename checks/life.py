"""What people do to a check: pause, resume, delete, change its policy (rules 9 and 11). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from checks.belief import Belief, ClosedIncident, Decision, Policy, RegionState, State, Window
from checks.exclusion import entered_between, state_at


def pause(belief: Belief, *, at: int) -> Decision:
    """Rule 9: nothing is evaluated any more; an open incident ends silently at this moment."""
    if belief.state is State.PAUSED:
        return Decision(belief=belief)
    closed = None
    if belief.incident is not None:
        moment = max(at, belief.incident.started)  # slots may be up to a minute ahead
        closed = ClosedIncident(ended=moment, resolved=moment, region=None)
    regions = {
        name: RegionState(floor=memory.floor, last_slot=memory.last_slot)
        for name, memory in belief.regions.items()
    }
    return Decision(belief=Belief(state=State.PAUSED, since=at, regions=regions), closed=closed)


def delete(belief: Belief, *, at: int) -> Decision:
    """Rule 9: as a pause that nobody ends."""
    return pause(belief, at=at)


def resume(belief: Belief, policy: Policy, *, at: int) -> Belief:
    """Rule 9: new, and blind to every slot before this moment."""
    if belief.state is not State.PAUSED:
        return belief
    regions = {
        name: replace(belief.regions.get(name, RegionState()), floor=at)
        for name in (*belief.regions, *policy.regions)
    }
    return Belief(state=State.NEW, since=at, regions=regions)


def enter_maintenance(belief: Belief, *, at: int, windows: Sequence[Window]) -> Belief:
    """Rule 9, for windows that are about to be forgotten: reset the runs that they cut.

    As long as a window is handed to `observe` this is not needed, as it finds the cut itself.
    """
    regions = {
        name: replace(memory, run_len=0, rounds=0)
        if memory.unfinished
        and memory.last_slot is not None
        and entered_between(memory.last_slot, at, windows)
        else memory
        for name, memory in belief.regions.items()
    }
    return replace(belief, regions=regions)


def change_policy(
    belief: Belief, old: Policy, new: Policy, *, at: int, windows: Sequence[Window] = ()
) -> Belief:
    """Carry a belief over to another policy; incidents open and close at the next result only.

    Silence so far is judged by the old policy, regions that left are forgotten, and nobody waits
    for rechecks of the old grid. Runs go on, and meet the new thresholds at the next result.
    """
    state = state_at(belief, old, now=at, windows=windows)
    if state in (State.UP, State.DEGRADED):
        state = State.DEGRADED if belief.is_degraded(new) else State.UP
    return replace(
        belief,
        state=state,
        since=belief.since if state is belief.state else at,
        regions={
            name: replace(memory, awaits=None)
            for name, memory in belief.regions.items()
            if name in new.regions
        },
    )

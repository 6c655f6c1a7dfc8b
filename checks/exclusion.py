"""Maintenance and the measure of silence (rules 4, 9 and 11): what lies between two slots. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from checks.belief import Belief, Policy, State, Window

GAP_CADENCES = 3
SILENCE_S = 180


def is_excluded(slot: int, windows: Sequence[Window]) -> bool:
    """Rule 9: the slot lies in maintenance."""
    return any(start <= slot < end for start, end in windows)


def entered_between(before: int, after: int, windows: Sequence[Window]) -> bool:
    """Rule 9: some maintenance lies between two slots, whether a slot fell into it or not."""
    return any(max(start, before + 1) < min(end, after) for start, end in windows)


def quiet_s(before: int, after: int, *, cadence_s: int, windows: Sequence[Window]) -> int:
    """Seconds from `before` to `after`, with a cadence left out for each excluded slot (rule 4).

    The slots between are `before + k * cadence_s`. Counted by division, never one by one: a
    maintenance may last for months.
    """
    excluded, reached = 0, before
    for start, end in sorted(windows):
        first, last = max(start, reached + 1) - before, min(end, after) - before
        if first < last:
            excluded += (last - 1) // cadence_s - (first - 1) // cadence_s
            reached = before + last - 1
    return after - before - excluded * cadence_s


def is_silent(belief: Belief, policy: Policy, *, now: int, windows: Sequence[Window] = ()) -> bool:
    """Rule 11: nothing evaluated for 3 cadences and at least 3 minutes, maintenance left out."""
    if belief.state is State.PAUSED or policy.heartbeat:
        return False
    memories = belief.regions.values()
    newest = [
        memory.last_slot
        for memory in memories  # without an outcome the slot is one from before a pause
        if memory.last_slot is not None and memory.last_outcome is not None
    ]
    heard = max(newest, default=belief.since)
    quiet = quiet_s(heard, now + 1, cadence_s=policy.interval_s, windows=windows) - 1
    return quiet >= max(GAP_CADENCES * policy.interval_s, SILENCE_S)


def state_at(belief: Belief, policy: Policy, *, now: int, windows: Sequence[Window] = ()) -> State:
    """Rule 11: the state at `now`, which silence alone may have changed to unknown."""
    if belief.state in (State.NEW, State.UP, State.DEGRADED) and is_silent(
        belief, policy, now=now, windows=windows
    ):
        return State.UNKNOWN
    return belief.state

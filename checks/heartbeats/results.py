"""What a heartbeat's call or silence makes of its check: a result in a slot of its own, through the one pipeline.

A result stands in the call's own second, on no grid, so that every time people read is that of the call. A success
that follows a success within the second says nothing new; an outcome that differs takes the next second, so that no
failure is lost behind a success.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from checks.models.result import NOT_PROBED, REASONS
from checks.pipeline.beliefs import Loaded
from checks.pipeline.evaluate import evaluate
from checks.pipeline.fresh import FreshResult
from checks.pipeline.ingest import keep_evidence, roll_again
from checks.pipeline.slots import SlotRow, marker, take_slots
from checks.state import BEHIND_S, RegionState
from fanout_lambdas.shared.contracts import Outcome, Reason

MOST_AHEAD_S = 3
"""So many changes of outcome within one second are noted in the seconds after it."""
MARGIN_S = 3_600
"""Results are written well inside the day that the rules allow."""


class TooFast(Exception):
    """So many changes of outcome that the next would lie too far ahead; try again later."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"try again after {retry_after} s")
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is to be said of a check whose belief is loaded under lock, and the moment it is true of."""

    loaded: Loaded
    at: datetime
    outcome: Outcome
    reason: Reason = Reason.NONE
    message: str = ""
    said: str = ""
    """What the job sent along with a failure: its evidence."""

    @property
    def region_id(self) -> int:
        return int(self.loaded.policy.regions[0])

    @property
    def memory(self) -> RegionState:
        return self.loaded.belief.regions.get(self.region_id, RegionState())

    def slot_from(self, second: int) -> int:
        """The first second, from `second` on, that the rules will evaluate."""
        return max(second, (self.memory.last_slot or 0) + 1, self.memory.floor or 0)


def store_call(verdict: Verdict, *, now: datetime) -> None:
    """A call's outcome, in its own second or, where that is taken, the next."""
    second = int(verdict.at.timestamp())
    slot = verdict.slot_from(second)
    if slot > second and verdict.memory.last_outcome is verdict.outcome:
        return
    if slot > second + MOST_AHEAD_S:
        raise TooFast(slot - second - MOST_AHEAD_S)
    _store([(verdict, slot)], now=now)


def store_silence(verdicts: Sequence[Verdict], *, now: datetime) -> None:
    """Deadlines that passed, each in its own second or the first free one after it."""
    earliest = int(now.timestamp()) - BEHIND_S + MARGIN_S
    slots = [max(int(verdict.at.timestamp()), earliest) for verdict in verdicts]
    _store(
        [(verdict, verdict.slot_from(slot)) for verdict, slot in zip(verdicts, slots, strict=True)],
        now=now,
    )


def _store(slotted: Sequence[tuple[Verdict, int]], *, now: datetime) -> None:
    fresh: list[FreshResult] = []
    for region_id in sorted({verdict.region_id for verdict, _ in slotted}):
        own = {
            (verdict.loaded.check_id, slot): verdict
            for verdict, slot in slotted
            if verdict.region_id == region_id
        }
        rows = [_row(verdict, slot, now) for (_, slot), verdict in own.items()]
        taken = take_slots(rows, region_id=region_id)
        fresh += [_fresh(own[key], key[1]) for key in (*taken.inserted, *taken.replaced)]
    keep_evidence(fresh)
    roll_again(fresh, now)
    evaluate(fresh, now=now)


def _row(verdict: Verdict, slot: int, now: datetime) -> SlotRow:
    loaded = verdict.loaded
    return marker(
        slot=slot,
        check_id=loaded.check_id,
        client_id=loaded.client_id,
        outcome=verdict.outcome,
        now=now,
    )._replace(reason=REASONS[verdict.reason], lag_ms=NOT_PROBED)


def _fresh(verdict: Verdict, slot: int) -> FreshResult:
    return FreshResult(
        check_id=verdict.loaded.check_id,
        client_id=verdict.loaded.client_id,
        region_id=verdict.region_id,
        slot=slot,
        outcome=verdict.outcome,
        reason=verdict.reason,
        message=verdict.message,
        document={"evidence": {"headers": [], "body": verdict.said}} if verdict.said else {},
    )

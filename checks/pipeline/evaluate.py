"""Hop 6: fresh results > beliefs, decided by the pure rules of `checks.state`, inside ingest's transaction.

1. Lock and load the beliefs of all checks concerned, in the order of their ids.
2. Decide result by result, in slot order for each check.
3. Write beliefs back in bulk; hand openings, closings and slowness to `incidents`, rounds to `rechecks`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from checks.pipeline.beliefs import load_beliefs, write_beliefs
from checks.pipeline.fresh import FreshResult
from checks.pipeline.incidents import Turn, record_turns
from checks.pipeline.rechecks import Round, ask_for_rounds
from checks.signals import delivery_due, recheck_due
from checks.state import Observation, observe
from fanout_lambdas.planning import ANSWER_WITHIN_S


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateReport:
    """What one batch changed."""

    evaluated: int
    opened: int
    closed: int
    rounds: int


def evaluate(fresh: Sequence[FreshResult], *, now: datetime) -> EvaluateReport:
    """Evaluate results that were stored for the first time in this transaction."""
    arrived = int(now.timestamp())
    loaded = load_beliefs(result.check_id for result in fresh)
    newest: dict[tuple[int, int | str], FreshResult] = {}
    turns: list[Turn] = []
    rounds: list[Round] = []
    evaluated = 0
    for result in sorted(fresh, key=lambda each: (each.check_id, each.slot, each.region_id)):
        one = loaded.get(result.check_id)
        if one is None:  # deleted since it was probed
            continue
        if result.resent_after_s >= max(ANSWER_WITHIN_S, one.policy.interval_s):
            continue  # it tells of a moment that is a later slot's own
        decision = observe(
            one.belief,
            Observation(region=result.region_id, slot=result.slot, outcome=result.outcome),
            one.policy,
            arrived=arrived,
        )
        one.belief = decision.belief
        if decision.applied and result.outcome.is_real:
            evaluated += 1
            newest[result.check_id, result.region_id] = result
        if decision.opened or decision.closed or decision.slowness:
            turns.append(Turn(loaded=one, decision=decision, result=result))
        if decision.recheck_round is not None:
            rounds.append(
                Round(
                    check_id=one.check_id,
                    client_id=one.client_id,
                    regions=tuple(int(region) for region in one.policy.regions),
                    slot=decision.recheck_round,
                )
            )
    changed = [one for one in loaded.values() if one.belief is not one.before]
    write_beliefs(changed, newest=newest)
    events = record_turns(turns)
    asked = ask_for_rounds(rounds)
    if events:
        transaction.on_commit(lambda: delivery_due.send(sender=None))
    if asked:
        transaction.on_commit(lambda: recheck_due.send(sender=None))
    return EvaluateReport(
        evaluated=evaluated,
        opened=sum(1 for turn in turns if turn.decision.opened),
        closed=sum(1 for turn in turns if turn.decision.closed),
        rounds=asked,
    )

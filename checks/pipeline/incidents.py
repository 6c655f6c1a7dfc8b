"""Hop 7: decisions > Incident and Event rows, in the transaction that evaluated.

Replay safe: a result is evaluated only in the transaction that stored it first, and one incident of a check is open
at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from checks.models import Event, Incident
from checks.models.result import OUTCOMES
from checks.pipeline.beliefs import Loaded, at
from checks.pipeline.fresh import FreshResult
from checks.state import ClosedIncident, Decision, OpenedIncident, Slowness
from fanout_lambdas.shared.contracts import Outcome
from fanout_lambdas.shared.slots import GRID_S

CONFIRMED_BY = """
select n.check_id, extract(epoch from r.at)::bigint, g.code, coalesce(e.message, '')
from unnest(%s::int[], %s::bigint[], %s::bigint[]) as n(check_id, started, opened)
cross join lateral (
    select * from result r where r.check_id = n.check_id and r.outcome = %s and r.at = any(
        array(select to_timestamp(s) from generate_series(n.started, n.opened, %s) s))
) r
join checks_region g on g.id = r.region
left join evidence e on e.at = r.at and e.check_id = r.check_id and e.region = r.region
order by 1, 2, 3
"""
MOST_CONFIRMATIONS = 20
LOOK_BACK_S = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A decision that somebody may want to hear of, and the result that completed it."""

    loaded: Loaded
    decision: Decision
    result: FreshResult


def record_turns(turns: Sequence[Turn]) -> int:
    """Write the incidents and events of these decisions, in their order; how many events there are."""
    confirmations = _confirmed_by(turns)
    events: list[Event] = []
    for turn in turns:
        decision, one = turn.decision, turn.loaded
        if decision.opened:
            incident = _open(turn, decision.opened, confirmations.get(one.check_id, []))
            one.incident_id = incident.pk
            events.append(_event(turn, Event.Kind.DOWN, incident.pk, decision.opened.opened))
        if decision.closed:
            incident_id = close_incident(one, decision.closed)
            events.append(_event(turn, Event.Kind.UP, incident_id, decision.closed.resolved))
        if decision.slowness:
            kind = (
                Event.Kind.DEGRADED
                if decision.slowness is Slowness.DEGRADED
                else Event.Kind.RECOVERED
            )
            events.append(_event(turn, kind, None, turn.result.slot))
    Event.objects.bulk_create(events, ignore_conflicts=True)
    return len(events)


def close_incident(one: Loaded, closed: ClosedIncident) -> int | None:
    """End the check's open incident; its id, or None where none is open."""
    incident_id, one.incident_id = one.incident_id, None
    if incident_id is not None:
        Incident.objects.across_clients().filter(pk=incident_id, resolved_at=None).update(
            ended_at=at(closed.ended),
            # a region that lags behind another may confirm the recovery with an older slot
            resolved_at=at(max(closed.resolved, closed.ended)),
            first_good_at=None if closed.silent else at(closed.ended),
            silent=closed.silent,
        )
    return incident_id


def _open(turn: Turn, opened: OpenedIncident, confirmed_by: list[list[Any]]) -> Incident:
    result = turn.result
    return Incident.objects.create(
        client_id=turn.loaded.client_id,
        subject_id=turn.loaded.check_id,
        started_at=at(opened.started),
        opened_at=at(opened.opened),
        last_good_at=None if opened.last_good is None else at(opened.last_good),
        first_bad_at=at(opened.first_bad),
        reason=result.reason.value,
        message=result.message,
        http_status=result.http_status,
        document={**result.document, "confirmed_by": confirmed_by},
    )


def _event(turn: Turn, kind: Event.Kind, incident_id: int | None, second: int) -> Event:
    result = turn.result
    return Event(
        client_id=turn.loaded.client_id,
        subject_id=turn.loaded.check_id,
        incident_id=incident_id,
        kind=kind,
        at=at(second),
        payload={
            "reason": result.reason.value,
            "message": result.message,
            "http_status": result.http_status,
            "total_us": result.total_us,
            "slot": result.slot,
        },
    )


def _confirmed_by(turns: Sequence[Turn]) -> dict[int, list[list[Any]]]:
    """For each check that went down: [slot, region code, message] of the bad results of its run."""
    opened = [
        (turn.loaded.check_id, turn.decision.opened.started, turn.decision.opened.opened)
        for turn in turns
        if turn.decision.opened
    ]
    found: dict[int, list[list[Any]]] = {}
    if not opened:
        return found
    # The newest are kept; slots lie on the check's 10-second grid, which the start belongs to.
    bounded = [(check_id, max(start, end - LOOK_BACK_S), end) for check_id, start, end in opened]
    with connection.cursor() as cursor:
        cursor.execute(
            CONFIRMED_BY,
            [
                *(list(column) for column in zip(*bounded, strict=True)),
                OUTCOMES[Outcome.DOWN],
                GRID_S,
            ],
        )
        for check_id, slot, region, message in cursor.fetchall():
            found.setdefault(check_id, []).append([slot, region, message])
    return {check_id: rows[-MOST_CONFIRMATIONS:] for check_id, rows in found.items()}

"""Replay: a written list of arrivals through the production state rules, without a database. Pure.

Shows what a policy would have made of them: incidents, alerts, state and what was dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from checks.script import Act, Arrival, Change, Script, Settings, read_script
from checks.state import (
    Belief,
    Decision,
    Dropped,
    Observation,
    Policy,
    Region,
    State,
    change_policy,
    delete,
    enter_maintenance,
    is_refused,
    observe,
    pause,
    resume,
    state_at,
)

Row = tuple[int, int, int | None, int | None]
"""started, opened, ended, resolved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What came of it."""

    incidents: list[Row]
    down_alerts: int
    up_alerts: int
    state: State
    dropped: dict[Dropped, int]

    def document(self) -> dict[str, Any]:
        """As the JSON that `manage.py replay` prints."""
        return {
            "incidents": [list(row) for row in self.incidents],
            "alerts": {"down": self.down_alerts, "up": self.up_alerts},
            "state": self.state.value,
            "dropped": {reason.value: count for reason, count in self.dropped.items()},
        }


def replay_document(document: object) -> dict[str, Any]:
    """Parsed JSON in, printable result out; ScriptError when the document breaks a rule."""
    return replay(read_script(document)).document()


def replay(script: Script) -> Replayed:
    """Every event in the order given, each through the production code."""
    player = _Player(script)
    for event in script.events:
        match event:
            case Arrival():
                player.arrive(event)
            case Act():
                player.act(event)
            case Change():
                player.change(event)
    return player.result()


class _Player:
    """What the pipeline keeps in the database, kept in memory."""

    def __init__(self, script: Script) -> None:
        self.settings = script.settings
        self.policy = _policy(script.settings, script.regions)
        self.now = script.events[-1].at if script.events else 0
        self.belief = Belief(since=script.begins)
        self.stored: dict[tuple[Region, int], bool] = {}
        self.incidents: list[Row] = []
        self.up_alerts = 0
        self.dropped = dict.fromkeys((Dropped.DUPLICATE, Dropped.LATE, Dropped.REFUSED), 0)

    def arrive(self, event: Arrival) -> None:
        key, real = (event.region, event.slot), event.outcome.is_real
        # of refused, duplicate, late the first that fits counts
        if not is_refused(event.slot, arrived=event.at):
            kept = self.stored.get(key)
            if kept or (kept is not None and not real):
                # rule 1: the first real result is kept, and a marker replaces nothing
                self.dropped[Dropped.DUPLICATE] += 1
                return
            self.stored[key] = real
        decision = observe(
            self.belief,
            Observation(region=event.region, slot=event.slot, outcome=event.outcome),
            self.policy,
            arrived=event.at,
            windows=self.settings.maintenance,
        )
        if decision.dropped in self.dropped:
            self.dropped[decision.dropped] += 1
        self._take(decision)

    def act(self, event: Act) -> None:
        match event.verb:
            case "pause":
                self._take(pause(self.belief, at=event.at))
            case "delete":
                self._take(delete(self.belief, at=event.at))
            case "resume":
                self.belief = resume(self.belief, self.policy, at=event.at)

    def change(self, event: Change) -> None:
        windows = self.settings.maintenance
        policy = _policy(event.settings, self.policy.regions)
        self.belief = change_policy(
            enter_maintenance(self.belief, at=event.at, windows=windows),
            self.policy,
            policy,
            at=event.at,
            windows=windows,
        )
        self.policy, self.settings = policy, event.settings

    def _take(self, decision: Decision) -> None:
        self.belief = decision.belief
        if decision.opened is not None:
            self.incidents.append((decision.opened.started, decision.opened.opened, None, None))
        if decision.closed is not None:
            started, opened, _, _ = self.incidents[-1]
            closed = decision.closed
            self.incidents[-1] = (started, opened, closed.ended, closed.resolved)
            self.up_alerts += not closed.silent

    def result(self) -> Replayed:
        return Replayed(
            incidents=self.incidents,
            down_alerts=len(self.incidents),
            up_alerts=self.up_alerts,
            state=state_at(
                self.belief, self.policy, now=self.now, windows=self.settings.maintenance
            ),
            dropped=self.dropped,
        )


def _policy(settings: Settings, regions: tuple[Region, ...]) -> Policy:
    return Policy(
        interval_s=settings.interval,
        regions=regions,
        down_after=settings.down_after,
        up_after=settings.up_after,
        quorum=settings.quorum,
    )

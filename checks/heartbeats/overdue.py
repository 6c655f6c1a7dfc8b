"""Silence: a deadline that passed is a down result, or a void one where we could not have heard the call (rule 15).

Each deadline is judged once: in one transaction the result is written and the next deadline set, under the lock that
calls take too. Killed in the middle, nothing has happened, and the next call of the job finds the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from django.db import transaction

from checks.heartbeats import watched
from checks.heartbeats.deadlines import (
    OWN,
    expect,
    expect_next,
    expect_nothing,
    in_force,
    is_watched,
    locked,
)
from checks.heartbeats.health import could_hear, healthy_spans
from checks.heartbeats.results import Verdict, store_silence
from checks.heartbeats.schedule import Deadline, span_words
from checks.models import Heartbeat
from checks.pipeline.beliefs import Loaded, load_beliefs, write_beliefs
from checks.state import State
from fanout_lambdas.shared.contracts import Outcome, Reason

BATCH = 200
UNKNOWN_AFTER = 3
"""So many deadlines in a row that we could not hear make the check unknown, as three silent cadences do (rule 11)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverdueReport:
    """Deadlines that passed: counted as down, or void because we could not hear."""

    down: int = 0
    void: int = 0


def judge_overdue(*, now: datetime) -> OverdueReport:
    """Judge every deadline that has passed, the oldest first."""
    down = void = 0
    while found := _overdue(now):
        with transaction.atomic():
            verdicts = _judge(found, now)
        down += sum(1 for verdict in verdicts if verdict.outcome is Outcome.DOWN)
        void += sum(1 for verdict in verdicts if verdict.outcome is Outcome.VOID)
        if len(found) < BATCH:
            break
    return OverdueReport(down=down, void=void)


def _overdue(now: datetime) -> list[int]:
    rows = Heartbeat.objects.across_clients().filter(due_at__lte=now).order_by("due_at", "pk")
    return list(rows.values_list("pk", flat=True)[:BATCH])


def _judge(check_ids: Sequence[int], now: datetime) -> list[Verdict]:
    loaded = load_beliefs(check_ids)
    # A call, or another job, may have been quicker.
    rows = Heartbeat.objects.across_clients().filter(pk__in=check_ids, due_at__lte=now)
    beats = list(locked(rows))
    if not beats:
        return []
    spans = healthy_spans(since=min(beat.due_at for beat in beats if beat.due_at is not None))
    verdicts: list[Verdict] = []
    for beat in beats:
        deadline, one = in_force(beat), loaded.get(beat.pk)
        if deadline is None or one is None or not is_watched(beat.subject):
            _wait_anew(beat, now)
        elif could_hear(deadline, spans):
            verdicts.append(_down(beat, deadline, one))
        else:
            verdicts.append(_void(beat, deadline, one, now))
    Heartbeat.objects.across_clients().bulk_update(beats, OWN)
    store_silence(verdicts, now=now)
    _forget_what_nobody_heard(beats, now)
    return verdicts


def _wait_anew(beat: Heartbeat, now: datetime) -> None:
    """Nobody watches it, for its client is suspended: a full period from now, should that end."""
    beat.started_at, beat.run = None, ""
    if beat.subject.deleted_at is None and beat.subject.paused_at is None:
        watched.close_span(beat.pk, at=now)
        expect_next(beat, now, now=now)
    else:
        expect_nothing(beat)


def _down(beat: Heartbeat, deadline: Deadline, loaded: Loaded) -> Verdict:
    beat.voids = 0
    expect_nothing(beat)
    watched.open_span(beat.subject, at=deadline.due)
    return Verdict(
        loaded=loaded,
        at=deadline.due,
        outcome=Outcome.DOWN,
        reason=Reason.TIMEOUT,
        message=_sentence(beat, deadline),
    )


def _void(beat: Heartbeat, deadline: Deadline, loaded: Loaded, now: datetime) -> Verdict:
    """A job that keeps its rhythm calls next when its schedule says so; what lies behind us is not asked for again."""
    beat.voids = min(beat.voids + 1, UNKNOWN_AFTER)
    beat.started_at, beat.run = None, ""
    if beat.expected_at is not None and beat.expected_at > now:  # only the run was not heard
        expect(beat, beat.expected_at)
    else:
        expect_next(beat, beat.expected_at or deadline.start, now=now)
    watched.close_span(beat.pk, at=deadline.start)
    message = (
        f"We could not hear calls all the time from {_clock(deadline.start)} to {_clock(deadline.due)}, "
        "so a missing one is not counted."
    )
    return Verdict(loaded=loaded, at=deadline.due, outcome=Outcome.VOID, message=message)


def _forget_what_nobody_heard(beats: Sequence[Heartbeat], now: datetime) -> None:
    deaf = [beat.pk for beat in beats if beat.voids >= UNKNOWN_AFTER]
    loaded: Mapping[int, Loaded] = load_beliefs(deaf) if deaf else {}
    for one in loaded.values():
        if one.belief.state in (State.NEW, State.UP, State.DEGRADED):
            one.belief = replace(one.belief, state=State.UNKNOWN, since=int(now.timestamp()))
    write_beliefs([one for one in loaded.values() if one.belief is not one.before])


def _sentence(beat: Heartbeat, deadline: Deadline) -> str:
    grace = span_words(beat.subject.grace_s)
    if deadline.run:
        return f"The run that started at {_clock(deadline.start)} did not end within {grace}."
    heard = f"No call since {_clock(beat.last_ping_at)}" if beat.last_ping_at else "No call"
    return f"{heard}; it was expected by {_clock(deadline.start)}, with {grace} of grace."


def _clock(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%d %b %H:%M UTC").removeprefix("0")

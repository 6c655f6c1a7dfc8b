"""A job calls: its ping is logged and judged in one transaction, which locks belief before heartbeat like everybody.

success writes an up result, a failure a down one, a start begins a run, a log line only stands in the log. A paused
heartbeat's calls are logged and not judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from checks.heartbeats import watched
from checks.heartbeats.deadlines import OWN, expect, expect_next, expect_nothing, is_watched, locked
from checks.heartbeats.keys import digest_of
from checks.heartbeats.results import TooFast, Verdict, store_call
from checks.models import Heartbeat, Ping, State
from checks.pipeline.beliefs import Loaded, load_beliefs
from clients.rate import RateLimited, take
from fanout_lambdas.shared.contracts import MAX_EVIDENCE_BODY, Outcome, Reason

CALLS_A_MINUTE = 60
"""For each key: ten times what the fastest heartbeat needs."""
KEPT_PINGS = 100
PRUNE_EVERY = 20
TOO_MANY = "Too many calls of this heartbeat; call again later."
FAILED = "The job reported a failure."


class UnknownKey(Exception):
    """No heartbeat has this key, or it was deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a job told us. `run` pairs a start with its end."""

    kind: Ping.Kind
    exit_status: int | None = None
    run: str = ""
    method: str = "GET"
    remote_address: str = ""
    user_agent: str = ""
    body: str = ""


def record_call(key: str, call: Call, *, now: datetime) -> None:
    """Log and judge one call. UnknownKey; RateLimited when there were too many, and then nothing is logged."""
    digest = digest_of(key)
    check_id = (
        Heartbeat.objects.across_clients()
        .filter(digest=digest, subject__deleted_at=None)
        .values_list("pk", flat=True)
        .first()
    )
    if check_id is None:
        raise UnknownKey
    take(f"ping:{check_id}", limit=CALLS_A_MINUTE, per_s=60, now=now, message=TOO_MANY)
    try:
        with transaction.atomic():
            loaded = load_beliefs([check_id]).get(check_id)
            own = Heartbeat.objects.across_clients().filter(pk=check_id, digest=digest)
            beat = locked(own).first()
            if loaded is None or beat is None:  # deleted, or given another key, a moment ago
                raise UnknownKey
            _take_in(beat, call, loaded, now)
    except TooFast as error:
        raise RateLimited(TOO_MANY, retry_after=error.retry_after) from error


def _take_in(beat: Heartbeat, call: Call, loaded: Loaded, now: datetime) -> None:
    duration_ms = _duration_ms(beat, call, now)
    beat.pings += 1
    Ping.objects.create(
        client_id=beat.client_id,
        subject_id=beat.pk,
        number=beat.pings,
        at=now,
        kind=call.kind,
        exit_status=call.exit_status,
        run=call.run,
        duration_ms=duration_ms,
        method=call.method,
        remote_address=call.remote_address,
        user_agent=call.user_agent,
        body=call.body,
    )
    if beat.pings % PRUNE_EVERY == 0:
        pings = Ping.objects.across_clients().filter(subject_id=beat.pk)
        pings.filter(number__lte=beat.pings - KEPT_PINGS).delete()
    if call.kind is Ping.Kind.START:
        _begin_run(beat, call, now)
    elif call.kind is not Ping.Kind.LOG:
        _end(beat, call, loaded, now)
    beat.save(update_fields=OWN)


def _begin_run(beat: Heartbeat, call: Call, now: datetime) -> None:
    """A second start does not excuse the first: the oldest run that has not ended counts."""
    check = beat.subject
    if beat.started_at is None:
        beat.started_at, beat.run = now, call.run
    if is_watched(check) and check.state != State.DOWN:
        expect(beat, beat.expected_at)
        watched.open_span(check, at=now)


def _end(beat: Heartbeat, call: Call, loaded: Loaded, now: datetime) -> None:
    check, good = beat.subject, call.kind is Ping.Kind.SUCCESS
    if not good or not call.run or call.run == beat.run:
        beat.started_at, beat.run = None, ""
    beat.last_ping_at = now
    if not is_watched(check):
        return
    if good:
        verdict = Verdict(loaded=loaded, at=now, outcome=Outcome.UP)
        expect_next(beat, now, now=now)
    else:
        verdict = Verdict(
            loaded=loaded,
            at=now,
            outcome=Outcome.DOWN,
            reason=Reason.STATUS,
            message=FAILED
            if call.exit_status is None
            else f"The job reported a failure (exit status {call.exit_status}).",
            said=call.body[-MAX_EVIDENCE_BODY:].strip(),
        )
        expect_nothing(beat)
    beat.voids = 0
    watched.open_span(check, at=now)
    store_call(verdict, now=now)


def _duration_ms(beat: Heartbeat, call: Call, now: datetime) -> int | None:
    """From the start of the run that this call ends, if its start is known."""
    if call.kind not in (Ping.Kind.SUCCESS, Ping.Kind.FAIL):
        return None
    started = beat.started_at
    if call.run and call.run != beat.run:
        newest = (
            Ping.objects.across_clients()
            .filter(subject_id=beat.pk, run=call.run)
            .order_by("-number")
            .first()
        )
        started = newest.at if newest is not None and newest.kind == Ping.Kind.START else None
    return None if started is None else max(0, round((now - started).total_seconds() * 1000))

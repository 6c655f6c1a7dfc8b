"""A job's calls: what they make of the check, of its deadline, and of the log."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import transaction

from checks.heartbeats import life as heartbeat_life
from checks.heartbeats.calls import CALLS_A_MINUTE, KEPT_PINGS, Call, UnknownKey, record_call
from checks.heartbeats.life import rotate_key
from checks.heartbeats.overdue import judge_overdue
from checks.heartbeats.results import MOST_AHEAD_S
from checks.models import Check, Event, HeartbeatSpan, Ping
from checks.models.result import Evidence, Result
from checks.pipeline import life
from checks.schedules import schedules_of
from checks.selectors import results_page
from clients.models import AuditEvent
from clients.rate import RateLimited
from dashboard.selectors.results import newest_results
from tests.checks.heartbeats.beats import (
    MINUTE,
    NOON,
    SECOND,
    beat_of,
    call,
    hearing,
    heartbeat,
    incidents,
    outcomes,
    state_of,
)

pytestmark = pytest.mark.django_db


def pings(check: Check) -> list[Ping]:
    return list(Ping.objects.for_client(check.client).filter(subject=check).order_by("number"))


def events(check: Check) -> list[str]:
    rows = Event.objects.for_client(check.client).filter(subject=check).order_by("pk")
    return [row.kind for row in rows]


def pause(check: Check, at: datetime) -> None:
    with transaction.atomic():
        life.pause(check.pk, now=at)
        Check.objects.for_client(check.client).filter(pk=check.pk).update(paused_at=at)


def resume(check: Check, at: datetime) -> None:
    with transaction.atomic():
        life.resume(check.pk, now=at)
        Check.objects.for_client(check.client).filter(pk=check.pk).update(paused_at=None)
        heartbeat_life.begin(check, now=at)


def test_a_new_heartbeat_awaits_nothing() -> None:
    check = heartbeat()
    assert beat_of(check).due_at is None
    assert state_of(check) == "new"
    assert judge_overdue(now=NOON + 400 * 24 * 60 * MINUTE).down == 0


def test_the_first_success_makes_it_up_and_sets_the_deadline() -> None:
    check = heartbeat()
    call(check, at=NOON)
    assert (state_of(check), outcomes(check), events(check)) == ("up", ["up"], [])
    beat = beat_of(check)
    assert (beat.expected_at, beat.due_at) == (NOON + 60 * MINUTE, NOON + 65 * MINUTE)


def test_a_failure_opens_an_incident_and_a_success_ends_it() -> None:
    check = heartbeat()
    call(check, at=NOON)
    call(check, "fail", at=NOON + 3 * SECOND, exit_status=3, body="disk full")
    assert (state_of(check), events(check)) == ("down", ["down"])
    (incident,) = incidents(check)
    assert incident.message == "The job reported a failure (exit status 3)."
    assert incident.reason == "status"
    assert beat_of(check).due_at is None
    call(check, at=NOON + 10 * MINUTE)
    assert (state_of(check), events(check)) == ("up", ["down", "up"])
    assert outcomes(check) == ["up", "down", "up"]
    said = Evidence.objects.for_client(check.client).get(check_id=check.pk)
    assert said.message == "The job reported a failure (exit status 3)."


def test_a_failure_is_not_lost_behind_a_success_of_the_same_moment() -> None:
    check = heartbeat()
    for kind in ("success", "fail", "success", "fail"):
        call(check, kind, at=NOON)
    assert outcomes(check) == ["up", "down", "up", "down"]
    assert events(check) == ["down", "up", "down"]
    assert state_of(check) == "down"


def test_a_repeated_success_takes_one_slot() -> None:
    check = heartbeat()
    for _ in range(5):
        call(check, at=NOON)
    assert outcomes(check) == ["up"]
    assert [ping.number for ping in pings(check)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("ms", [0, 40, 999, 1_000])
def test_times_are_those_of_the_calls(ms: int) -> None:
    """Whoever tries the address out calls several times within seconds; nothing may begin in the future."""
    check = heartbeat()
    first = NOON + 38.4 * SECOND
    times = [first + number * timedelta(milliseconds=ms) for number in range(3)]
    for kind, at in zip(("success", "fail", "success"), times, strict=True):
        call(check, kind, at=at)
    (incident,) = incidents(check)
    assert incident.ended_at is not None
    told = Event.objects.for_client(check.client).filter(subject=check).order_by("pk")
    since = Check.objects.for_client(check.client).get(pk=check.pk).state_since
    seen = Result.objects.for_client(check.client).filter(check_id=check.pk).order_by("at")
    assert [row.at for row in told] == [incident.started_at, incident.ended_at]
    assert [row.at for row in seen][1:] == [incident.started_at, incident.ended_at]
    assert since == incident.ended_at
    ahead = 2 * SECOND if ms < 1_000 else 0 * SECOND
    for at, row in zip(times, seen, strict=True):
        assert -SECOND < row.at - at <= ahead


def test_what_would_lie_too_far_ahead_is_put_off_and_leaves_no_trace() -> None:
    check = heartbeat()
    for number in range(MOST_AHEAD_S + 1):
        call(check, "fail" if number % 2 else "success", at=NOON)
    before = (outcomes(check), state_of(check), len(pings(check)), beat_of(check).due_at)
    kind, outcome = ("success", "up") if state_of(check) == "down" else ("fail", "down")
    with pytest.raises(RateLimited) as caught:
        call(check, kind, at=NOON)
    assert caught.value.retry_after == 1
    assert before == (outcomes(check), state_of(check), len(pings(check)), beat_of(check).due_at)
    call(check, kind, at=NOON + caught.value.retry_after * SECOND)
    assert outcomes(check)[-1] == outcome


def test_too_many_calls_are_refused_and_the_state_stays_right() -> None:
    check = heartbeat()
    for _ in range(CALLS_A_MINUTE):
        call(check, "log", at=NOON)
    with pytest.raises(RateLimited) as caught:
        call(check, at=NOON + SECOND)
    assert caught.value.retry_after == 59
    assert len(pings(check)) == CALLS_A_MINUTE
    call(check, at=NOON + MINUTE)
    assert state_of(check) == "up"


def test_a_run_is_measured_and_a_start_says_nothing_else() -> None:
    check = heartbeat()
    call(check, "start", at=NOON)
    assert (state_of(check), outcomes(check)) == ("new", [])
    assert beat_of(check).due_at == NOON + 5 * MINUTE
    call(check, at=NOON + 90 * SECOND)
    assert [ping.duration_ms for ping in pings(check)] == [None, 90_000]
    assert beat_of(check).due_at == NOON + 90 * SECOND + 65 * MINUTE


def test_runs_that_overlap_are_paired_by_their_ids() -> None:
    check = heartbeat()
    call(check, "start", at=NOON, run="a")
    call(check, "start", at=NOON + MINUTE, run="b")
    call(check, at=NOON + 2 * MINUTE, run="b")
    assert pings(check)[-1].duration_ms == 60_000
    # a has not ended, and its start is what counts
    assert beat_of(check).due_at == NOON + 5 * MINUTE
    call(check, at=NOON + 3 * MINUTE, run="a")
    assert pings(check)[-1].duration_ms == 180_000
    assert beat_of(check).due_at == NOON + 68 * MINUTE


def test_starting_again_and_again_does_not_put_the_deadline_off() -> None:
    check = heartbeat()
    for minute in range(4):
        call(check, "start", at=NOON + minute * MINUTE)
    assert beat_of(check).due_at == NOON + 5 * MINUTE


def test_a_log_line_only_stands_in_the_log() -> None:
    check = heartbeat()
    call(check, at=NOON)
    call(check, "log", at=NOON + 30 * MINUTE, body="half way")
    assert beat_of(check).due_at == NOON + 65 * MINUTE
    assert [(ping.kind, ping.body) for ping in pings(check)] == [
        ("success", ""),
        ("log", "half way"),
    ]


def test_a_paused_heartbeat_logs_and_judges_nothing() -> None:
    check = heartbeat()
    call(check, at=NOON)
    pause(check, NOON + MINUTE)
    assert beat_of(check).due_at is None
    call(check, "fail", at=NOON + 2 * MINUTE)
    assert (state_of(check), incidents(check), len(pings(check))) == ("paused", [], 2)
    hearing(NOON, NOON + 600 * MINUTE)
    assert judge_overdue(now=NOON + 600 * MINUTE).down == 0


def test_a_resumed_heartbeat_has_a_full_period() -> None:
    check = heartbeat()
    call(check, at=NOON)
    pause(check, NOON + MINUTE)
    resumed = NOON + 30 * MINUTE + 7 * SECOND
    resume(check, resumed)
    assert beat_of(check).due_at == resumed + 65 * MINUTE
    # in the ten seconds of the resumption, whose slot began before it
    call(check, at=resumed + SECOND)
    assert state_of(check) == "up"
    spans = HeartbeatSpan.objects.for_client(check.client).order_by("since")
    assert [(span.since, span.until) for span in spans] == [
        (NOON, NOON + MINUTE),
        (resumed + SECOND, None),
    ]


def test_a_schedule_that_would_be_broken_already_begins_now() -> None:
    check = heartbeat(interval_s=86_400)
    call(check, at=NOON)
    now = NOON + 120 * MINUTE
    for period, due in ((10_800, NOON + 185 * MINUTE), (3_600, now + 65 * MINUTE)):
        with transaction.atomic():
            Check.objects.for_client(check.client).filter(pk=check.pk).update(interval_s=period)
            heartbeat_life.begin(check, now=now)
        assert beat_of(check).due_at == due


def test_during_an_outage_nothing_is_awaited() -> None:
    check = heartbeat()
    call(check, "fail", at=NOON)
    call(check, "start", at=NOON + MINUTE)
    with transaction.atomic():
        heartbeat_life.begin(check, now=NOON + 2 * MINUTE)
    assert beat_of(check).due_at is None


def test_an_unknown_deleted_or_changed_key_is_unknown() -> None:
    check = heartbeat()
    old = beat_of(check).key
    rotate_key(check, actor=None)
    gone = heartbeat(name="Gone")
    Check.objects.for_client(check.client).filter(pk=gone.pk).update(deleted_at=NOON)
    for key in (old, beat_of(gone).key, "00000000-0000-4000-8000-000000000000"):
        with pytest.raises(UnknownKey):
            record_call(key, Call(kind=Ping.Kind.SUCCESS), now=NOON)
    call(check)
    assert state_of(check) == "up"
    audit = AuditEvent.objects.for_client(check.client).get(action="check.readdressed")
    assert old not in str(audit.detail)


def test_the_log_is_bounded() -> None:
    check = heartbeat()
    for minute in range(KEPT_PINGS + 45):
        call(check, "log", at=NOON + minute * SECOND * 2)
    kept = [ping.number for ping in pings(check)]
    assert kept[-1] == KEPT_PINGS + 45
    assert KEPT_PINGS <= len(kept) < KEPT_PINGS + 20


def test_a_suspended_clients_job_is_not_judged() -> None:
    check = heartbeat()
    check.client.suspended_at = NOON
    check.client.save()
    call(check, "fail", at=NOON + MINUTE)
    assert (state_of(check), len(pings(check))) == ("new", 1)


def test_its_results_are_found_on_any_second() -> None:
    check = heartbeat()
    times = [NOON + seconds * SECOND for seconds in (0, 1, 7, 3_601)]
    for kind, at in zip(("success", "fail", "success", "fail"), times, strict=True):
        call(check, kind, at=at)
    now = NOON + 90 * MINUTE
    listed = results_page(check.client, check, now=now, limit=10)
    assert [one.row.at for one in listed] == times[::-1]
    schedules = schedules_of(check.client, [check], since=NOON)[check.pk]
    shown = newest_results(check.client, check, schedules, before=now, count=10)
    assert [one.at for one in shown] == times[::-1]

"""Silence: one result for each missed deadline, down or void, and what follows from it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pytest_django.fixtures import DjangoAssertNumQueries

from checks.availability import records_of, uptime_of
from checks.heartbeats.overdue import judge_overdue
from checks.models import Check, HeartbeatSpan, Result
from checks.models.result import Evidence
from checks.pipeline.watch import mark_silent
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

DUE = NOON + 65 * MINUTE
HOUR = 60 * MINUTE


def called(**fields: Any) -> Check:
    check = heartbeat(**fields)
    call(check, at=NOON)
    return check


def spans(check: Check) -> list[tuple[object, object]]:
    rows = HeartbeatSpan.objects.for_client(check.client).order_by("since")
    return [(row.since, row.until) for row in rows]


def test_nothing_happens_up_to_the_deadline() -> None:
    check = called()
    hearing(NOON - HOUR, DUE)
    assert judge_overdue(now=DUE - SECOND).down == 0
    assert state_of(check) == "up"


def test_a_missed_call_is_down_once() -> None:
    check = called()
    hearing(NOON - HOUR, DUE + MINUTE)
    assert judge_overdue(now=DUE + 4 * SECOND).down == 1
    assert judge_overdue(now=DUE + 14 * SECOND).down == 0
    assert judge_overdue(now=DUE + 5 * HOUR).down == 0
    assert (state_of(check), outcomes(check)) == ("down", ["up", "down"])
    (incident,) = incidents(check)
    day = f"{NOON:%d %b}".removeprefix("0")
    assert incident.message == (
        f"No call since {day} 12:00 UTC; it was expected by {day} 13:00 UTC, with 5 minutes of grace."
    )
    assert incident.reason == "timeout"
    assert DUE <= incident.started_at < DUE + 10 * SECOND
    assert Evidence.objects.for_client(check.client).get(check_id=check.pk).message


def test_the_next_call_ends_the_outage() -> None:
    check = called()
    hearing(NOON - HOUR, DUE + MINUTE)
    judge_overdue(now=DUE)
    call(check, at=DUE + 20 * MINUTE)
    assert state_of(check) == "up"
    assert beat_of(check).due_at == DUE + 85 * MINUTE


def test_a_late_call_before_anybody_was_told_is_in_time() -> None:
    check = called()
    hearing(NOON - HOUR, DUE + MINUTE)
    call(check, at=DUE + 2 * SECOND)
    assert judge_overdue(now=DUE + 5 * SECOND).down == 0
    assert (state_of(check), incidents(check)) == ("up", [])


def test_a_run_that_does_not_end_is_down() -> None:
    check = called()
    call(check, "start", at=NOON + 10 * MINUTE)
    hearing(NOON, NOON + HOUR)
    assert judge_overdue(now=NOON + 15 * MINUTE - SECOND).down == 0
    assert judge_overdue(now=NOON + 15 * MINUTE).down == 1
    day = f"{NOON:%d %b}".removeprefix("0")
    (incident,) = incidents(check)
    assert incident.message == (
        f"The run that started at {day} 12:10 UTC did not end within 5 minutes."
    )


@pytest.mark.parametrize(
    "heard",
    [
        [],
        [(NOON - HOUR, NOON + 61 * MINUTE), (NOON + 62 * MINUTE, DUE + HOUR)],
        [(NOON + 60 * MINUTE + SECOND, DUE + HOUR)],
        [(NOON - HOUR, DUE - SECOND)],
    ],
    ids=["never", "gap", "from too late", "not to the end"],
)
def test_where_we_could_not_hear_the_silence_is_void(heard: list[tuple[object, object]]) -> None:
    check = called()
    for since, until in heard:
        hearing(since, until)  # type: ignore[arg-type]
    report = judge_overdue(now=DUE + SECOND)
    assert (report.down, report.void) == (0, 1)
    assert (state_of(check), outcomes(check), incidents(check)) == ("up", ["up", "void"], [])
    assert beat_of(check).expected_at == NOON + 120 * MINUTE
    assert beat_of(check).due_at == NOON + 125 * MINUTE
    assert spans(check) == [(NOON, NOON + HOUR)]
    day = f"{NOON:%d %b}".removeprefix("0")
    assert Evidence.objects.for_client(check.client).get(check_id=check.pk).message == (
        f"We could not hear calls all the time from {day} 13:00 UTC to {day} 13:05 UTC, "
        "so a missing one is not counted."
    )


def test_a_deaf_gap_before_the_window_does_no_harm() -> None:
    called()
    hearing(NOON - HOUR, NOON + 10 * MINUTE)
    hearing(NOON + 50 * MINUTE, DUE + HOUR)
    assert judge_overdue(now=DUE).down == 1


def test_after_a_night_switched_off_nobody_is_woken() -> None:
    """The machine was off from 12:10 to 22:00: the deadlines of the night are one void, and the day goes on."""
    checks = [called(name=f"Job {number}", interval_s=600) for number in range(3)]
    hearing(NOON - HOUR, NOON + 10 * MINUTE)
    morning = NOON + 10 * HOUR
    hearing(morning, morning + 5 * HOUR)
    report = judge_overdue(now=morning)
    assert (report.down, report.void) == (0, 3)
    for check in checks:
        assert incidents(check) == []
        assert beat_of(check).due_at == morning + 15 * MINUTE
    assert judge_overdue(now=morning + 14 * MINUTE).void == 0
    # who still does not call then is down
    call(checks[0], at=morning + 10 * MINUTE)
    assert judge_overdue(now=morning + 15 * MINUTE).down == 2


def test_after_days_switched_off_the_marker_lies_in_a_day_that_is_there() -> None:
    check = called()
    report = judge_overdue(now=NOON + timedelta(hours=47))
    assert report.void == 1
    slot = Result.objects.for_client(check.client).filter(check_id=check.pk).latest("at").at
    assert slot >= NOON + timedelta(hours=23)


def test_three_deadlines_unheard_make_it_unknown_and_a_call_up_again() -> None:
    check = called()
    for number in range(3):
        assert state_of(check) == "up"
        assert judge_overdue(now=DUE + number * HOUR).void == 1
    assert state_of(check) == "unknown"
    call(check, at=NOON + 200 * MINUTE)
    assert (state_of(check), beat_of(check).voids) == ("up", 0)


def test_silence_between_calls_is_not_unknown(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    check = called(interval_s=7 * 86_400)
    with django_assert_num_queries(
        1
    ):  # nor is it looked at, in the place of checks that are silent
        assert mark_silent(now=NOON + timedelta(days=60)) == 0
    assert state_of(check) == "up"
    quick = called(name="Quick", interval_s=60, grace_s=86_400)
    assert mark_silent(now=NOON + timedelta(hours=12)) == 0
    assert state_of(quick) == "up"


def test_a_suspended_clients_silence_is_not_judged() -> None:
    check = called()
    check.client.suspended_at = NOON + MINUTE
    check.client.save()
    hearing(NOON - HOUR, DUE + HOUR)
    report = judge_overdue(now=DUE)
    assert (report.down, report.void) == (0, 0)
    assert beat_of(check).due_at == DUE + 65 * MINUTE


def test_one_that_cannot_be_judged_does_not_hold_up_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken, sound = called(name="Broken", cron="0 * * * *"), called(name="Sound")
    rows = Check.objects.for_client(broken.client).filter(pk=broken.pk)
    rows.update(cron="not a cron text")
    hearing(NOON - HOUR, NOON + MINUTE)  # void, so that the next time is asked for
    judge_overdue(now=DUE)
    assert (outcomes(sound), state_of(sound)) == (["up", "void"], "up")
    assert beat_of(broken).due_at is None
    assert outcomes(broken) == ["up", "void"]


def test_measured_time_leaves_out_what_we_could_not_hear() -> None:
    check = called()
    judge_overdue(now=DUE)  # void: 13:00 on
    call(check, at=NOON + 100 * MINUTE)
    now = NOON + 130 * MINUTE
    figures = uptime_of(check.client, [check], start=NOON - HOUR, now=now)[check.pk]
    assert figures.period_s == 130 * 60
    assert figures.measured_s == (60 + 30) * 60
    assert figures.incident_s == 0
    assert figures.share() == "100.00"


def test_down_time_counts_from_the_deadline() -> None:
    check = called()
    hearing(NOON - HOUR, DUE + HOUR)
    judge_overdue(now=DUE)
    now = DUE + 35 * MINUTE
    record = records_of(
        check.client, [check], start=NOON - HOUR, now=now, recent=timedelta(minutes=61)
    )[check.pk]
    figures = record.uptime(NOON - HOUR)
    assert figures.measured_s == 100 * 60
    assert 34 * 60 < figures.incident_s <= 35 * 60
    assert {outcome.value for _, outcome in record.recent} == {"up", "down"}


def test_a_heartbeat_that_was_never_called_measures_nothing() -> None:
    check = heartbeat()
    figures = uptime_of(check.client, [check], start=NOON - HOUR, now=NOON)[check.pk]
    assert figures.share() is None

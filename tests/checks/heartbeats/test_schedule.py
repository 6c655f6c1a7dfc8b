"""When a call is expected: period and cron, zones, both changes of the clock; and what is refused."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from checks.heartbeats.schedule import Schedule, check_schedule, span_words, words
from fanout_lambdas.shared.contracts import ContractError
from tests.checks.heartbeats.beats import utc


def daily(cron: str = "30 2 * * *", zone: str = "Europe/Berlin") -> Schedule:
    return Schedule(period_s=3600, grace_s=300, cron=cron, zone=zone)


@pytest.mark.parametrize(
    ("called", "expected"),
    [
        ("2026-06-01 00:31:00", "2026-06-02 00:30:00"),
        # spring: 02:30 does not exist on 29 March; cron runs the job right after the gap, at 03:00 summer time
        ("2026-03-28 01:31:00", "2026-03-29 01:00:00"),
        ("2026-03-29 01:00:20", "2026-03-30 00:30:00"),
        # autumn: 02:30 comes twice on 25 October, the job once, in summer time
        ("2026-10-24 00:31:00", "2026-10-25 00:30:00"),
        ("2026-10-25 00:30:30", "2026-10-26 01:30:00"),
        # a late call in the repeated hour is not taken back into the hour before it
        ("2026-10-25 01:29:05", "2026-10-26 01:30:00"),
        # a clock three seconds ahead of ours: the call counts for the time it was meant for
        ("2026-06-02 00:29:57", "2026-06-03 00:30:00"),
        ("2026-06-02 00:29:50", "2026-06-02 00:30:00"),
    ],
)
def test_a_daily_cron_in_its_own_zone(called: str, expected: str) -> None:
    assert daily().expected_after(utc(called)) == utc(expected)


def test_an_hourly_cron_keeps_its_rhythm_through_the_repeated_hour() -> None:
    hourly, at, seen = daily("30 * * * *"), utc("2026-10-24 23:31:00"), []
    for _ in range(3):
        at = hourly.expected_after(at)
        seen.append(at)
    assert seen == [utc(f"2026-10-25 0{hour}:30:00") for hour in (0, 1, 2)]


def test_every_minute_is_never_skipped() -> None:
    assert daily("* * * * *").expected_after(utc("2026-06-01 10:00:01")) == utc(
        "2026-06-01 10:01:00"
    )


def test_a_period_counts_from_the_call() -> None:
    every = Schedule(period_s=90, grace_s=60)
    assert every.expected_after(utc("2026-06-01 10:00:00")) == utc("2026-06-01 10:01:30")


def test_a_run_under_way_goes_before_the_schedule() -> None:
    every, now = Schedule(period_s=3600, grace_s=300), utc("2026-06-01 10:00:00")
    expected, started = now + timedelta(minutes=2), now
    run = every.deadline(expected, started=started)
    waiting = every.deadline(expected, started=None)
    assert run is not None
    assert waiting is not None
    assert (run.start, run.due, run.run) == (started, now + timedelta(minutes=5), True)
    assert (waiting.start, waiting.due) == (expected, now + timedelta(minutes=7))
    assert every.deadline(None, started=None) is None


@pytest.mark.parametrize(
    ("cron", "zone", "field", "rule"),
    [
        ("", "Mars/Base", "timezone", "zone"),
        ("", "", "timezone", "zone"),
        ("", "../../etc/passwd", "timezone", "zone"),
        ("* * * *", "UTC", "cron", "fields"),
        ("0 * * * * *", "UTC", "cron", "fields"),
        ("@daily", "UTC", "cron", "fields"),
        ("٣ * * * *", "UTC", "cron", "fields"),
        ("61 * * * *", "UTC", "cron", "cron"),
        ("0 0 31 2 *", "UTC", "cron", "never"),
        ("0 0 L * *", "UTC", "cron", "cron"),
        ("0 0 LW * *", "UTC", "cron", "cron"),
        ("0 0 15W * *", "UTC", "cron", "cron"),
        ("0 0 ? * *", "UTC", "cron", "cron"),
        ("0 0 * * 5L", "UTC", "cron", "cron"),
        ("0 0 * * 1#2", "UTC", "cron", "cron"),
        ("0 0 * JANUARY *", "UTC", "cron", "cron"),
        ("*/99999999999999999999 * * * *", "UTC", "cron", "cron"),
        ("*/0 * * * *", "UTC", "cron", "cron"),
        ("*/5/5 * * * *", "UTC", "cron", "cron"),
        ("5/10 * * * *", "UTC", "cron", "cron"),
        ("30-10 * * * *", "UTC", "cron", "cron"),
        ("1,,2 * * * *", "UTC", "cron", "cron"),
        ("*-5 * * * *", "UTC", "cron", "cron"),
        ("-1 * * * *", "UTC", "cron", "cron"),
        ("0 0 0 * *", "UTC", "cron", "cron"),
        ("0 0 * MON *", "UTC", "cron", "cron"),
        ("", "localtime", "timezone", "zone"),
        ("", "Factory", "timezone", "zone"),
        ("", "europe/berlin", "timezone", "zone"),
        ("1" + ",1" * 50 + " * * * *", "UTC", "cron", "length"),
    ],
)
def test_refused(cron: str, zone: str, field: str, rule: str) -> None:
    with pytest.raises(ContractError) as caught:
        check_schedule(cron, zone)
    assert (caught.value.field, caught.value.rule) == (field, rule)
    assert caught.value.message.endswith((".", "?"))


@pytest.mark.parametrize(
    "cron",
    [
        *("", "*/5 * * * *", "0 4 1,15 * *", "0 9 * * MON-FRI", "0 0 29 2 *", "0 0 31 2 1"),
        *("10-50/20,5 8-18/2 * jan,Jul-sep sun,7", "0-59/1 23 31 12 0-7"),
    ],
)
def test_taken(cron: str) -> None:
    check_schedule(cron, "Pacific/Kiritimati")


@pytest.mark.parametrize(
    ("cron", "zone", "message"),
    [
        ("60 * * * *", "UTC", 'The minute of a cron expression is 0 to 59, not "60".'),
        ("0 0 32 * *", "UTC", 'The day of month of a cron expression is 1 to 31, not "32".'),
        ("0 0 * * 5-8", "UTC", 'The day of week of a cron expression is 0 to 7, not "8".'),
        ("*/60 * * * *", "UTC", 'The step of the minute is 1 to 59, not "60".'),
        ("5/10 * * * *", "UTC", "A step needs a range or *: write 5-59/10 for the minute."),
        ("0 22-6 * * *", "UTC", 'The range "22-6" of the hour runs backwards.'),
        (
            "0 0 L * *",
            "UTC",
            'The day of month cannot be "L". It takes what cron in Debian takes: *, numbers, lists, ranges and steps.',
        ),
        ("0 0 30 2 *", "UTC", "This cron expression never comes: there is no such date."),
        ("", "europe/berlin", '"europe/berlin" is not a time zone. Did you mean Europe/Berlin?'),
    ],
)
def test_what_is_refused_is_named(cron: str, zone: str, message: str) -> None:
    with pytest.raises(ContractError) as caught:
        check_schedule(cron, zone)
    assert caught.value.message == message


def test_words() -> None:
    assert words(300, "", "UTC") == "every 5 minutes"
    assert words(86_400, "", "UTC") == "every day"
    assert words(90_000, "", "UTC") == "every 1 day 1 hour"
    assert words(60, "0 4 * * *", "Europe/Berlin") == "cron 0 4 * * *, Europe/Berlin"
    assert span_words(60) == "1 minute"
    assert span_words(5_400) == "1 hour 30 minutes"


def test_a_schedule_never_steps_back() -> None:
    """From any minute of a year with both changes, the next time lies ahead."""
    for cron in ("30 2 * * *", "0 * * * *", "15 1-3 * * SUN"):
        schedule, at = daily(cron), utc("2026-03-28 00:00:00")
        for start in (utc("2026-03-28 20:00:00"), utc("2026-10-24 20:00:00")):
            for minute in range(600):
                at = start + timedelta(minutes=minute)
                following: datetime = schedule.expected_after(at)
                assert at < following <= at + timedelta(days=8)

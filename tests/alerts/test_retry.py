"""The schedule of Standard Webhooks, as a table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from alerts.retry import SCHEDULE_S, Outcome, Then, decide

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def wait_s(attempt: int, *, jitter: float = 0.5, retry_after_s: float | None = None) -> float:
    decision = decide(
        Outcome.PASSING, attempt=attempt, now=NOW, jitter=jitter, retry_after_s=retry_after_s
    )
    assert decision.then is Then.AGAIN
    assert decision.at is not None
    return (decision.at - NOW).total_seconds()


def test_ten_attempts_over_three_days() -> None:
    waits = [wait_s(attempt) for attempt in range(1, 10)]
    assert waits == [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]
    assert timedelta(seconds=sum(waits)) == timedelta(hours=75, minutes=35, seconds=5)
    assert decide(Outcome.PASSING, attempt=10, now=NOW, jitter=0.5).then is Then.DEAD


@pytest.mark.parametrize("attempt", range(1, len(SCHEDULE_S)))
def test_jitter_is_a_fifth_either_way(attempt: int) -> None:
    assert wait_s(attempt, jitter=0.0) == pytest.approx(SCHEDULE_S[attempt] * 0.8)
    assert wait_s(attempt, jitter=1.0) == pytest.approx(SCHEDULE_S[attempt] * 1.2)


@pytest.mark.parametrize(
    ("attempt", "retry_after_s", "expected"),
    [
        (1, 120, 120),  # later than the schedule: honoured
        (2, 1, 300),  # sooner than the schedule: a server that always says so must not use it up
        (1, 0, 5),
        (1, 10**9, 86_400),  # a day at most
        (9, 10**9, 86_400),
    ],
)
def test_retry_after(attempt: int, retry_after_s: float, expected: float) -> None:
    assert wait_s(attempt, retry_after_s=retry_after_s) == expected


def test_permanent_ends_at_once_and_success_ends_well() -> None:
    assert decide(Outcome.PERMANENT, attempt=1, now=NOW, jitter=0.5).then is Then.DEAD
    assert decide(Outcome.SENT, attempt=10, now=NOW, jitter=0.5).then is Then.SENT


def test_a_single_try_has_no_second() -> None:
    assert decide(Outcome.PASSING, attempt=1, now=NOW, jitter=0.5, attempts=1).then is Then.DEAD

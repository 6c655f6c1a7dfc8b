"""Heartbeats with everybody at once: calls, judges, and a judge killed in the middle. One effect each, nothing lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection

from checks.heartbeats.overdue import OverdueReport, judge_overdue
from checks.heartbeats.region import heartbeat_region
from checks.history.partitions import ensure_partitions
from checks.models import Check, Event, Ping
from clients.rate import RateLimited
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

pytestmark = pytest.mark.django_db(transaction=True)

DUE = NOON + 65 * MINUTE
CONNECTIONS = 8


@pytest.fixture(autouse=True)
def installed() -> None:
    ensure_partitions(now=NOON)
    heartbeat_region()
    hearing(NOON - 60 * MINUTE, NOON + 600 * MINUTE)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(CONNECTIONS) as running:
        yield running


def begin(pool: ThreadPoolExecutor, verb: Callable[[], Any]) -> Future[Any]:
    """On a connection of its own."""

    def run() -> Any:
        try:
            return verb()
        finally:
            connection.close()

    return pool.submit(run)


def called(number: int = 0) -> Check:
    check = heartbeat(name=f"Job {number}")
    call(check, at=NOON)
    return check


def events(check: Check) -> list[str]:
    rows = Event.objects.for_client(check.client).filter(subject=check).order_by("pk")
    return [row.kind for row in rows]


@contextmanager
def held(table: str) -> Iterator[psycopg.Connection[Any]]:
    """Nobody writes to this table meanwhile; gives a connection that may look and terminate."""
    names = ("host", "port", "dbname", "user", "password")
    given = connection.get_connection_params()
    wanted = {name: given[name] for name in names if name in given}
    with psycopg.connect(**wanted) as holder, psycopg.connect(**wanted, autocommit=True) as looker:
        holder.execute(f"lock table {table} in exclusive mode")
        yield looker


def waiting(looker: psycopg.Connection[Any], count: int) -> list[int]:
    """The server processes that wait for a lock, once there are so many."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        rows = looker.execute(
            "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        ).fetchall()
        if len(rows) >= count:
            return [pid for (pid,) in rows]
        time.sleep(0.02)
    raise AssertionError(f"{count} connections never waited for a lock")


def test_two_judges_at_once_have_one_effect(pool: ThreadPoolExecutor) -> None:
    checks = [called(number) for number in range(20)]
    judges = [begin(pool, lambda: judge_overdue(now=DUE)) for _ in range(4)]
    reports: list[OverdueReport] = [judge.result(timeout=60) for judge in judges]
    assert sum(report.down for report in reports) == 20
    for check in checks:
        assert (outcomes(check), events(check), len(incidents(check))) == (
            ["up", "down"],
            ["down"],
            1,
        )


def test_a_judge_that_is_killed_in_the_middle_leaves_nothing_half_done(
    pool: ThreadPoolExecutor,
) -> None:
    check = called()
    with held("checks_incident") as looker:
        judge = begin(pool, lambda: judge_overdue(now=DUE))
        (pid,) = waiting(looker, 1)
        looker.execute("select pg_terminate_backend(%s)", [pid])
        with pytest.raises(OperationalError):
            judge.result(timeout=20)
        assert (state_of(check), outcomes(check), beat_of(check).due_at) == ("up", ["up"], DUE)
    assert judge_overdue(now=DUE + 10 * SECOND).down == 1
    assert judge_overdue(now=DUE + 20 * SECOND).down == 0
    assert (state_of(check), outcomes(check), events(check)) == ("down", ["up", "down"], ["down"])


def test_a_call_that_comes_while_its_silence_is_judged_ends_the_outage(
    pool: ThreadPoolExecutor,
) -> None:
    check = called()
    with held("checks_incident") as looker:
        judge = begin(pool, lambda: judge_overdue(now=DUE))
        waiting(looker, 1)
        late = begin(pool, lambda: call(check, at=DUE + SECOND))
        waiting(looker, 2)
    assert judge.result(timeout=20).down == 1
    late.result(timeout=20)
    assert (state_of(check), outcomes(check)) == ("up", ["up", "down", "up"])
    assert events(check) == ["down", "up"]
    assert incidents(check)[0].resolved_at is not None
    assert beat_of(check).due_at == DUE + SECOND + 65 * MINUTE


def test_a_call_at_the_very_deadline_wins_or_recovers(pool: ThreadPoolExecutor) -> None:
    checks = [called(number) for number in range(6)]
    together = threading.Barrier(7)

    def late(check: Check) -> None:
        together.wait(timeout=20)
        call(check, at=DUE)

    def judge() -> OverdueReport:
        together.wait(timeout=20)
        return judge_overdue(now=DUE)

    calls = [begin(pool, lambda check=check: late(check)) for check in checks]  # type: ignore[misc]
    down = begin(pool, judge).result(timeout=60).down
    for each in calls:
        each.result(timeout=60)
    for check in checks:
        missed = outcomes(check) == ["up", "down", "up"]
        assert missed or outcomes(check) == ["up", "up"]
        assert events(check) == (["down", "up"] if missed else [])
        assert (state_of(check), beat_of(check).due_at) == ("up", DUE + 65 * MINUTE)
    assert down == sum(outcomes(check) == ["up", "down", "up"] for check in checks)


def test_eight_calls_at_once_are_eight_pings_and_one_result(pool: ThreadPoolExecutor) -> None:
    check = heartbeat()
    for each in [begin(pool, lambda: call(check, at=NOON)) for _ in range(CONNECTIONS)]:
        each.result(timeout=60)
    rows = Ping.objects.for_client(check.client).filter(subject=check).order_by("number")
    assert [row.number for row in rows] == list(range(1, CONNECTIONS + 1))
    assert (outcomes(check), state_of(check)) == (["up"], "up")


def test_of_mixed_calls_at_once_each_change_is_kept(pool: ThreadPoolExecutor) -> None:
    check = heartbeat()
    kinds = ["success", "fail"] * (CONNECTIONS // 2)
    refused = 0
    for each in [begin(pool, lambda kind=kind: call(check, kind, at=NOON)) for kind in kinds]:  # type: ignore[misc]
        try:
            each.result(timeout=60)
        except RateLimited:  # further ahead than rule 10 allows: the job is asked to call again
            refused += 1
    rows = Ping.objects.for_client(check.client).filter(subject=check).order_by("number")
    told = ["up" if row.kind == "success" else "down" for row in rows]
    changes = [word for index, word in enumerate(told) if index == 0 or told[index - 1] != word]
    assert len(told) == CONNECTIONS - refused
    assert outcomes(check) == changes
    assert state_of(check) == changes[-1]

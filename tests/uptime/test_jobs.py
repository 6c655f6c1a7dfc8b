"""The periodic entry points: which minutes a tick prepares, and that calling a job twice does no harm."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.utils import timezone
from pytest_django.live_server_helper import LiveServer

from checks.history.partitions import ensure_partitions
from checks.models import MinuteRun, PingHealth
from checks.pipeline.snapshot import take_snapshot
from checks.regions import ensure_local_region
from fanout_lambdas.objectstore import ObjectStore
from fanout_lambdas.shared.slots import minute_of
from tests.checks.heartbeats.beats import beat_of, call, heartbeat, outcomes, state_of
from tests.checks.pipeline.fleet import MINUTE, at, check
from uptime import engine, jobs


@pytest.mark.parametrize(
    ("second", "once_a_minute", "expected"),
    [
        (0, False, [MINUTE]),
        (29, False, [MINUTE]),
        (30, False, [MINUTE, MINUTE + 60]),
        (59.9, False, [MINUTE, MINUTE + 60]),
        (0, True, [MINUTE, MINUTE + 60]),
    ],
)
def test_the_next_minute_is_prepared_in_the_second_half_of_this_one(
    second: float, once_a_minute: bool, expected: list[int]
) -> None:
    assert jobs.minutes_to_prepare(at(MINUTE + second), once_a_minute=once_a_minute) == expected


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch, store: ObjectStore) -> list[Mapping[str, Any]]:
    """What is invoked, and an object store of the test's own."""
    payloads: list[Mapping[str, Any]] = []

    class Recorder:
        def invoke(self, function: str, payload: Mapping[str, Any]) -> None:
            assert function == "dispatcher"
            payloads.append(payload)

    monkeypatch.setattr(jobs, "invoker", Recorder)
    monkeypatch.setattr(jobs, "store", lambda: store)
    return payloads


@pytest.mark.django_db(transaction=True)
def test_a_tick_dispatches_each_minute_once(sent: list[Mapping[str, Any]]) -> None:
    ensure_local_region()
    check()

    jobs.tick({"source": "aws.events"}, None)
    jobs.tick({"source": "aws.events"}, None)

    minutes = sorted({payload["minute"] for payload in sent})
    assert len(sent) == len(minutes) >= 2
    assert minute_of(int(time.time())) in minutes
    assert {payload["region"] for payload in sent} == {"local"}
    assert MinuteRun.objects.count() == len(minutes)


@pytest.mark.django_db(transaction=True)
def test_without_a_database_probing_goes_on_from_the_newest_snapshot(
    sent: list[Mapping[str, Any]], store: ObjectStore
) -> None:
    check()
    take_snapshot(MINUTE, now=at(MINUTE), store=store)
    host, port = (connection.settings_dict[name] for name in ("HOST", "PORT"))
    connection.close()
    connection.settings_dict.update(HOST="127.0.0.1", PORT="1")
    try:
        with time_machine.travel(at(MINUTE + 75), tick=False):
            jobs.tick()
            jobs.tick()
    finally:
        connection.settings_dict.update(HOST=host, PORT=port)

    assert [(payload["minute"], payload["region"]) for payload in sent] == [(MINUTE + 60, "local")]


@pytest.mark.django_db(transaction=True)
def test_every_job_runs_on_an_empty_installation(
    sent: list[Mapping[str, Any]], settings: Any
) -> None:
    settings.SITE_URL = "http://127.0.0.1:9"  # nobody is there: our own call fails at once
    for job in (
        jobs.heartbeats,
        jobs.watch,
        jobs.recheck,
        jobs.deliver,
        jobs.drain_spool,
        jobs.rollup,
        jobs.partitions,
        jobs.prune,
        jobs.dead_letters,
    ):
        job({}, None)

    assert sent == []


@pytest.mark.django_db(transaction=True)
def test_a_job_that_falls_silent_is_found_by_the_job_that_calls_ourselves(
    live_server: LiveServer, settings: Any
) -> None:
    ensure_partitions(now=timezone.now())
    settings.SITE_URL = live_server.url
    now = timezone.now()
    silent = heartbeat(interval_s=60, grace_s=10)
    call(silent, at=now - timedelta(seconds=75))

    jobs.heartbeats()  # nobody listened while the call was due
    assert (outcomes(silent), state_of(silent)) == (["up", "void"], "up")

    with time_machine.travel(now + timedelta(seconds=30)):
        jobs.heartbeats()
    due = beat_of(silent).due_at
    assert due is not None
    PingHealth.objects.update(since=now - timedelta(seconds=60))
    with time_machine.travel(due + timedelta(seconds=1)):
        PingHealth.objects.update(until=due - timedelta(seconds=5))
        jobs.heartbeats()
    assert (outcomes(silent), state_of(silent)) == (["up", "void", "down"], "down")


def test_the_object_store_is_the_configured_one(settings: Any, tmp_path: Any) -> None:
    engine.store.cache_clear()
    settings.OBJECT_STORE_URL = f"file://{tmp_path}/elsewhere"

    engine.store().put("a", b"b")
    engine.store.cache_clear()

    assert (tmp_path / "elsewhere" / "a").read_bytes() == b"b"

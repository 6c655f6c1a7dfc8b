"""The periodic entry points: which minutes a tick prepares, and that calling a job twice does no harm."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest
import time_machine
from django.db import connection

from checks.models import MinuteRun
from checks.pipeline.snapshot import take_snapshot
from checks.regions import ensure_local_region
from fanout_lambdas.objectstore import ObjectStore
from fanout_lambdas.shared.slots import minute_of
from tests.checks.pipeline.fleet import MINUTE, at, check
from uptime import engine, jobs
from uptime.celery import app


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


@pytest.mark.django_db
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
def test_every_job_runs_on_an_empty_installation(sent: list[Mapping[str, Any]]) -> None:
    for job in (
        jobs.watch,
        jobs.recheck,
        jobs.deliver,
        jobs.drain_spool,
        jobs.rollup,
        jobs.partitions,
        jobs.prune,
    ):
        job({}, None)

    assert sent == []


def test_no_backlog_is_replayed_after_downtime() -> None:
    for name, entry in app.conf.beat_schedule.items():
        assert entry["task"] in app.tasks, name
        assert entry["options"]["queue"] == "jobs"
        assert 0 < entry["options"]["expires"] <= 600


def test_the_object_store_is_the_configured_one(settings: Any, tmp_path: Any) -> None:
    engine.store.cache_clear()
    settings.OBJECT_STORE_URL = f"file://{tmp_path}/elsewhere"

    engine.store().put("a", b"b")
    engine.store.cache_clear()

    assert (tmp_path / "elsewhere" / "a").read_bytes() == b"b"

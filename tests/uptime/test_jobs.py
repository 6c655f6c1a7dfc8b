"""The periodic entry points: which minutes a tick prepares, and that calling a job twice does no harm."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any

import boto3
import pytest
import time_machine
from django.db import connection
from django.utils import timezone
from pytest_django.live_server_helper import LiveServer

from checks.history.partitions import ensure_partitions
from checks.models import MinuteRun, PingHealth
from checks.pipeline.snapshot import take_snapshot
from checks.regions import ensure_local_region, ensure_region
from fanout_lambdas.invoke import InvokeError
from fanout_lambdas.objectstore import ObjectStore
from fanout_lambdas.shared.slots import minute_of
from tests.aws import REGION as AWS_REGION
from tests.aws import aws_environment, aws_server
from tests.checks.heartbeats.beats import beat_of, call, heartbeat, outcomes, state_of
from tests.checks.pipeline.fleet import MINUTE, at, check
from tests.fanout_lambdas.test_dead_letters import MINUTE as LETTER_MINUTE
from tests.fanout_lambdas.test_dead_letters import record
from uptime import engine, jobs

WithoutDatabase = Callable[[], AbstractContextManager[None]]


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


@pytest.fixture
def without_database() -> WithoutDatabase:
    """A stretch of time in which nobody answers at the database's address."""

    @contextmanager
    def away() -> Iterator[None]:
        host, port = (connection.settings_dict[name] for name in ("HOST", "PORT"))
        connection.close()
        connection.settings_dict.update(HOST="127.0.0.1", PORT="1")
        try:
            yield
        finally:
            connection.settings_dict.update(HOST=host, PORT=port)

    return away


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
def test_a_region_that_does_not_answer_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch, store: ObjectStore
) -> None:
    dispatched = threading.Event()

    class MarsHangs:
        def invoke(self, function: str, payload: Mapping[str, Any]) -> None:
            if payload["region"] == "mars":
                assert dispatched.wait(5), "the other region waits for this one"
                raise InvokeError("mars does not answer", permanent=False)
            dispatched.set()

    monkeypatch.setattr(jobs, "invoker", MarsHangs)
    monkeypatch.setattr(jobs, "store", lambda: store)
    ensure_region("mars")
    ensure_local_region()
    check()

    jobs.tick({"source": "aws.events"}, None)

    assert dispatched.is_set()


@pytest.mark.django_db(transaction=True)
def test_without_a_database_probing_goes_on_from_the_newest_snapshot(
    sent: list[Mapping[str, Any]], store: ObjectStore, without_database: WithoutDatabase
) -> None:
    check()
    take_snapshot(MINUTE, now=at(MINUTE), store=store)
    with without_database(), time_machine.travel(at(MINUTE + 75), tick=False):
        jobs.tick()
        jobs.tick()

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
def test_without_a_database_a_minute_is_dispatched_once_by_whichever_process(
    sent: list[Mapping[str, Any]], store: ObjectStore, without_database: WithoutDatabase
) -> None:
    """On Lambda the next call may be another process: what it knows is what lies in the object store."""
    check()
    with time_machine.travel(at(MINUTE - 20), tick=False):
        jobs.tick({"source": "aws.events"}, None)
    minutes = [payload["minute"] for payload in sent]
    assert minutes == [MINUTE - 60, MINUTE]

    with without_database(), time_machine.travel(at(MINUTE + 40), tick=False):
        jobs.tick({"source": "aws.events"}, None)
        jobs.tick({"source": "aws.events"}, None)
    assert [payload["minute"] for payload in sent[2:]] == [MINUTE + 60]

    with time_machine.travel(
        at(MINUTE + 70), tick=False
    ):  # it is back: the run is made, nothing is sent twice
        jobs.tick()
    assert len(sent) == 3
    assert MinuteRun.objects.get(minute=at(MINUTE + 60)).planned == 1


@pytest.mark.django_db(transaction=True)
def test_dead_letters_are_read_from_the_queue_of_each_region(
    settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings.PROBE_ENGINE, settings.STACK = "lambda", "mine"
    settings.REGIONS = ("us-east-1", AWS_REGION)  # of the first one no queue was ever made
    region = ensure_region(AWS_REGION)
    run = MinuteRun.objects.create(minute=at(LETTER_MINUTE), region=region)
    with aws_server() as endpoint:
        for name, value in aws_environment(endpoint).items():
            monkeypatch.setenv(name, value)
        client = boto3.client("sqs", region_name=AWS_REGION)
        queue = client.create_queue(QueueName="mine-dead-letters")["QueueUrl"]
        client.send_message(QueueUrl=queue, MessageBody=json.dumps(record()))
        engine.queues.cache_clear()

        jobs.dead_letters({"source": "aws.events"}, None)
        jobs.dead_letters()
        engine.queues.cache_clear()

    run.refresh_from_db()
    assert run.dead_letters == 1
    assert "mine-dead-letters in us-east-1 could not be read" in caplog.text


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

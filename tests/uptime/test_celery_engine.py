"""The Celery engine: what is invoked runs as a task on a worker's threads; what cannot be invoked says so."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from celery.contrib.testing.worker import start_worker

from checks.history.partitions import ensure_partitions
from checks.models import MinuteRun, Region, Result
from checks.regions import add_ingest_key, ensure_local_region, newest_ingest_key
from fanout_lambdas.invoke import InvokeError
from tests.checks.pipeline.fleet import at
from tests.pipeline.test_story import just_due
from tests.targets import Target, answer, replies, serve
from uptime import celery_engine, jobs
from uptime.celery import app
from uptime.celery_engine import CeleryInvoker, worker_config
from uptime.probe_loop import ProbeLoop

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def region() -> Region:
    ensure_partitions(now=at(time.time()))
    return ensure_local_region()


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A worker of both queues in this process, with a probe loop that ends with it."""
    loop = ProbeLoop(worker_config)
    monkeypatch.setattr(celery_engine, "probe_loop", loop)
    options: dict[str, Any] = {"pool": "threads", "concurrency": 4, "queues": "probe,jobs"}
    with start_worker(app, perform_ping_check=False, shutdown_timeout=30, **options) as running:
        yield running
        celery_engine._ending.set()  # as SIGTERM does: the next minute's dispatcher stops waiting
    loop.drain(timeout_s=1)  # a batch of the next minute would wait for its time
    celery_engine._ending.clear()


@pytest.fixture
def target() -> Iterator[Target]:
    with serve(replies(answer())) as running:
        yield running


def wait_for_results(count: int) -> None:
    until = time.monotonic() + 15
    while Result.objects.across_clients().count() < count:
        assert time.monotonic() < until, "no result came"
        time.sleep(0.05)


def test_a_tick_ends_in_rows(
    region: Region, worker: Any, target: Target, live_server: Any, settings: Any
) -> None:
    settings.INGEST_URL = f"{live_server.url}/ingest/v1/results"
    while time.time() % 60 < 4:  # the slot shall lie in the minute that the tick prepares
        time.sleep(0.1)
    one, minute = just_due(url=target.url(), timeout_ms=2_000)

    jobs.tick()
    wait_for_results(1)

    assert Result.objects.across_clients().get().check_id == one.pk
    run = MinuteRun.objects.get(minute=at(minute))
    assert run.planned == 1


def test_the_newest_valid_key_signs(region: Region) -> None:
    first = newest_ingest_key(region)
    assert first is not None
    assert worker_config("local").key_id == first.key_id

    second = add_ingest_key(region)
    assert worker_config("local").key_id == second.key_id
    second.revoked_at = at(time.time())
    second.save()
    assert worker_config("local").key_id == first.key_id


def test_a_region_without_a_key_names_the_remedy(db: None) -> None:
    with pytest.raises(LookupError, match="ensure_region mars"):
        worker_config("mars")


def test_an_absent_broker_is_an_invoke_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CELERY_BROKER_URL")
    absent = Celery(broker="amqp://127.0.0.1:1//", set_as_current=False)
    absent.conf.broker_transport_options = {"max_retries": 1, "interval_start": 0}
    began = time.monotonic()

    with pytest.raises(InvokeError) as raised:
        CeleryInvoker(absent).invoke("dispatcher", {"minute": int(time.time()), "region": "local"})

    assert not raised.value.permanent
    assert time.monotonic() - began < 5

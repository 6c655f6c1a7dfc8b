"""The whole way of the data on real parts: check > snapshot > dispatcher > worker > report > incident > event."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from django.utils import timezone

from checks.history.partitions import ensure_partitions
from checks.ingest_api import key_ring
from checks.models import Check, Event, ExtraSlot, Incident, MinuteRun, Result
from checks.pipeline.rechecks import send_due
from checks.pipeline.runs import as_time
from checks.pipeline.snapshot import take_snapshot
from checks.pipeline.spool import drain_spool
from checks.pipeline.watch import watch
from checks.regions import ensure_local_region
from fanout_lambdas.config import WorkerConfig
from fanout_lambdas.dispatcher import dispatch
from fanout_lambdas.invoke import Invoked
from fanout_lambdas.objectstore import ObjectStore
from fanout_lambdas.shared.slots import minute_of, phase
from tests.checks.pipeline.fleet import check
from tests.targets import Target, answer, replies, serve
from uptime.celery_engine import worker_config
from uptime.probe_loop import ProbeLoop

pytestmark = pytest.mark.django_db(transaction=True)


class InProcess:
    """The fan-out without processes: a worker begins at once and is awaited before the next step of a story."""

    def __init__(self, loop: ProbeLoop) -> None:
        self._loop = loop
        self._begun: list[Any] = []

    def invoke(self, function: str, payload: Mapping[str, Any]) -> Invoked:
        assert function == "worker"
        self._begun.append(self._loop.submit(payload))
        return Invoked()

    def finish(self) -> None:
        for begun in self._begun:
            begun.result(timeout=20)
        self._begun.clear()


@pytest.fixture
def config(live_server: Any, store: ObjectStore, tmp_path: Any) -> WorkerConfig:
    ensure_partitions(now=timezone.now())
    ensure_local_region()
    key_ring.forget()
    return replace(
        worker_config("local"),
        ingest_url=f"{live_server.url}/ingest/v1/results",
        object_store_url=f"file://{tmp_path}/objects",
    )


@pytest.fixture
def engine(config: WorkerConfig) -> Iterator[InProcess]:
    loop = ProbeLoop(lambda _: config)
    yield InProcess(loop)
    loop.drain(timeout_s=5)


@pytest.fixture
def target() -> Iterator[Target]:
    failing = answer("500 Internal Server Error", b"the database is on fire")
    with serve(replies(failing, failing, failing, answer())) as running:
        yield running


def just_due(**fields: Any) -> tuple[Check, int]:
    """A check whose slot was three seconds ago, and that slot's minute."""
    slot = int(time.time()) - 3
    number = next(n for n in count(1_000) if phase(n, 60) == slot % 60)
    return check(id=number, state_since=as_time(slot), **fields), minute_of(slot)


def probe_minute(minute: int, store: ObjectStore, engine: InProcess) -> None:
    """One minute of the past, all at once: its slots are over, so nobody waits for them."""
    take_snapshot(minute, now=timezone.now(), store=store)
    dispatch({"minute": minute, "region": "local"}, store=store, invoker=engine)
    engine.finish()


def probe_elsewhere(minute: int, store: ObjectStore, config: WorkerConfig) -> None:
    """A minute, by a worker of another configuration."""
    loop = ProbeLoop(lambda _: config)
    probe_minute(minute, store, InProcess(loop))
    loop.drain(timeout_s=5)


def send_rechecks(engine: InProcess) -> None:
    """Rechecks lie up to ten seconds ahead; the worker waits for them."""
    send_due(now=timezone.now(), invoker=engine)
    engine.finish()


def test_an_outage_from_the_first_failure_to_the_recovery(
    store: ObjectStore, engine: InProcess, target: Target
) -> None:
    one, minute = just_due(url=target.url(), down_after=2, up_after=1, timeout_ms=2_000)

    probe_minute(minute, store, engine)
    (first,) = Result.objects.across_clients()
    assert first.http_status == 500
    (asked,) = ExtraSlot.objects.across_clients()
    send_rechecks(engine)

    incident = Incident.objects.across_clients().get()
    assert (incident.started_at, incident.opened_at) == (first.at, asked.slot)
    assert "the database is on fire" in str(incident.document)
    one.refresh_from_db()
    assert one.state == "down"
    assert [event.kind for event in Event.objects.across_clients()] == ["down"]
    run = MinuteRun.objects.get()
    assert (run.planned, run.answered + run.late) == (1, 1)


def test_reports_that_find_ingest_away_are_spooled_and_taken_in_later(
    store: ObjectStore, config: WorkerConfig, target: Target
) -> None:
    _, minute = just_due(url=target.url(), timeout_ms=2_000)
    # An address where nobody listens would be tried again for 20 s; a wrong one is spooled at once.
    away = replace(config, ingest_url=config.ingest_url.replace("/v1/", "/v0/"))
    probe_elsewhere(minute, store, away)
    assert len(store.list("spool/")) == 1
    assert not Result.objects.across_clients().exists()

    report = drain_spool(store=store, now=timezone.now())

    assert (report.taken, report.bad, report.accepted) == (1, 0, 1)
    assert store.list("spool/") == []
    assert Result.objects.across_clients().count() == 1


def test_a_spooled_report_that_nobody_signed_is_moved_aside(
    store: ObjectStore, config: WorkerConfig, target: Target
) -> None:
    _, minute = just_due(url=target.url(), timeout_ms=2_000)
    forged = replace(config, secret=b"guessed")
    probe_elsewhere(minute, store, forged)
    assert len(store.list("spool/")) == 1  # ingest refused it

    report = drain_spool(store=store, now=timezone.now())

    assert (report.taken, report.bad) == (0, 1)
    assert store.list("spool/") == []
    assert len(store.list("spool-bad/")) == 1
    assert not Result.objects.across_clients().exists()


def test_a_minute_whose_worker_was_lost_is_probed_again_and_adds_up(
    store: ObjectStore, engine: InProcess, target: Target
) -> None:
    class Lost:
        def invoke(self, function: str, payload: Mapping[str, Any]) -> Invoked:
            """Accepted, and never heard of again."""
            return Invoked()

    one, minute = just_due(url=target.url(), timeout_ms=1_000)
    take_snapshot(minute, now=timezone.now(), store=store)
    dispatch({"minute": minute, "region": "local"}, store=store, invoker=Lost())
    run = MinuteRun.objects.get(minute=as_time(minute))
    (_, _, _, _, expected_by) = run.batches[0]

    # The watch looks just after the batch should have reported, on its own clock.
    report = watch(now=as_time(expected_by + 1), store=store, invoker=_Renewed(engine))
    engine.finish()

    assert report.resent == 1
    assert Result.objects.across_clients().get().check_id == one.pk
    watch(now=as_time(minute + 126), store=store, invoker=engine)
    run.refresh_from_db()
    assert run.planned == run.answered + run.late == 1
    assert run.alarm


class _Renewed:
    """The story is told after the fact: the renewed batch's deadline is moved to the real clock."""

    def __init__(self, engine: InProcess) -> None:
        self._engine = engine

    def invoke(self, function: str, payload: Mapping[str, Any]) -> Invoked:
        now = int(time.time())
        return self._engine.invoke(function, {**payload, "not_before": now, "deadline": now + 60})

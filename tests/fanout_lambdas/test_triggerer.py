"""The triggerer starts one worker for each batch, and leaves a report only when there was trouble."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fanout_lambdas.dispatcher import dispatch
from fanout_lambdas.invoke import TRIGGERER, WORKER, Invoked, InvokeError
from fanout_lambdas.objectstore import DirectoryStore, ObjectStore, snapshot_key, trigger_prefix
from fanout_lambdas.shared.contracts import Batch, ContractError
from fanout_lambdas.shared.contracts.dispatch import TriggerReport
from fanout_lambdas.triggerer import multiply
from tests.fanout_lambdas.minute import MINUTE, Invocations, Time, event, plan

GOLDEN = Path(__file__).parents[1] / "fixtures" / "contracts" / "v1" / "triggerer_event.json"


def triggers(store: ObjectStore, **topology: Any) -> list[dict[str, Any]]:
    """The events with which the dispatcher starts its triggerers."""
    store.put(snapshot_key(MINUTE), plan().to_bytes())
    time, invoker = Time(MINUTE), Invocations()
    shape = {"checks_per_worker": 1, "workers_per_triggerer": 100, **topology}
    dispatch(
        event(topology=shape), store=store, invoker=invoker, clock=time.clock, sleep=time.sleep
    )
    assert {function for function, _ in invoker.calls} == {TRIGGERER}
    return [payload for _, payload in invoker.calls]


def never() -> ObjectStore:
    raise AssertionError("a quiet triggerer opens no store")


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path)


def test_it_starts_one_worker_for_each_batch_and_writes_nothing(store: DirectoryStore) -> None:
    time, invoker = Time(MINUTE), Invocations()
    events = triggers(store)
    reports = [
        multiply(each, store=never, invoker=invoker, clock=time.clock, sleep=time.sleep)
        for each in events
    ]
    assert [report.started for report in reports] == [100, 100, 100]
    assert [function for function, _ in invoker.calls] == [WORKER] * 300
    handed = [batch for each in events for batch in each["batches"]]
    assert [payload for _, payload in invoker.calls] == handed
    assert store.list(trigger_prefix(MINUTE, "local")) == []


def test_trouble_leaves_a_report(store: DirectoryStore) -> None:
    time = Time(MINUTE)
    invoker = Invocations(
        InvokeError("busy", permanent=False, retried=3, throttled=4),
        InvokeError("no such function", permanent=True),
    )
    (one, *_) = triggers(store)
    report = multiply(one, store=lambda: store, invoker=invoker, clock=time.clock, sleep=time.sleep)
    assert report == TriggerReport(
        minute=MINUTE, region="local", started=99, retried=4, throttled=4, failed=(0,)
    )
    (key,) = store.list(trigger_prefix(MINUTE, "local"))
    assert TriggerReport.from_bytes(store.get(key)) == report


def test_where_waiting_is_billed_it_waits_for_its_workers(store: DirectoryStore) -> None:
    left: list[tuple[int, float]] = []
    time = Time(MINUTE)

    class Timed(Invocations):
        def invoke(self, function: str, payload: Mapping[str, Any]) -> Invoked:
            left.append((payload["not_before"], time.now))
            return super().invoke(function, payload)

    events = triggers(store, checks_per_worker=5, workers_per_triggerer=20, billed=True)
    for each in events:
        multiply(each, store=never, invoker=Timed(), clock=time.clock, sleep=time.sleep)
    assert [at for at, _ in left] == [now for _, now in left]
    assert time.slept


def test_a_paced_batch_leaves_at_once_for_its_worker_waits(store: DirectoryStore) -> None:
    time = Time(MINUTE)
    (one, *_) = triggers(store, checks_per_worker=5, workers_per_triggerer=20)
    multiply(one, store=never, invoker=Invocations(), clock=time.clock, sleep=time.sleep)
    assert time.slept == []


def test_it_stops_in_time_and_names_the_rest(store: DirectoryStore) -> None:
    time = Time(MINUTE)

    class Slow(Invocations):
        def invoke(self, function: str, payload: Mapping[str, Any]) -> Invoked:
            time.now += 1
            return super().invoke(function, payload)

    (one, *_) = triggers(store)
    report = multiply(
        one,
        store=lambda: store,
        invoker=Slow(),
        until=MINUTE + 10,
        clock=time.clock,
        sleep=time.sleep,
    )
    assert (report.started, report.failed) == (10, tuple(range(10, 100)))


def test_batches_past_their_deadline_are_not_started(store: DirectoryStore) -> None:
    (one, *_) = triggers(store)
    time, invoker = Time(MINUTE + 300), Invocations()
    report = multiply(one, store=lambda: store, invoker=invoker, clock=time.clock, sleep=time.sleep)
    assert (report.started, len(report.failed), invoker.calls) == (0, 100, [])


def test_golden_event() -> None:
    document = json.loads(GOLDEN.read_text("utf-8"))
    time, invoker = Time(document["minute"]), Invocations()
    report = multiply(document, store=never, invoker=invoker, clock=time.clock, sleep=time.sleep)
    assert (report.minute, report.region, report.started) == (MINUTE, "local", 2)
    assert [payload for _, payload in invoker.calls] == document["batches"]


def test_the_dispatcher_writes_the_golden_form(store: DirectoryStore) -> None:
    document = json.loads(GOLDEN.read_text("utf-8"))
    (one, *_) = triggers(store)
    assert one.keys() == document.keys()
    assert Batch.from_json(one["batches"][0]).number == 0


@pytest.mark.parametrize(
    "bad", [{"version": 2}, {"minute": None}, {"region": ""}, {"batches": [{"batch": 1}]}]
)
def test_bad_event_names_its_field(bad: dict[str, Any]) -> None:
    document = json.loads(GOLDEN.read_text("utf-8"))
    with pytest.raises(ContractError):
        multiply({**document, **bad}, store=never, invoker=Invocations())

"""The dispatcher starts a minute's batches at their time, says what it did, and stops before it is killed."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from time import time as wall_clock
from typing import Any

import pytest

from fanout_lambdas.dispatcher import NothingToDispatch, dispatch
from fanout_lambdas.invoke import TRIGGERER, WORKER, Invoked, InvokeError
from fanout_lambdas.objectstore import (
    DirectoryStore,
    StoreUnavailable,
    dispatch_key,
    snapshot_key,
)
from fanout_lambdas.planning import BATCHED, TIER_FROM_BATCHES, Topology, plan_batches
from fanout_lambdas.shared.contracts import Batch, ContractError
from fanout_lambdas.shared.contracts.dispatch import DispatchReport
from tests.fanout_lambdas.minute import MINUTE, Invocations, Time, event, plan

BILLED = {"checks_per_worker": 100, "workers_per_triggerer": 0, "billed": True}
DIRECT = {"checks_per_worker": 1, "workers_per_triggerer": 0}


class Timed(Invocations):
    """Notes when each batch or group left."""

    def __init__(self, time: Time) -> None:
        super().__init__()
        self.time = time
        self.left: list[tuple[int, float]] = []

    def invoke(self, function: str, payload: Mapping[str, Any]) -> Invoked:
        first = payload["batches"][0] if function == TRIGGERER else payload
        self.left.append((first["not_before"], self.time.now))
        return super().invoke(function, payload)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    store = DirectoryStore(tmp_path)
    store.put(snapshot_key(MINUTE), plan().to_bytes())
    return store


def test_batches_leave_shortly_before_their_first_slot(store: DirectoryStore) -> None:
    time = Time(MINUTE - 5)
    invoker = Timed(time)
    report = dispatch(event(), store=store, invoker=invoker, clock=time.clock, sleep=time.sleep)
    assert (report.planned, report.failed, report.snapshot_age_s) == (300, (), 0)
    assert report.batches == report.invoked == len(invoker.left)
    assert all(not_before - 2.01 <= at <= not_before for not_before, at in invoker.left)
    assert {function for function, _ in invoker.calls} == {WORKER}
    sent = [Batch.from_json(payload) for _, payload in invoker.calls]
    assert sent == plan_batches(plan(), MINUTE, "local", BATCHED)


def test_billed_batches_leave_at_their_last_slot_and_wait_nowhere(store: DirectoryStore) -> None:
    time = Time(MINUTE - 30)
    invoker = Timed(time)
    dispatch(
        event(topology=BILLED), store=store, invoker=invoker, clock=time.clock, sleep=time.sleep
    )
    topology = Topology(checks_per_worker=100, workers_per_triggerer=0, billed=True)
    sent = [Batch.from_json(payload) for _, payload in invoker.calls]
    assert sent == plan_batches(plan(), MINUTE, "local", topology)
    assert all(at == not_before for not_before, at in invoker.left)
    for batch in sent:
        assert batch.not_before == max(probe["slot"] for probe in batch.probes)
        assert not batch.paced


def test_report_is_left_for_the_watch_job(store: DirectoryStore) -> None:
    time = Time(MINUTE + 1)
    report = dispatch(
        event(), store=store, invoker=Invocations(), clock=time.clock, sleep=time.sleep
    )
    assert DispatchReport.from_bytes(store.get(dispatch_key(MINUTE, "local"))) == report


@pytest.mark.parametrize(
    ("checks_per_worker", "workers_per_triggerer", "function", "calls"),
    [(1, 0, WORKER, 300), (1, 100, TRIGGERER, 3)],
)
@pytest.mark.parametrize("early", [0, 30])
def test_article_topologies_fire_at_once(
    store: DirectoryStore,
    checks_per_worker: int,
    workers_per_triggerer: int,
    function: str,
    calls: int,
    early: int,
) -> None:
    """Prepared earlier, they still begin with the minute: a worker that waits for it is paid for."""
    time, invoker = Time(MINUTE - early), Invocations()
    topology = {
        "checks_per_worker": checks_per_worker,
        "workers_per_triggerer": workers_per_triggerer,
    }
    report = dispatch(
        event(topology=topology),
        store=store,
        invoker=invoker,
        clock=time.clock,
        sleep=time.sleep,
    )
    assert time.slept == [early] * bool(early)
    assert report.triggerers == (calls if function == TRIGGERER else 0)
    assert all(payload["region"] == "local" for _, payload in invoker.calls)
    assert [name for name, _ in invoker.calls] == [function] * calls


def test_triggerers_join_where_there_are_thousands_of_batches(store: DirectoryStore) -> None:
    time, invoker = Time(MINUTE - 5), Invocations()
    store.put(snapshot_key(MINUTE), plan(2 * TIER_FROM_BATCHES).to_bytes())
    report = dispatch(
        event(topology={**BILLED, "checks_per_worker": 2}),
        store=store,
        invoker=invoker,
        clock=time.clock,
        sleep=time.sleep,
    )
    assert report.batches >= TIER_FROM_BATCHES
    assert report.invoked == report.batches
    assert report.triggerers == len(invoker.calls) == -(-report.batches // 100)
    assert {function for function, _ in invoker.calls} == {TRIGGERER}
    sent = [batch["batch"] for _, payload in invoker.calls for batch in payload["batches"]]
    assert sent == list(range(report.batches))


def test_old_snapshot_is_used_and_its_age_told(store: DirectoryStore) -> None:
    time, invoker = Time(MINUTE + 300), Invocations()
    report = dispatch(
        {"minute": MINUTE + 300, "region": "local"},
        store=store,
        invoker=invoker,
        clock=time.clock,
        sleep=time.sleep,
    )
    assert (report.snapshot_minute, report.snapshot_age_s) == (MINUTE, 300)
    assert report.planned == 300


def test_newer_snapshot_is_not_used_for_an_older_minute(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.put(snapshot_key(MINUTE + 60), plan().to_bytes())
    with pytest.raises(NothingToDispatch):
        dispatch(event(), store=store, invoker=Invocations())


def test_passing_failures_are_tried_again_and_lasting_ones_told(store: DirectoryStore) -> None:
    time = Time(MINUTE - 5)
    passing = InvokeError("throttled", permanent=False, throttled=1)
    lasting = InvokeError("no such function", permanent=True)
    invoker = Invocations(passing, passing, lasting)
    report = dispatch(event(), store=store, invoker=invoker, clock=time.clock, sleep=time.sleep)
    assert (report.retried, report.failed) == (2, (0,))
    assert report.invoked == len(invoker.calls) == report.batches - 1


def test_batches_past_their_deadline_are_not_started(store: DirectoryStore) -> None:
    time, invoker = Time(MINUTE + 90), Invocations()
    report = dispatch(event(), store=store, invoker=invoker, clock=time.clock, sleep=time.sleep)
    assert report.failed
    assert len(report.failed) + len(invoker.calls) == report.batches
    assert all(payload["deadline"] > MINUTE + 90 for _, payload in invoker.calls)


def test_retries_inside_the_invoker_are_counted(store: DirectoryStore) -> None:
    class Busy(Invocations):
        def invoke(self, function: str, payload: Mapping[str, Any]) -> Invoked:
            super().invoke(function, payload)
            if payload["batch"] == 0:
                raise InvokeError("busy", permanent=True, retried=3, throttled=4)
            return Invoked(retried=2, throttled=1)

    time = Time(MINUTE - 5)
    report = dispatch(event(), store=store, invoker=Busy(), clock=time.clock, sleep=time.sleep)
    others = report.batches - 1
    assert (report.retried, report.throttled) == (3 + 2 * others, 4 + others)
    assert report.failed == (0,)


def test_fault_of_ours_costs_one_batch(store: DirectoryStore) -> None:
    class Faulty(Invocations):
        def invoke(self, function: str, payload: Mapping[str, Any]) -> Invoked:
            if payload["batch"] == 7:
                raise ZeroDivisionError
            return super().invoke(function, payload)

    time = Time(MINUTE - 5)
    report = dispatch(event(), store=store, invoker=Faulty(), clock=time.clock, sleep=time.sleep)
    assert report.failed == (7,)
    assert DispatchReport.from_bytes(store.get(dispatch_key(MINUTE, "local"))) == report


def test_threads_start_invocations_side_by_side(store: DirectoryStore) -> None:
    together = threading.Barrier(8)

    class Together(Invocations):
        def invoke(self, function: str, payload: Mapping[str, Any]) -> Invoked:
            together.wait(10)  # breaks, and fails the batch, unless eight come at once
            return super().invoke(function, payload)

    invoker = Together()
    store.put(snapshot_key(MINUTE), plan(64).to_bytes())
    report = dispatch(
        event(topology=DIRECT), store=store, invoker=invoker, threads=8, clock=lambda: MINUTE + 1.0
    )
    assert report.failed == ()
    assert sorted(payload["batch"] for _, payload in invoker.calls) == list(range(64))


def test_it_stops_in_time_and_names_the_rest(store: DirectoryStore) -> None:
    """One loop at 57 ms a call, as in the article: 300 calls do not fit into 10 s."""
    time = Time(MINUTE)

    class Slow(Invocations):
        def invoke(self, function: str, payload: Mapping[str, Any]) -> Invoked:
            time.now += 0.057
            return super().invoke(function, payload)

    invoker = Slow()
    report = dispatch(
        event(topology=DIRECT),
        store=store,
        invoker=invoker,
        until=MINUTE + 10,
        clock=time.clock,
        sleep=time.sleep,
    )
    assert report.invoked == len(invoker.calls) == 176  # the last one begins at 9.975 s
    assert report.failed == tuple(range(176, 300))
    assert DispatchReport.from_bytes(store.get(dispatch_key(MINUTE, "local"))) == report


def test_it_does_not_wait_for_batches_after_its_end(store: DirectoryStore) -> None:
    time = Time(MINUTE - 5)
    report = dispatch(
        event(topology=BILLED),
        store=store,
        invoker=Invocations(),
        until=MINUTE + 30,
        clock=time.clock,
        sleep=time.sleep,
    )
    assert time.now < MINUTE + 30
    assert 0 < report.invoked < report.batches == report.invoked + len(report.failed)


def test_invocation_that_hangs_does_not_cost_the_report(store: DirectoryStore) -> None:
    released = threading.Event()

    class Hanging(Invocations):
        def invoke(self, function: str, payload: Mapping[str, Any]) -> Invoked:
            if payload["batch"] == 1:
                released.wait(30)
            return super().invoke(function, payload)

    store.put(snapshot_key(MINUTE), plan(4).to_bytes())
    began = monotonic()
    offset = MINUTE - wall_clock()
    try:
        report = dispatch(
            event(topology=DIRECT),
            store=store,
            invoker=Hanging(),
            threads=2,
            until=MINUTE + 0.5,
            clock=lambda: wall_clock() + offset,
        )
    finally:
        released.set()
    assert monotonic() - began < 10
    assert report.failed == (1,)
    assert DispatchReport.from_bytes(store.get(dispatch_key(MINUTE, "local"))) == report


def test_report_that_cannot_be_stored_does_not_repeat_the_minute(tmp_path: Path) -> None:
    class ReadOnly(DirectoryStore):
        def put(self, key: str, data: bytes) -> None:
            if key.startswith("dispatches/"):
                raise StoreUnavailable("full")
            super().put(key, data)

    store, time = ReadOnly(tmp_path), Time(MINUTE)
    store.put(snapshot_key(MINUTE), plan(3).to_bytes())
    report = dispatch(
        event(), store=store, invoker=Invocations(), clock=time.clock, sleep=time.sleep
    )
    assert report.failed == ()


@pytest.mark.parametrize("bad", [{}, {"minute": "now"}, {"region": ""}, {"topology": 5}])
def test_bad_event_names_its_field(store: DirectoryStore, bad: dict[str, Any]) -> None:
    with pytest.raises(ContractError):
        dispatch({**event(), **bad} if bad else {}, store=store, invoker=Invocations())

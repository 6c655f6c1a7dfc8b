"""Dispatcher, triggerer and worker together: every due slot is probed once and reported."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from fanout_lambdas.config import DEFAULT_IN_FLIGHT
from fanout_lambdas.dispatcher import NothingToDispatch, dispatch
from fanout_lambdas.invoke import TRIGGERER, WORKER, Invoked, InvokeError, LambdaInvoker
from fanout_lambdas.objectstore import DirectoryStore, dispatch_key, snapshot_key
from fanout_lambdas.planning import BATCHED, due_slots, plan_batches
from fanout_lambdas.probe.run import ProbeEngine
from fanout_lambdas.sealing import Sealer, new_key
from fanout_lambdas.shared.contracts import (
    Batch,
    ContractError,
    Outcome,
    Reason,
    ResultBatch,
)
from fanout_lambdas.shared.contracts.dispatch import DispatchReport
from fanout_lambdas.shared.contracts.snapshot import CheckPlan, Snapshot
from fanout_lambdas.shared.netguard import AllowList, Guard
from fanout_lambdas.shared.slots import phase
from fanout_lambdas.triggerer import multiply
from fanout_lambdas.worker import BatchRefused, run_worker
from tests.targets import Target, answer, replies, serve

MINUTE = 1_795_409_160
OPEN = Guard(AllowList.parse("127.0.0.1"))


class Invocations:
    """Collects what would be started; the first calls may fail as scripted."""

    def __init__(self, *failures: InvokeError) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.failures = list(failures)

    def invoke(self, function: str, payload: Mapping[str, Any]) -> Invoked:
        if self.failures:
            raise self.failures.pop(0)
        self.calls.append((function, json.loads(json.dumps(payload))))
        return Invoked()


class Time:
    def __init__(self, now: float) -> None:
        self.now = now
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def wait(self, seconds: float) -> None:
        self.sleep(seconds)


class Reports:
    def __init__(self) -> None:
        self.batches: list[ResultBatch] = []

    async def report(self, batch: ResultBatch) -> None:
        self.batches.append(batch)


def plan(count: int = 300, **request: Any) -> Snapshot:
    checks = tuple(
        CheckPlan(
            check_id=number,
            interval_s=60,
            phase_s=phase(number, 60),
            regions=("local",),
            request={"url": "http://127.0.0.1/", **request},
        )
        for number in range(1, count + 1)
    )
    return Snapshot(minute=MINUTE, taken_at=MINUTE - 30, checks=checks)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    store = DirectoryStore(tmp_path)
    store.put(snapshot_key(MINUTE), plan().to_bytes())
    return store


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with serve(replies(answer())) as target:
        yield target


def event(**more: Any) -> dict[str, Any]:
    return {"minute": MINUTE, "region": "local", **more}


# --- dispatcher


def test_batches_leave_shortly_before_their_first_slot(store: DirectoryStore) -> None:
    time = Time(MINUTE - 5)
    left: list[tuple[int, float]] = []

    class Timed(Invocations):
        def invoke(self, function: str, payload: Mapping[str, Any]) -> Invoked:
            left.append((payload["not_before"], time.now))
            return super().invoke(function, payload)

    invoker = Timed()
    report = dispatch(event(), store=store, invoker=invoker, clock=time.clock, sleep=time.sleep)
    assert (report.planned, report.failed, report.snapshot_age_s) == (300, (), 0)
    assert report.batches == report.invoked == len(left)
    assert all(not_before - 2.01 <= at <= not_before for not_before, at in left)
    assert {function for function, _ in invoker.calls} == {WORKER}
    sent = [Batch.from_json(payload) for _, payload in invoker.calls]
    assert sent == plan_batches(plan(), MINUTE, "local", BATCHED)


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
def test_article_topologies_fire_at_once(
    store: DirectoryStore,
    checks_per_worker: int,
    workers_per_triggerer: int,
    function: str,
    calls: int,
) -> None:
    time, invoker = Time(MINUTE), Invocations()
    topology = {
        "checks_per_worker": checks_per_worker,
        "workers_per_triggerer": workers_per_triggerer,
    }
    dispatch(
        event(topology=topology),
        store=store,
        invoker=invoker,
        clock=time.clock,
        sleep=time.sleep,
    )
    assert time.slept == []
    assert [name for name, _ in invoker.calls] == [function] * calls


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


@pytest.mark.parametrize("bad", [{}, {"minute": "now"}, {"region": ""}, {"topology": 5}])
def test_bad_event_names_its_field(store: DirectoryStore, bad: dict[str, Any]) -> None:
    with pytest.raises(ContractError):
        dispatch({**event(), **bad} if bad else {}, store=store, invoker=Invocations())


# --- triggerer and invoker


def test_triggerer_starts_one_worker_for_each_batch() -> None:
    batches = [{"batch": number} for number in range(5)]
    failing = InvokeError("no", permanent=True)
    invoker = Invocations(InvokeError("busy", permanent=False), failing)
    assert multiply({"batches": batches}, invoker=invoker) == {"started": 4, "failed": [0]}
    assert [payload["batch"] for _, payload in invoker.calls] == [1, 2, 3, 4]


def test_lambda_payload_limit_is_our_error_not_theirs() -> None:
    class Never:
        def invoke(self, **arguments: Any) -> None:
            raise AssertionError("sent")

    invoker = LambdaInvoker(Never(), {})  # type: ignore[arg-type]
    with pytest.raises(InvokeError, match="limit") as caught:
        invoker.invoke(WORKER, {"x": "y" * 1_000_000})
    assert caught.value.permanent


# --- worker


def work(
    batch: Batch,
    *,
    clock: Time | None = None,
    sealer: Sealer | None = None,
    region: str | None = "local",
) -> ResultBatch:
    async def run() -> ResultBatch:
        engine = ProbeEngine(guard=OPEN, user_agent="test")
        reports = Reports()
        time = clock or Time(batch.not_before)
        try:
            results = await run_worker(
                json.loads(json.dumps(batch.to_json())),
                engine=engine,
                reporter=reports,
                sealer=sealer,
                region=region,
                clock=time.clock,
                sleep=time.wait,
            )
        finally:
            engine.close()
        assert reports.batches == [results]
        return results

    return asyncio.run(run())


def batch(*probes: Any, **changes: Any) -> Batch:
    shape: dict[str, Any] = {
        "minute": MINUTE,
        "number": 3,
        "region": "local",
        "not_before": MINUTE + 20,
        "deadline": MINUTE + 90,
        "paced": False,
        "probes": probes,
    }
    return Batch(**(shape | changes))


def probe(target: Target, check_id: int = 1, **more: Any) -> dict[str, Any]:
    return {"check_id": check_id, "slot": MINUTE + 20, "url": target.url(), **more}


def test_every_probe_of_a_batch_has_one_answer(target: Target) -> None:
    bad = {"check_id": 9, "slot": MINUTE, "url": target.url(), "method": "BREW"}
    results = work(batch(*(probe(target, number) for number in range(50)), bad, "x"))
    assert sorted(result.check_id for result in results.results) == list(range(50))
    assert {result.outcome for result in results.results} == {Outcome.UP}
    assert [(r.check_id, r.error.field) for r in results.refusals] == [(9, "method"), (None, "")]
    assert (results.minute, results.number, results.region) == (MINUTE, 3, "local")
    assert results.worker.in_flight == DEFAULT_IN_FLIGHT
    assert results.worker.duration_ms >= 0


@pytest.mark.parametrize(("early", "waited"), [(4.0, [4.0]), (0.0, []), (300.0, [10.0])])
def test_worker_waits_for_its_time_ten_seconds_at_most(
    target: Target, early: float, waited: list[float]
) -> None:
    time = Time(MINUTE + 20 - early)
    work(batch(probe(target)), clock=time)
    assert time.slept == waited


def test_stale_and_foreign_batches_are_refused(target: Target) -> None:
    with pytest.raises(BatchRefused, match="after its deadline"):
        work(batch(probe(target)), clock=Time(MINUTE + 91))
    with pytest.raises(BatchRefused, match="region"):
        work(batch(probe(target)), region="mars")
    with pytest.raises(ContractError):
        work(batch(probe(target), deadline=MINUTE))


def test_probes_start_at_their_slot_and_share_the_second() -> None:
    """Two neighbouring slots: the second one's probes start a second after the first one's."""
    starts: list[float] = []

    def note(peer: socket.socket, request: bytes) -> None:
        starts.append(monotonic())
        peer.sendall(answer())

    async def run() -> ResultBatch:
        engine = ProbeEngine(guard=OPEN, user_agent="test", clock=lambda: MINUTE + 20.0)
        probes = [probe(noting, number) for number in range(4)]
        probes += [{**probe(noting, 9), "slot": MINUTE + 21}]
        try:
            return await engine.run(batch(*probes, paced=True))
        finally:
            engine.close()

    with serve(note) as noting:
        begun = monotonic()
        results = asyncio.run(run())
    assert len(results.results) == 5
    for start, expected in zip(starts, (0, 0.25, 0.5, 0.75, 1), strict=True):
        assert expected - 0.01 <= start - begun < expected + 0.25
    assert results.worker.lag_p99_us < 200_000


def test_sealed_secrets_are_opened_only_here(target: Target) -> None:
    key = new_key()
    sealed = Sealer([key]).seal(
        {"headers": {"X-Key": "open-sesame"}, "auth": {"type": "bearer", "token": "tok-en-123"}}
    )
    document = batch(probe(target, sealed=sealed))
    assert "sesame" not in json.dumps(document.to_json())
    (result,) = work(document, sealer=Sealer([key])).results
    assert result.outcome is Outcome.UP
    assert b"X-Key: open-sesame" in target.requests[-1]
    assert b"Authorization: Bearer tok-en-123" in target.requests[-1]


def test_seal_that_does_not_open_is_our_fault_not_the_targets(target: Target) -> None:
    before = len(target.requests)
    sealed = Sealer([new_key()]).seal({"body": "x"})
    for sealer in (None, Sealer([new_key()])):
        (result,) = work(batch(probe(target, sealed=sealed)), sealer=sealer).results
        assert (result.outcome, result.reason) == (Outcome.VOID, Reason.INTERNAL)
    assert len(target.requests) == before


def test_failing_canaries_make_the_batch_void(target: Target) -> None:
    good, dead = {"url": target.url()}, {"url": "http://127.0.0.1:1/"}
    void = work(batch(probe(target), canaries=(dead, dead, good)))
    assert void.results[0].outcome is Outcome.VOID
    assert (void.worker.canaries, void.worker.canaries_failed) == (3, 2)
    fit = work(batch(probe(target), canaries=(dead, good)))
    assert fit.results[0].outcome is Outcome.UP


def test_a_whole_minute_reaches_every_due_slot(tmp_path: Path, target: Target) -> None:
    store, invoker, time = DirectoryStore(tmp_path), Invocations(), Time(MINUTE - 5)
    snapshot = plan(url=target.url())
    store.put(snapshot_key(MINUTE), snapshot.to_bytes())
    dispatch(event(), store=store, invoker=invoker, clock=time.clock, sleep=time.sleep)

    async def run() -> list[ResultBatch]:
        engine = ProbeEngine(guard=OPEN, user_agent="test", clock=lambda: MINUTE + 120.0)
        try:
            return await asyncio.gather(
                *(
                    run_worker(
                        payload,
                        engine=engine,
                        reporter=Reports(),
                        clock=lambda at=payload["not_before"]: float(at),  # type: ignore[misc]
                    )
                    for _, payload in invoker.calls
                )
            )
        finally:
            engine.close()

    done = asyncio.run(run())
    got = sorted((r.check_id, r.slot) for results in done for r in results.results)
    assert got == sorted((p.check_id, p.slot) for p in due_slots(snapshot, MINUTE, "local"))

"""The worker: a batch's probes at their time, refusals, secrets, canaries; then a whole minute with the dispatcher."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from fanout_lambdas.config import DEFAULT_IN_FLIGHT
from fanout_lambdas.dispatcher import dispatch
from fanout_lambdas.objectstore import DirectoryStore, snapshot_key
from fanout_lambdas.planning import due_slots
from fanout_lambdas.probe.run import ProbeEngine
from fanout_lambdas.sealing import Sealer, new_key
from fanout_lambdas.shared.contracts import Batch, ContractError, Outcome, Reason, ResultBatch
from fanout_lambdas.shared.netguard import AllowList, Guard
from fanout_lambdas.worker import MOST_REMEMBERED, BatchRefused, Begun, run_worker
from tests.fanout_lambdas.minute import MINUTE, Invocations, Time, event, plan
from tests.targets import Target, answer, replies, serve

OPEN = Guard(AllowList.parse("127.0.0.1"))


class Reports:
    def __init__(self) -> None:
        self.batches: list[ResultBatch] = []

    async def report(self, batch: ResultBatch) -> None:
        self.batches.append(batch)


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with serve(replies(answer())) as target:
        yield target


def work(
    batch: Batch,
    *,
    clock: Time | None = None,
    sealer: Sealer | None = None,
    region: str | None = "local",
    begun: Begun | None = None,
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
                begun=begun,
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


def test_repeated_batch_is_refused_and_another_attempt_is_not(target: Target) -> None:
    begun = Begun()
    work(batch(probe(target)), begun=begun)
    with pytest.raises(BatchRefused, match="repeat"):
        work(batch(probe(target)), begun=begun)
    for other in ({"attempt": 2}, {"number": 4}, {"minute": MINUTE - 60}):
        assert work(batch(probe(target), **other), begun=begun).results
    asked = len(target.requests)
    with pytest.raises(BatchRefused, match="repeat"):
        work(batch(probe(target), attempt=2), begun=begun)
    assert len(target.requests) == asked


def test_batch_that_came_to_nothing_may_come_again(target: Target) -> None:
    class Closed:
        async def report(self, batch: ResultBatch) -> None:
            raise OSError("both ways are closed")

    async def fail(begun: Begun) -> None:
        engine = ProbeEngine(guard=OPEN, user_agent="test")
        try:
            await run_worker(
                batch(probe(target)).to_json(),
                engine=engine,
                reporter=Closed(),
                begun=begun,
                clock=lambda: MINUTE + 20.0,
            )
        finally:
            engine.close()

    begun = Begun()
    with pytest.raises(OSError, match="closed"):
        asyncio.run(fail(begun))
    assert work(batch(probe(target)), begun=begun).results


def test_memory_of_batches_is_bounded() -> None:
    begun, numbers = Begun(), range(MOST_REMEMBERED + 1)
    for number in numbers:
        begun.add(batch(number=number))
    begun.add(batch(number=0))  # forgotten: the oldest goes first
    with pytest.raises(BatchRefused):
        begun.add(batch(number=numbers[-1]))


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

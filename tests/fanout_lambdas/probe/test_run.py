"""The engine: every probe of a batch gets its answer, and the batch is void when the prober is unfit."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import socket
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fanout_lambdas.probe.kinds import Kit, probers
from fanout_lambdas.probe.run import ProbeEngine
from fanout_lambdas.sealing import Sealer, new_key
from fanout_lambdas.shared.contracts import Batch, Outcome, Probe, Reason, Result, ResultBatch
from fanout_lambdas.shared.contracts.words import Kind
from fanout_lambdas.shared.netguard import AllowList, Guard
from tests.targets import Target, answer, replies, serve

MINUTE = 1_795_409_160
OPEN = Guard(AllowList.parse("127.0.0.1"))


@contextlib.asynccontextmanager
async def engine(**more: Any) -> AsyncIterator[ProbeEngine]:
    made = ProbeEngine(guard=OPEN, user_agent="test", **more)
    try:
        yield made
    finally:
        made.close()


def batch(*probes: Any, **more: Any) -> Batch:
    shape: dict[str, Any] = {
        "minute": MINUTE,
        "number": 0,
        "region": "local",
        "not_before": MINUTE,
        "deadline": MINUTE + 90,
        "paced": False,
        "probes": probes,
    }
    return Batch(**(shape | more))


def raw(url: str, check_id: int = 1, **more: Any) -> dict[str, Any]:
    return {"check_id": check_id, "slot": MINUTE, "url": url, **more}


def run(batch: Batch, **more: Any) -> ResultBatch:
    async def once() -> ResultBatch:
        async with engine() as probes:
            return await probes.run(batch, **more)

    return asyncio.run(once())


# --- in flight and lag


class Gate:
    """A target that answers nobody before it is opened, and counts who waits."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.lock = threading.Lock()
        self.waiting = self.most = 0

    def script(self, peer: socket.socket, request: bytes) -> None:
        with self.lock:
            self.waiting += 1
            self.most = max(self.most, self.waiting)
        self.opened.wait(10)
        with self.lock:
            self.waiting -= 1
        peer.sendall(answer())


def test_a_batch_keeps_to_the_limit_and_tells_its_lag() -> None:
    gate = Gate()

    async def once() -> ResultBatch:
        async with engine(in_flight=4) as probes:
            document = batch(*(raw(target.url(), number) for number in range(12)))
            running = asyncio.create_task(probes.run(document))
            while gate.waiting < 4:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            gate.opened.set()
            return await running

    with serve(gate.script) as target:
        report = asyncio.run(once())
    assert gate.most == 4
    lags = {result.check_id: result.lag_us for result in report.results}
    assert len(lags) == 12
    assert min(lags[number] for number in range(4, 12)) >= 100_000
    assert max(lags[number] for number in range(4)) < min(lags[number] for number in range(4, 12))
    assert report.worker.lag_p99_us == max(lags.values())
    assert {result.outcome for result in report.results} == {Outcome.UP}


def test_a_cancelled_batch_gives_its_places_back() -> None:
    gate = Gate()

    async def once() -> ResultBatch:
        async with engine(in_flight=3) as probes:
            document = batch(*(raw(target.url(), number) for number in range(9)))
            running = asyncio.create_task(probes.run(document))
            while gate.waiting < 3:
                await asyncio.sleep(0.01)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            gate.opened.set()
            async with asyncio.timeout(10):
                return await probes.run(document)

    with serve(gate.script) as target:
        report = asyncio.run(once())
    assert [result.outcome for result in report.results] == [Outcome.UP] * 9


# --- memory


def test_an_answer_is_freed_with_its_probe() -> None:
    """Bodies are large: none waits for the collector of cycles."""

    async def left_behind() -> set[str]:
        async with engine() as probes:
            document = batch(
                raw(target.url(), 1, keyword=["hello"], json=[{"path": "$.a", "op": "exists"}]),
                raw(target.url(), 2, keyword=["missing"], regex=["h.llo"]),
                raw(target.url(), 3, max_body_bytes=1),
            )
            await probes.run(document)
            gc.collect()
            gc.disable()
            try:
                report = await probes.run(document)
                assert len(report.results) == 3
                gc.set_debug(gc.DEBUG_SAVEALL)
                gc.collect()
                return {type(each).__qualname__ for each in gc.garbage if is_ours(each)}
            finally:
                gc.set_debug(0)
                gc.garbage.clear()
                gc.enable()

    def is_ours(thing: object) -> bool:
        return type(thing).__module__.startswith("fanout_lambdas.")

    with serve(replies(answer())) as target:
        assert asyncio.run(left_behind()) == set()


# --- kinds


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_of_the_contract_has_its_prober(kind: Kind) -> None:
    """Nothing listens there: the prober says so, the engine would say that it knows none."""
    url = {"dns": "dns://127.0.0.1.example", "http": "http://127.0.0.1:9"}
    probe = raw(url.get(kind, f"{kind}://127.0.0.1:9"), kind=kind.value)
    (result,) = run(batch(probe)).results
    assert result.outcome is Outcome.DOWN
    assert result.reason is not Reason.INTERNAL


def test_a_prober_that_fails_costs_its_own_probe_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault of ours, as the table of kinds would meet it: the others of the batch are answered."""

    class Faulty:
        async def probe(self, probe: Probe, *, lag_us: int = 0) -> Result:
            raise RuntimeError(f"could not send {probe.body}")

    def with_a_fault(kit: Kit) -> dict[str, Any]:
        return {**probers(kit), "tcp": Faulty()}

    monkeypatch.setattr("fanout_lambdas.probe.run.probers", with_a_fault)
    with serve(replies(answer())) as target:
        broken = raw("tcp://127.0.0.1:80", 2, kind="tcp")
        report = run(batch(raw(target.url()), broken))
    results = {result.check_id: result for result in report.results}
    assert results[1].outcome is Outcome.UP
    assert (results[2].outcome, results[2].reason) == (Outcome.VOID, Reason.INTERNAL)
    assert "RuntimeError" in caplog.text
    assert "could not send" not in caplog.text


# --- what cannot be read


@pytest.mark.parametrize(
    ("assertions", "field"),
    [
        ({"regex": ["fine", "(open"]}, "regex.1"),
        ({"regex_absent": ["[z-a]"]}, "regex_absent.0"),
        ({"json": [{"path": "$.[", "op": "exists"}]}, "json.0.path"),
        ({"header": [{"name": "X-A", "op": "matches", "value": "*"}]}, "header.0.value"),
    ],
)
def test_a_pattern_that_does_not_compile_is_refused_by_name(
    assertions: dict[str, Any], field: str
) -> None:
    with serve(replies(answer())) as target:
        report = run(batch(raw(target.url(), 7, **assertions), raw(target.url(), 8)))
        assert len(target.requests) == 1
    ((refused,), (result,)) = report.refusals, report.results
    assert (refused.check_id, refused.error.field) == (7, field)
    assert (result.check_id, result.outcome) == (8, Outcome.UP)


# --- secrets


def test_sealed_secrets_are_in_no_log_and_no_result(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever happens to the probe: up, down with an echo of them, blocked, refused, void."""
    caplog.set_level(logging.DEBUG)
    keys = [new_key(), new_key()]
    secrets = {
        "headers": {"X-Key": "sesame-4711"},
        "auth": {"type": "basic", "username": "bob", "password": "hunter2-4711"},
        "body": '{"pin": "body-4711"}',
    }

    def echo(peer: socket.socket, request: bytes) -> None:
        peer.sendall(answer("500 Oops", request, "X-Echo: sesame-4711"))

    with serve(echo) as target:
        sealed = Sealer(keys[:1]).seal(secrets)
        foreign = Sealer(keys[1:]).seal(secrets)
        document = batch(
            raw(target.url(), 1, method="POST", sealed=sealed),
            raw("http://10.0.0.1/", 2, sealed=sealed),
            raw(target.url(), 3, timeout_ms=5, sealed=sealed),
            raw(target.url(), 4, sealed=foreign),
            raw(target.url(), 5, sealed=sealed, regex=["("]),
            raw(target.url(), 6, sealed=Sealer(keys[:1]).seal({"auth": {"type": "4711"}})),
        )
        report = run(document, sealer=Sealer(keys[:1]))
        assert b"hunter2" not in target.requests[0]  # sent as base64
        assert b"body-4711" in target.requests[0]
    outcomes = {result.check_id: result.outcome for result in report.results}
    assert outcomes == {1: Outcome.DOWN, 2: Outcome.DOWN, 4: Outcome.VOID}
    assert [refused.check_id for refused in report.refusals] == [3, 5, 6]
    told = json.dumps(report.to_json()) + caplog.text + repr(report) + repr(document)
    assert "4711" not in told
    assert "Ym9iOmh1bnRlcjItNDcxMQ" not in told  # bob:hunter2-4711


# --- canaries


def test_canaries_are_asked_once_for_batches_that_follow_closely() -> None:
    async def twice(canary: Target, target: Target) -> None:
        async with engine() as probes:
            document = batch(raw(target.url()), canaries=({"url": canary.url()},) * 2)
            for _ in range(2):
                report = await probes.run(document)
                assert (report.worker.canaries, report.worker.canaries_failed) == (2, 0)

    with serve(replies(answer())) as canary, serve(replies(answer())) as target:
        asyncio.run(twice(canary, target))
        assert len(canary.requests) == 2
        assert len(target.requests) == 2


def test_an_old_good_verdict_does_not_vouch_for_a_batch_that_went_bad() -> None:
    first, bad = answer(), answer("503 Gone")
    with serve(replies(first, first, bad)) as canary, serve(replies(first, bad)) as target:

        async def twice() -> list[ResultBatch]:
            async with engine() as probes:
                document = batch(raw(target.url()), canaries=({"url": canary.url()},) * 2)
                return [await probes.run(document) for _ in range(2)]

        before, after = asyncio.run(twice())
    assert before.results[0].outcome is Outcome.UP
    assert after.results[0].outcome is Outcome.VOID
    assert after.results[0].reason is Reason.STATUS
    assert after.worker.canaries_failed == 2


def test_a_real_outage_is_told_while_the_canaries_are_well() -> None:
    with serve(replies(answer())) as canary, serve(replies(answer("503 Gone"))) as target:
        report = run(batch(raw(target.url()), canaries=({"url": canary.url()},) * 3))
    assert report.results[0].outcome is Outcome.DOWN
    assert (report.worker.canaries, report.worker.canaries_failed) == (3, 0)


def test_an_unfit_prober_is_fit_again_with_its_next_batch() -> None:
    with serve(replies(answer("503 Gone"), answer())) as canary, serve(replies(answer())) as target:

        async def twice() -> list[Outcome]:
            async with engine() as probes:
                document = batch(raw(target.url()), canaries=({"url": canary.url()},))
                return [(await probes.run(document)).results[0].outcome for _ in range(2)]

        assert asyncio.run(twice()) == [Outcome.VOID, Outcome.UP]


def test_canaries_that_are_no_probes_do_not_void_a_batch(caplog: pytest.LogCaptureFixture) -> None:
    with serve(replies(answer())) as target:
        report = run(batch(raw(target.url()), canaries=({"url": 5}, {"address": "x"})))
    assert report.results[0].outcome is Outcome.UP
    assert caplog.text.count("a canary is not a probe") == 2


def test_a_blocked_canary_does_not_void_a_batch(caplog: pytest.LogCaptureFixture) -> None:
    canaries = ({"url": "http://10.0.0.1/"}, {"url": "http://192.168.0.1/"})
    with serve(replies(answer())) as target:
        report = run(batch(raw(target.url()), canaries=canaries))
    assert report.results[0].outcome is Outcome.UP
    assert (report.worker.canaries, report.worker.canaries_failed) == (0, 0)
    assert caplog.text.count("a canary is blocked") == 2

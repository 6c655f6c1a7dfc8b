"""The three functions as Lambda runs them: dispatcher > triggerer > worker > ingest, with calls refused on the way."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.emulator import Emulator, Faults, FunctionSpec
from fanout_lambdas.invoke import DISPATCHER, TRIGGERER, WORKER
from fanout_lambdas.invoke_aws import LambdaInvoker
from fanout_lambdas.objectstore import DirectoryStore, dispatch_key, snapshot_key, trigger_prefix
from fanout_lambdas.planning import BATCH_SPAN_S, due_slots
from fanout_lambdas.shared.contracts import Outcome, unpack
from fanout_lambdas.shared.contracts.dispatch import DispatchReport, TriggerReport
from fanout_lambdas.shared.contracts.parsed_batch import parse_result_batch
from fanout_lambdas.shared.contracts.snapshot import CheckPlan, Snapshot
from fanout_lambdas.shared.signing import verify
from fanout_lambdas.shared.slots import MINUTE_S, minute_of
from tests.targets import Receiver, Target, answer, receive, replies, serve
from uptime.embedded.places import PROJECT

REGION = "eu-central-1"
SECRET = "open sesame"
CHECKS = 10


@dataclass(frozen=True, slots=True)
class Cloud:
    emulator: Emulator
    store: DirectoryStore
    target: Target
    ingest: Receiver

    def refused(self) -> int:
        return sum(each.refused for each in self.emulator.ledger().values())


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """Two workers at once at most, and a fifth of all calls refused with 429."""
    url = f"file://{tmp_path}"
    with serve(replies(answer())) as target, receive(202) as ingest:
        environments = {
            DISPATCHER: {"OBJECT_STORE_URL": url, "UPTIME_STACK": "stage"},
            TRIGGERER: {"OBJECT_STORE_URL": url, "UPTIME_STACK": "stage"},
            WORKER: {
                "OBJECT_STORE_URL": url,
                "UPTIME_REGION": REGION,
                "UPTIME_INGEST_URL": ingest.url,
                "UPTIME_INGEST_KEY_ID": "key-1",
                "UPTIME_INGEST_SECRET": SECRET,
                "UPTIME_ALLOW_NETWORKS": "127.0.0.1",
            },
        }
        functions = [
            FunctionSpec(
                name=f"stage-{name}",
                handler=f"fanout_lambdas.{name}.handler",
                memory_mb=256,
                timeout_s=60,
                environment=environment,
                root=PROJECT,
                python=Path(sys.executable),
                region=REGION,
                reserved=2,
                retries=0,
            )
            for name, environment in environments.items()
        ]
        with Emulator(functions, faults=Faults(throttles=0.2, seed=4), time_scale=0.05) as emulator:
            yield Cloud(emulator, DirectoryStore(tmp_path), target, ingest)


def snapshot(target: Target) -> Snapshot:
    """A minute whose slots lie in the last seconds, so that nothing has to be waited for."""
    first = int(time.time()) // BATCH_SPAN_S * BATCH_SPAN_S - 4 * BATCH_SPAN_S
    minute = minute_of(first)
    checks = tuple(
        CheckPlan(
            check_id=number,
            interval_s=MINUTE_S,
            phase_s=first - minute + number % BATCH_SPAN_S,
            regions=(REGION,),
            request={"url": target.url()},
            slow=number == CHECKS,
        )
        for number in range(1, CHECKS + 1)
    )
    return Snapshot(minute=minute, taken_at=minute, checks=checks)


def test_every_slot_is_probed_and_every_refusal_counted(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(cloud.emulator, monkeypatch)
    run_minute(cloud, attempt=1, shape=(1, 0), workers=CHECKS)
    run_minute(cloud, attempt=2, shape=(1, 4), workers=CHECKS, triggerers=3)
    run_minute(cloud, attempt=3, shape=(5, 0), workers=3)
    ledger = cloud.emulator.ledger()
    assert cloud.refused() > 0
    assert ledger["stage-worker"].throttles > 0
    assert {name: each.errors for name, each in ledger.items()} == dict.fromkeys(ledger, 0)


def test_one_loop_that_cannot_make_it_reports_instead_of_being_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The article's first design: 57 ms a call, one after the other, and a time limit."""
    common: dict[str, Any] = {
        "memory_mb": 256,
        "root": PROJECT,
        "python": Path(sys.executable),
        "region": REGION,
    }
    dispatcher = FunctionSpec(
        name="uptime-dispatcher",
        handler="fanout_lambdas.dispatcher.handler",
        timeout_s=4,
        environment={"OBJECT_STORE_URL": f"file://{tmp_path}", "UPTIME_INVOKE_THREADS": "1"},
        **common,
    )
    worker = FunctionSpec(
        name="uptime-worker", handler="none", timeout_s=10, simulated_s=0.01, **common
    )
    minute = minute_of(int(time.time()))
    store = DirectoryStore(tmp_path)
    checks = tuple(
        CheckPlan(
            check_id=number,
            interval_s=MINUTE_S,
            phase_s=MINUTE_S - 1,
            regions=(REGION,),
            request={"url": "http://127.0.0.1/"},
        )
        for number in range(1, 201)
    )
    plan = Snapshot(minute=minute, taken_at=minute, checks=checks)
    store.put(snapshot_key(minute), plan.to_bytes())
    with Emulator([dispatcher, worker], invoke_latency_s=0.057) as emulator:
        use(emulator, monkeypatch)
        LambdaInvoker("uptime").invoke(
            DISPATCHER,
            {
                "minute": minute,
                "region": REGION,
                "topology": {"checks_per_worker": 1, "workers_per_triggerer": 0},
            },
        )
        assert emulator.drain(30)
        ledger = emulator.ledger()
    said = DispatchReport.from_bytes(store.get(dispatch_key(minute, REGION)))
    assert (ledger["uptime-dispatcher"].finished, ledger["uptime-dispatcher"].timeouts) == (1, 0)
    assert said.batches == 200
    assert 0 < said.invoked < 40  # 2 s hold 35 calls
    assert len(said.failed) == 200 - said.invoked
    assert said.invoked <= ledger["uptime-worker"].accepted <= said.invoked + 1  # one was under way


def use(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("AWS_ENDPOINT_URL_LAMBDA", emulator.endpoint),
        ("AWS_ACCESS_KEY_ID", "any"),
        ("AWS_SECRET_ACCESS_KEY", "any"),
    ):
        monkeypatch.setenv(name, value)


def run_minute(
    cloud: Cloud, *, attempt: int, shape: tuple[int, int], workers: int, triggerers: int = 0
) -> None:
    """A minute in one topology; other attempts of the same batches are no repeats to a worker."""
    plan = snapshot(cloud.target)
    cloud.store.put(snapshot_key(plan.minute), plan.to_bytes())
    before, received = cloud.refused(), len(cloud.ingest.received)
    started = LambdaInvoker("stage", tries=10).invoke(
        DISPATCHER,
        {
            "minute": plan.minute,
            "region": REGION,
            "attempt": attempt,
            "topology": {
                "checks_per_worker": shape[0],
                "workers_per_triggerer": shape[1],
                "billed": True,
            },
        },
    )
    assert cloud.emulator.drain(50)

    reports = []
    for headers, body in cloud.ingest.received[received:]:
        verify(headers, body, SECRET.encode(), int(time.time()))
        reports.append(parse_result_batch(unpack(body)).batch)
    results = [result for report in reports for result in report.results]
    due = due_slots(plan, plan.minute, REGION)
    assert sorted((r.check_id, r.slot) for r in results) == sorted((d[1], d[0]) for d in due)
    assert {result.outcome for result in results} == {Outcome.UP}
    assert [report.attempt for report in reports] == [attempt] * workers

    said = DispatchReport.from_bytes(cloud.store.get(dispatch_key(plan.minute, REGION)))
    assert (said.planned, said.batches, said.invoked) == (CHECKS, workers, workers)
    assert (said.triggerers, said.failed) == (triggerers, ())
    keys = cloud.store.list(trigger_prefix(plan.minute, REGION))
    troubles = [TriggerReport.from_bytes(cloud.store.get(key)) for key in keys]
    refused = started.throttled + said.throttled + sum(trouble.throttled for trouble in troubles)
    assert refused == cloud.refused() - before
    assert bool(troubles) <= bool(triggerers)
    for key in keys:
        cloud.store.delete(key)

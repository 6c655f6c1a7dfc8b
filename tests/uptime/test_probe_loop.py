"""The probe worker's loop: many batches at once, none of them holding a thread, none lost at a proper end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fanout_lambdas.config import WorkerConfig
from fanout_lambdas.shared.contracts import Batch, unpack
from fanout_lambdas.shared.contracts.parsed_batch import parse_result_batch
from fanout_lambdas.shared.netguard import AllowList
from tests.targets import Receiver, Target, answer, receive, serve
from uptime.probe_loop import ProbeLoop, ShuttingDown


@pytest.fixture
def ingest() -> Iterator[Receiver]:
    with receive(200) as running:
        yield running


@pytest.fixture
def slow() -> Iterator[Target]:
    def script(peer: Any, request: bytes) -> None:
        time.sleep(0.4)
        peer.sendall(answer())

    with serve(script) as running:
        yield running


def config(ingest: Receiver, folder: Path, **fields: Any) -> WorkerConfig:
    values: dict[str, Any] = {
        "region": "local",
        "ingest_url": ingest.url,
        "key_id": "local-1",
        "secret": b"secret",
        "object_store_url": f"file://{folder}/objects",
        "allow": AllowList.parse("127.0.0.1/32"),
    }
    return WorkerConfig(**{**values, **fields})


def batch(target: Target, number: int = 0, region: str = "local") -> dict[str, Any]:
    now = int(time.time())
    probe = {"check_id": number + 1, "slot": now, "url": target.url(), "timeout_ms": 2_000}
    return Batch(
        minute=now - now % 60,
        number=number,
        region=region,
        not_before=now,
        deadline=now + 60,
        probes=(probe,),
    ).to_json()


def reported(ingest: Receiver) -> list[int]:
    return sorted(parse_result_batch(unpack(body)).batch.number for _, body in ingest.received)


def test_batches_run_beside_each_other(ingest: Receiver, slow: Target, tmp_path: Path) -> None:
    loop = ProbeLoop(lambda _: config(ingest, tmp_path))
    began = time.monotonic()

    for number in range(8):
        loop.submit(batch(slow, number))
    handed_over = time.monotonic() - began
    left = loop.drain(timeout_s=10)

    assert left == 0
    assert handed_over < 0.4 * 8
    assert time.monotonic() - began < 0.4 * 8
    assert reported(ingest) == list(range(8))


def test_a_proper_end_waits_for_what_has_begun(
    ingest: Receiver, slow: Target, tmp_path: Path
) -> None:
    loop = ProbeLoop(lambda _: config(ingest, tmp_path))
    loop.submit(batch(slow))

    loop.drain(timeout_s=10)

    assert reported(ingest) == [0]


def test_no_more_than_the_bound_are_under_way(
    ingest: Receiver, slow: Target, tmp_path: Path
) -> None:
    loop = ProbeLoop(lambda _: config(ingest, tmp_path), most_batches=1)
    loop.submit(batch(slow, 0))
    began = time.monotonic()

    loop.submit(batch(slow, 1))

    assert time.monotonic() - began > 0.2
    loop.drain(timeout_s=10)
    assert reported(ingest) == [0, 1]


def test_a_refused_batch_takes_nothing_with_it(
    ingest: Receiver, slow: Target, tmp_path: Path
) -> None:
    loop = ProbeLoop(lambda _: config(ingest, tmp_path), most_batches=1)
    loop.submit({"version": 1, "region": "local", "nonsense": True})
    loop.submit(batch(slow, region="mars"))

    loop.submit(batch(slow, 5))
    loop.drain(timeout_s=10)

    assert reported(ingest) == [5]


def test_an_unknown_region_is_the_callers_error(
    ingest: Receiver, slow: Target, tmp_path: Path
) -> None:
    def load(region: str) -> WorkerConfig:
        raise LookupError(region)

    with pytest.raises(LookupError):
        ProbeLoop(load).submit(batch(slow))


def loop_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "probe-loop"}


def test_the_thread_starts_with_the_first_batch_and_ends_with_the_drain(
    ingest: Receiver, slow: Target, tmp_path: Path
) -> None:
    before = loop_threads()
    loop = ProbeLoop(lambda _: config(ingest, tmp_path))
    assert loop_threads() == before

    loop.submit(batch(slow))
    assert len(loop_threads() - before) == 1

    loop.drain(timeout_s=10)
    assert loop_threads() == before


def test_a_batch_that_comes_during_the_end_is_refused_and_starts_nothing(
    ingest: Receiver, slow: Target, tmp_path: Path
) -> None:
    """Its task was already at work when the process was told to end."""
    before = loop_threads()
    at_work, over = threading.Event(), threading.Event()

    def load(_: str) -> WorkerConfig:
        at_work.set()
        assert over.wait(10)
        return config(ingest, tmp_path)

    loop = ProbeLoop(load)
    with ThreadPoolExecutor(1) as pool:
        submitting = pool.submit(loop.submit, batch(slow))
        assert at_work.wait(10)
        assert loop.drain(timeout_s=10) == 0
        over.set()
        with pytest.raises(ShuttingDown):
            submitting.result(timeout=10)

    assert loop_threads() == before

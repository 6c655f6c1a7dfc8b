"""Reports reach ingest signed, again after failures, else the spool: nothing is lost."""

from __future__ import annotations

import asyncio
import base64
import random
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest

from fanout_lambdas.objectstore import SPOOL, DirectoryStore
from fanout_lambdas.report import Delivery, Reporter
from fanout_lambdas.shared.contracts import (
    MAX_WIRE_BYTES,
    Evidence,
    Outcome,
    Result,
    ResultBatch,
    Spooled,
    unpack,
)
from fanout_lambdas.shared.contracts.parsed_batch import parse_result_batch
from fanout_lambdas.shared.signing import SignatureStale, verify
from tests.targets import (
    answer,
    authority,
    free_port,
    read_request,
    receive,
    replies,
    resets,
    serve,
)

NOW = 1_795_409_208
SECRET = b"s" * 32
TAKEN = answer("202 Accepted", b"")


def batch() -> ResultBatch:
    results = tuple(Result(check_id=number, slot=NOW, outcome=Outcome.UP) for number in range(1, 4))
    return ResultBatch(minute=NOW - 48, number=4, region="local", results=results)


class Pauses:
    """Takes the place of sleeping, and lets the clock go on by as much."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.taken.append(seconds)

    def clock(self) -> float:
        return NOW + sum(self.taken)


def deliver(
    url: str, store: DirectoryStore, sent: ResultBatch, *, budget_s: float = 20
) -> tuple[Delivery, Pauses]:
    (delivered,), pauses = deliver_each(url, store, [sent], budget_s=budget_s)
    return delivered, pauses


def deliver_each(
    url: str,
    store: DirectoryStore,
    batches: Sequence[ResultBatch],
    *,
    budget_s: float = 20,
    tls: ssl.SSLContext | None = None,
) -> tuple[list[Delivery], Pauses]:
    """One after the other, over the connections of one reporter."""
    pauses = Pauses()

    async def run() -> list[Delivery]:
        reporter = Reporter(
            ingest_url=url,
            key_id="local-1",
            secret=SECRET,
            store=lambda: store,
            tls=tls,
            budget_s=budget_s,
            clock=pauses.clock,
            sleep=pauses.sleep,
        )
        try:
            return [await reporter.report(sent) for sent in batches]
        finally:
            await reporter.close()

    return asyncio.run(run()), pauses


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path)


def test_report_is_signed_gzipped_and_readable(store: DirectoryStore) -> None:
    with receive(202) as ingest:
        delivered, _ = deliver(ingest.url, store, batch())
    ((headers, body),) = ingest.received
    assert delivered is Delivery.ACCEPTED
    assert headers["Content-Encoding"] == "gzip"
    assert headers["X-Uptime-Key"] == "local-1"
    verify(headers, body, SECRET, NOW)
    assert parse_result_batch(unpack(body)).batch == batch()
    assert store.list(SPOOL) == []


def test_each_try_is_signed_anew(store: DirectoryStore) -> None:
    with receive(503, 500, 429, 202) as ingest:
        delivered, pauses = deliver(ingest.url, store, batch())
    assert delivered is Delivery.ACCEPTED
    stamps = [int(headers["X-Uptime-Timestamp"]) for headers, _ in ingest.received]
    assert len(stamps) == 4
    assert stamps == sorted(stamps)
    assert stamps[-1] > stamps[0]
    assert pauses.taken == sorted(pauses.taken)
    for headers, body in ingest.received:
        verify(headers, body, SECRET, int(headers["X-Uptime-Timestamp"]))


def test_retry_after_is_honoured(store: DirectoryStore) -> None:
    with receive(503, 202, headers={"Retry-After": "7"}) as ingest:
        _, pauses = deliver(ingest.url, store, batch())
    assert len(ingest.received) == 2
    assert 5.6 <= pauses.taken[0] <= 8.4


@pytest.mark.parametrize("status", [503, 401, 403, 404])
def test_what_ingest_does_not_take_goes_to_the_spool(store: DirectoryStore, status: int) -> None:
    with receive(status) as ingest:
        delivered, _ = deliver(ingest.url, store, batch(), budget_s=2)
    assert delivered is Delivery.SPOOLED
    (key,) = store.list(SPOOL)
    spooled = Spooled.from_bytes(store.get(key))
    verify(spooled.headers, spooled.body, SECRET, NOW + 86_000, tolerance_s=None)
    with pytest.raises(SignatureStale):
        verify(spooled.headers, spooled.body, SECRET, NOW + 86_000)
    assert parse_result_batch(unpack(spooled.body)).batch == batch()


def test_ingest_that_is_gone_ends_in_the_spool(store: DirectoryStore) -> None:
    url = f"http://127.0.0.1:{free_port()}/ingest/v1/results"
    delivered, pauses = deliver(url, store, batch(), budget_s=3)
    assert delivered is Delivery.SPOOLED
    assert pauses.taken
    assert len(store.list(SPOOL)) == 1


def test_reports_share_a_connection(store: DirectoryStore) -> None:
    connections = []

    def keep(peer: socket.socket, request: bytes) -> None:
        connections.append(peer)
        while request:
            peer.sendall(TAKEN)
            request = read_request(peer)

    with serve(keep) as ingest:
        delivered, _ = deliver_each(ingest.url(), store, [batch()] * 3)
    assert delivered == [Delivery.ACCEPTED] * 3
    assert len(connections) == 1


@pytest.mark.parametrize("reset", [False, True])
def test_kept_connection_that_has_died_costs_no_pause(store: DirectoryStore, reset: bool) -> None:
    """As after a freeze: the server has given the connection up, which shows with the second report's bytes."""
    unanswered = []

    def take_once(peer: socket.socket, request: bytes) -> None:
        peer.sendall(TAKEN)
        unanswered.append(read_request(peer))
        if reset:
            resets(peer, b"")

    with serve(take_once) as ingest:
        delivered, pauses = deliver_each(ingest.url(), store, [batch()] * 3)
    assert delivered == [Delivery.ACCEPTED] * 3
    assert (
        len([request for request in unanswered if request]) == 2
    )  # what the second and the third lost
    assert pauses.taken == []
    assert store.list(SPOOL) == []


def test_server_that_always_hangs_up_ends_in_the_spool(store: DirectoryStore) -> None:
    with serve(resets) as ingest:
        delivered, pauses = deliver(ingest.url(), store, batch(), budget_s=1)
    assert delivered is Delivery.SPOOLED
    assert len(ingest.requests) == len(pauses.taken) + 2  # the second comes without a pause


def test_trust_may_be_shared_with_the_probes(store: DirectoryStore) -> None:
    trust = ssl.create_default_context(cafile=authority().ca_file)
    with serve(replies(TAKEN), context=authority().context("127.0.0.1")) as ingest:
        delivered, _ = deliver_each(ingest.url(), store, [batch()], tls=trust)
        untrusted, _ = deliver(ingest.url(), store, batch(), budget_s=0.4)
    assert (delivered, untrusted) == ([Delivery.ACCEPTED], Delivery.SPOOLED)


def test_store_is_opened_when_something_is_spooled(store: DirectoryStore) -> None:
    opened = []

    def open_it() -> DirectoryStore:
        opened.append(store)
        return store

    async def run(url: str) -> int:
        reporter = Reporter(
            ingest_url=url, key_id="local-1", secret=SECRET, store=open_it, budget_s=0.1
        )
        await reporter.report(batch())
        before = len(opened)
        await reporter.report(batch())
        await reporter.report(batch())
        await reporter.close()
        return before

    with receive(202, 503) as ingest:
        assert asyncio.run(run(ingest.url)) == 0
    assert len(opened) == 1
    assert len(store.list(SPOOL)) == 2


def test_body_at_fault_is_neither_sent_again_nor_spooled(store: DirectoryStore) -> None:
    with receive(400) as ingest:
        delivered, _ = deliver(ingest.url, store, batch())
    assert delivered is Delivery.REFUSED
    assert len(ingest.received) == 1
    assert store.list(SPOOL) == []


def test_batch_too_large_for_the_wire_goes_in_parts(store: DirectoryStore) -> None:
    noise = random.Random(5)
    results = tuple(
        Result(
            check_id=number,
            slot=NOW,
            outcome=Outcome.DOWN,
            evidence=Evidence(body=base64.b64encode(noise.randbytes(1_500)).decode()),
        )
        for number in range(1_000)
    )
    sent = ResultBatch(minute=NOW - 48, number=4, region="local", results=results)
    with receive(202) as ingest:
        delivered, _ = deliver(ingest.url, store, sent)
    assert delivered is Delivery.ACCEPTED
    assert len(ingest.received) == 2
    assert all(len(body) <= MAX_WIRE_BYTES for _, body in ingest.received)
    got = [
        result
        for _, body in ingest.received
        for result in parse_result_batch(unpack(body)).batch.results
    ]
    assert tuple(got) == results

"""Servers that keep a probe waiting: one deadline for everything, and nobody else waits with it."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
from collections.abc import Iterator

import pytest

from fanout_lambdas.shared.contracts import Outcome, Reason, Result
from tests.hostile.lab import OVERSHOOT_S, SLACK_S, Case, Lab, Seen, lab, probe_all, timeout
from tests.hostile.peer import Peer, TlsPeer
from tests.hostile.pki import leaf
from tests.hostile.scripts import drips, holds, over
from tests.targets import Target, answer

HEAD = b"HTTP/1.1 200 OK\r\n"
WAITING = "waiting for the answer's first byte"
RECEIVING = "receiving the answer"
HANDSHAKE = "in the TLS handshake"


async def never_reads(peer: Peer) -> None:
    await asyncio.sleep(60)


async def reads_and_is_silent(peer: Peer) -> None:
    await peer.linger()


async def greets_half(peer: TlsPeer) -> None:
    flight = await peer.first_flight()
    await Peer.send(peer, flight[: len(flight) // 2])
    await Peer.linger(peer)


async def greets_slowly(peer: TlsPeer) -> None:
    for byte in await peer.first_flight():
        await Peer.send(peer, bytes([byte]))
        await asyncio.sleep(0.01)
    await Peer.linger(peer)


async def redirects_slowly(peer: Peer) -> None:
    await asyncio.sleep(0.3)
    await peer.send(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")


CASES: dict[str, Case] = {
    "never reads": timeout(never_reads, WAITING),
    "never reads a large request": timeout(
        never_reads, "Timed out after 1 s while", method="POST", body="x" * 65_536
    ),
    "is silent": timeout(reads_and_is_silent, WAITING),
    "handshake: is silent": timeout(reads_and_is_silent, HANDSHAKE, scheme="https"),
    "handshake: never reads": timeout(never_reads, HANDSHAKE, scheme="https"),
    "handshake: half a flight": timeout(greets_half, HANDSHAKE, tls=leaf()),
    "handshake: byte by byte": timeout(greets_slowly, HANDSHAKE, tls=leaf(), host="localhost"),
    "silent after the handshake": timeout(holds(b""), WAITING, tls=leaf()),
    "status line byte by byte": timeout(drips(HEAD, gap_s=0.1), RECEIVING),
    "header byte by byte": timeout(drips(b"x", gap_s=0.02, head=HEAD + b"X-A: "), RECEIVING),
    "headers without end": timeout(drips(b"A: b\r\n", gap_s=0.01, head=HEAD), RECEIVING),
    "body byte by byte": timeout(drips(b"x", gap_s=0.02, head=HEAD + b"\r\n"), RECEIVING),
    "body byte by byte over TLS": timeout(
        drips(b"x", gap_s=0.02, head=HEAD + b"\r\n"), RECEIVING, tls=leaf(), host="localhost"
    ),
    "chunk by chunk": timeout(
        drips(b"1\r\nx\r\n", gap_s=0.01, head=HEAD + b"Transfer-Encoding: chunked\r\n\r\n"),
        RECEIVING,
    ),
    "chunk extension byte by byte": timeout(
        drips(b"x", gap_s=0.02, head=HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;"), RECEIVING
    ),
    "trailers without end": timeout(
        drips(b"A: b\r\n", gap_s=0.01, head=HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"),
        RECEIVING,
    ),
    "compressed body byte by byte": timeout(
        drips(
            gzip.compress(bytes(range(256)) * 40)[:-9],
            gap_s=0.02,
            head=HEAD + b"Content-Encoding: gzip\r\n\r\n",
        ),
        RECEIVING,
    ),
    "slow redirects": timeout(redirects_slowly, "Timed out after 1 s while"),
    "deadline of 1.5 s": timeout(reads_and_is_silent, "after 1.5 s", timeout_ms=1_500),
}


@pytest.fixture(scope="module")
def seen() -> dict[str, Seen]:
    return probe_all(CASES)


@pytest.mark.parametrize("name", CASES)
def test_stalls(name: str, seen: dict[str, Seen]) -> None:
    CASES[name].check(seen[name])


@contextlib.contextmanager
def full_backlog() -> Iterator[Target]:
    """A port whose queue is full: the kernel answers no further connection."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield Target(listener.getsockname()[1])


def test_a_connection_that_is_never_accepted() -> None:
    with lab() as place, full_backlog() as target:
        result = place.run(place.probe(target.url(), timeout_ms=1_000))
    assert (result.outcome, result.reason) == (Outcome.DOWN, Reason.TIMEOUT)
    assert result.message == "Timed out after 1 s while connecting."
    assert result.total_us <= (1 + OVERSHOOT_S + SLACK_S) * 1e6


STALLING = 300
GOOD = 50


def test_stalling_servers_hold_up_nobody() -> None:
    """300 servers that stall in every phase, 50 good ones beside them."""

    async def probe_together(place: Lab) -> tuple[list[Result], list[Result]]:
        stalls = [
            await place.serve(script, tls=tls() if tls else None, scheme=scheme)
            for script, tls, scheme in (
                (reads_and_is_silent, None, "http"),
                (reads_and_is_silent, None, "https"),
                (greets_slowly, leaf(), None),
                (drips(b"x", gap_s=0.05, head=HEAD + b"X-A: "), None, None),
                (drips(b"x", gap_s=0.05, head=HEAD + b"\r\n"), None, None),
                (redirects_slowly, None, None),
            )
        ]
        good = await place.serve(over(answers))
        stalled = [
            asyncio.create_task(
                place.probe(stalls[n % len(stalls)].url(host="localhost"), timeout_ms=2_000)
            )
            for n in range(STALLING)
        ]
        await asyncio.sleep(0.5)  # all of them hang by now
        answered = await asyncio.gather(*(place.probe(good.url()) for _ in range(GOOD)))
        assert not any(task.done() for task in stalled)
        return await asyncio.gather(*stalled), list(answered)

    async def answers(peer: Peer) -> None:
        await peer.send(answer())

    with lab() as place:
        stalled, good = place.run(probe_together(place))
    assert {result.outcome for result in good} == {Outcome.UP}
    assert max(result.total_us for result in good) < 1_000_000
    assert {result.reason for result in stalled} == {Reason.TIMEOUT}
    assert max(result.total_us for result in stalled) <= (2 + OVERSHOOT_S + SLACK_S) * 1e6

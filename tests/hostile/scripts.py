"""The behaviours that many cases share, as makers of scripts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.hostile.lab import Script
from tests.hostile.peer import Peer, TlsPeer
from tests.targets import answer

Step = Callable[[Any], Awaitable[None]]  # takes a Peer, or a TlsPeer where it needs one


def over(step: Step) -> Script:
    """Do the handshake where the server speaks TLS, read the request, then take this step."""

    async def script(peer: Peer) -> None:
        if isinstance(peer, TlsPeer):
            await peer.handshake()
        if await peer.request():
            await step(peer)

    return script


def sends(*parts: bytes) -> Script:
    """Answer and close."""

    async def step(peer: Peer) -> None:
        for part in parts:
            await peer.send(part)

    return over(step)


def holds(data: bytes) -> Script:
    """Answer and stay."""

    async def step(peer: Peer) -> None:
        await peer.send(data)
        await peer.linger()

    return over(step)


def resets(data: bytes = b"") -> Script:
    """Answer this much and reset."""

    async def step(peer: Peer) -> None:
        await peer.send(data)
        peer.reset()

    return over(step)


def drips(data: bytes, *, gap_s: float, head: bytes = b"") -> Script:
    """Byte by byte, and at the end once more from the start."""

    async def step(peer: Peer) -> None:
        await peer.send(head)
        while True:
            for byte in data:
                await peer.send(bytes([byte]))
                await asyncio.sleep(gap_s)

    return over(step)


def bytewise(data: bytes) -> Script:
    """The whole answer in writes of one byte."""

    async def step(peer: Peer) -> None:
        for byte in data:
            await peer.send(bytes([byte]))
            await asyncio.sleep(0)

    return over(step)


def floods(head: bytes, part: bytes) -> Script:
    """As fast as the prober reads, for ever."""

    async def step(peer: Peer) -> None:
        await peer.send(head)
        while True:
            await peer.send(part)

    return over(step)


def in_turn(*answers: bytes) -> Script:
    """One answer per connection, the last one for ever."""
    turn = iter(answers)

    async def step(peer: Peer) -> None:
        await peer.send(next(turn, answers[-1]))

    return over(step)


def speaks_first(data: bytes) -> Script:
    """Say this before the prober has asked."""

    async def script(peer: Peer) -> None:
        await peer.send(data)
        await peer.request()

    return script


def moves(
    location: str | bytes,
    *headers: str,
    status: str = "302 Found",
    body: bytes = b"",
    length: int | None = None,
    then: bytes = answer(),
    times: int = 1,
) -> Script:
    """Redirect so many times, then answer. `{host}` and `{port}` stand for the server itself."""
    left = times

    async def step(peer: Peer) -> None:
        nonlocal left
        if not left:
            await peer.send(then)
            return
        left -= 1
        port = str(peer.sock.getsockname()[1])
        where = location if isinstance(location, bytes) else location.encode()
        where = where.replace(b"{host}", b"127.0.0.1:" + port.encode())
        where = where.replace(b"{port}", port.encode())
        count = len(body) if length is None else length
        head = "\r\n".join([f"HTTP/1.1 {status}", *headers, f"Content-Length: {count}"])
        await peer.send(head.encode() + b"\r\nLocation: " + where + b"\r\n\r\n" + body)

    return over(step)

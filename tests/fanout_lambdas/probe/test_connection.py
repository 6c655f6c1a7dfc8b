"""Connections of probes: guarded, with a fallback from address to address, all in one deadline."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from fanout_lambdas.probe import resolver
from fanout_lambdas.probe.connection import Connector, Flight, Resolver
from fanout_lambdas.probe.phases import Stopwatch
from fanout_lambdas.shared.guarded_connect import Address, Unresolved
from fanout_lambdas.shared.netguard import AllowList, Blocked, Guard, Target, parse_url
from tests.targets import answer, free_port, replies, serve

OPEN = Guard(AllowList.parse("127.0.0.1"))
NAMED = parse_url("http://two.example.com/")


class Fixed:
    """A resolver that knows one answer."""

    def __init__(self, *ports: int) -> None:
        self.addresses = [Address(socket.AF_INET, "127.0.0.1", port) for port in ports]

    async def resolve(self, target: Target, family: str) -> list[Address]:
        return self.addresses


class Hung(Fixed):
    def __init__(self) -> None:
        super().__init__()
        self.cancelled = False

    async def resolve(self, target: Target, family: str) -> list[Address]:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return []


def connect(
    target: Target,
    resolver: Resolver,
    *,
    guard: Guard = OPEN,
    timeout_s: float = 5,
    family: str = "any",
) -> Flight:
    flight = Flight(target=target, watch=Stopwatch(), family=family)

    async def run() -> None:
        connector = Connector(guard=guard, resolver=resolver)
        try:
            stream = await connector.poller.run(connector.open(flight), timeout_s)
            stream.close()
        finally:
            connector.close()

    asyncio.run(run())
    return flight


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """A port that answers no connection: its queue is full, so the kernel drops what comes."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_literal_and_name_are_connected(host: str) -> None:
    with serve(replies(answer())) as target:
        flight = connect(parse_url(target.url(host=host)), resolver.Resolver(), family="4")
    assert flight.remote_address == "127.0.0.1"


@pytest.mark.parametrize("host", ["127.0.0.1", "two.example.com"])
def test_closed_address_is_never_connected(host: str) -> None:
    with serve(replies(answer())) as target:
        place = parse_url(target.url(host=host))
        with pytest.raises(Blocked):
            connect(place, Fixed(target.port), guard=Guard())


def test_refused_address_gives_way_to_the_next() -> None:
    with serve(replies(answer())) as target:
        began = time.monotonic()
        flight = connect(NAMED, Fixed(free_port(), free_port(), target.port))
    assert flight.remote_address == "127.0.0.1"
    assert time.monotonic() - began < 3


def test_silent_address_is_joined_by_the_next() -> None:
    with silent() as dead, serve(replies(answer())) as target:
        flight = connect(NAMED, Fixed(dead, target.port))
    assert flight.remote_address == "127.0.0.1"
    flight.watch.enter(None)
    assert (flight.watch.phases().connect_us or 0) >= 250_000


def test_every_address_refused_is_refused() -> None:
    with pytest.raises(ConnectionRefusedError):
        connect(NAMED, Fixed(free_port(), free_port()))


def test_silence_ends_at_the_deadline() -> None:
    with silent() as dead:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            connect(NAMED, Fixed(dead), timeout_s=0.3)
    assert 0.3 <= time.monotonic() - began < 3


def test_hung_resolver_ends_at_the_deadline_and_is_cancelled() -> None:
    resolver = Hung()
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        connect(NAMED, resolver, timeout_s=0.1)
    assert time.monotonic() - began < 3
    assert resolver.cancelled


def test_wrong_family_of_a_literal() -> None:
    with pytest.raises(Unresolved, match="IPv6"):
        connect(parse_url("http://127.0.0.1/"), Fixed(), family="6")


def test_phases_of_a_connection() -> None:
    with serve(replies(answer())) as target:
        flight = connect(NAMED, Fixed(target.port))
    flight.watch.enter(None)
    phases = flight.watch.phases()
    assert phases.dns_us is not None
    assert phases.connect_us is not None
    assert phases.tls_us is None

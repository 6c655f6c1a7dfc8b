"""A name that changes its mind between two questions never brings a packet to a forbidden address."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from fanout_lambdas.probe.connection import Connector, Flight
from fanout_lambdas.probe.name_servers import NameServer
from fanout_lambdas.probe.phases import Stopwatch
from fanout_lambdas.probe.run import ProbeEngine
from fanout_lambdas.shared.contracts import Kind, Outcome, Probe, Reason
from fanout_lambdas.shared.guarded_connect import Address, connect_blocking
from fanout_lambdas.shared.netguard import AllowList, Blocked, Guard, Target
from tests.nameserver import Query, name_server

ALLOWED, FORBIDDEN = "127.0.0.1", "127.0.0.2"
ANSWERS = ((ALLOWED,), (FORBIDDEN,), (ALLOWED, FORBIDDEN), (FORBIDDEN, ALLOWED))
_LAST = b"."
_RESET = struct.pack("ii", 1, 0)  # leaves no port in TIME_WAIT


@contextlib.contextmanager
def doors() -> Iterator[tuple[int, Counter[str]]]:
    """A listener at both addresses on one port, and who was met where."""
    met: Counter[str] = Counter()

    def accept(listener: socket.socket, address: str) -> None:
        while True:
            peer, _ = listener.accept()
            with peer:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                if peer.recv(1) == _LAST:
                    return
                met[address] += 1

    allowed = socket.create_server((ALLOWED, 0), backlog=128)
    port = allowed.getsockname()[1]
    forbidden = socket.create_server((FORBIDDEN, port), backlog=128)
    pairs = ((allowed, ALLOWED), (forbidden, FORBIDDEN))
    threads = [threading.Thread(target=accept, args=pair, daemon=True) for pair in pairs]
    for thread in threads:
        thread.start()
    try:
        yield port, met
    finally:
        for _, address in pairs:
            with socket.create_connection((address, port)) as last:
                last.sendall(_LAST)  # after it, all who came before have been counted
        for thread in threads:
            thread.join(5)
        allowed.close()
        forbidden.close()


def only(port: int) -> Guard:
    return Guard(AllowList.parse(f"{ALLOWED}/32:{port}"))


class Alternating:
    """A resolver whose name moves with every question."""

    def __init__(self) -> None:
        # Mostly forbidden, as each connection costs the test a hundred times what a refusal does.
        self._answers = itertools.cycle((*ANSWERS, *[(FORBIDDEN,)] * 12))

    async def resolve(self, target: Target, family: str) -> list[Address]:
        return [Address(socket.AF_INET, ip, target.port) for ip in next(self._answers)]


def test_ten_thousand_tries_reach_the_allowed_address_alone() -> None:
    with doors() as (port, met):
        guard, blocked = only(port), 0

        async def run() -> None:
            nonlocal blocked
            connector = Connector(guard=guard, resolver=Alternating())
            target = guard.check_url(f"http://rebind.example.com:{port}/")
            try:
                for _ in range(10_000):
                    flight = Flight(target=target, watch=Stopwatch())
                    try:
                        stream = await connector.poller.run(connector.open(flight), 5)
                    except Blocked:
                        blocked += 1
                    else:
                        assert flight.remote_address == ALLOWED
                        stream.close()
            finally:
                connector.close()

        asyncio.run(run())
        assert blocked == 10_000 - 3 * 625
    assert met == {ALLOWED: 3 * 625}


def test_a_rebinding_name_server_is_believed_only_when_it_names_the_allowed_address() -> None:
    answers = itertools.cycle(ANSWERS)

    def rebinds(query: Query) -> Iterable[bytes]:
        return [query.reply(*(next(answers) if query.kind == "A" else ()))]

    with doors() as (port, met), name_server(rebinds) as names:

        async def run() -> Counter[tuple[Outcome, Reason]]:
            engine = ProbeEngine(
                guard=only(port),
                user_agent="Uptime/1.0 (+test)",
                name_servers=[NameServer.parse(names.place)],
            )
            probe = Probe(
                check_id=1,
                slot=0,
                kind=Kind.TCP,
                url=f"tcp://rebind.example.com:{port}",
                family="4",
            )
            try:
                results = [await engine.probe(probe) for _ in range(40)]
            finally:
                engine.close()
            return Counter((result.outcome, result.reason) for result in results)

        ends = asyncio.run(run())
    assert ends == {(Outcome.UP, Reason.NONE): 30, (Outcome.DOWN, Reason.BLOCKED): 10}
    assert met == {ALLOWED: 30}


def test_webhooks_are_not_led_away_either(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = itertools.cycle(ANSWERS)

    def rebinds(host: str, port: int, *args: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in next(answers)]

    with doors() as (port, met):
        guard, blocked = only(port), 0
        target = guard.check_url(f"http://rebind.example.com:{port}/")
        monkeypatch.setattr(socket, "getaddrinfo", rebinds)
        for _ in range(400):
            try:
                connect_blocking(target, guard=guard, timeout_s=5).close()
            except Blocked:
                blocked += 1
        assert blocked == 100
    assert met == {ALLOWED: 300}

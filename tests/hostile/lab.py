"""Hostile servers and the probe engine in one event loop: each case of a table is probed at once, so that
a table of timeouts costs one timeout."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fanout_lambdas.probe.run import ProbeEngine
from fanout_lambdas.shared.contracts import Outcome, Probe, Reason, Result
from fanout_lambdas.shared.netguard import AllowList, Guard
from tests.hostile.peer import Peer, TlsPeer
from tests.hostile.pki import Served, roots
from tests.targets import Target

T = TypeVar("T")
Script = Callable[[Any], Awaitable[None]]

IN_FLIGHT = 1_000
# A machine under other load is late by this much at most; the engine itself by 100 ms.
SLACK_S = 0.9
OVERSHOOT_S = 0.1
PATIENCE_MS = 5_000  # what ends by itself ends long before


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A probe's result, how long the caller waited for it, and what reached the server."""

    result: Result
    took_s: float
    requests: Sequence[bytes]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A server's behaviour and the right verdict on it."""

    script: Script
    reason: Reason = Reason.NONE
    words: str = ""
    outcome: Outcome = Outcome.UP
    status: int | None = None
    size: int | None = None
    within_s: float = 3.0
    tls: Served | None = None
    scheme: str | None = None
    host: str | None = None
    path: str = "/"
    fields: Mapping[str, Any] = field(default_factory=dict)

    def check(self, seen: Seen) -> None:
        result = seen.result
        assert (result.outcome, result.reason) == (self.outcome, self.reason), result.message
        assert self.words in result.message, result.message
        assert bool(result.message) == (result.outcome is not Outcome.UP)
        assert not result.message or result.message.endswith("."), result.message
        if self.status is not None:
            assert result.http_status == self.status
        if self.size is not None:
            assert result.bytes == self.size
        # What the worker reports is what ingest accepts.
        assert Result.from_json(json.loads(json.dumps(result.to_json()))) == result
        spent = sum(us or 0 for us in result.phases.to_json().values())
        assert spent <= result.total_us + 1_000, result.phases
        if self.reason is Reason.TIMEOUT:
            timeout_s = self.fields.get("timeout_ms", PATIENCE_MS) / 1_000
            least, most = timeout_s - 0.01, timeout_s + OVERSHOOT_S + SLACK_S
            assert least <= seen.took_s <= most, f"took {seen.took_s:.3f} s"
        else:
            assert seen.took_s <= self.within_s, f"took {seen.took_s:.3f} s"


def up(script: Script, *, size: int | None = None, status: int = 200, **fields: Any) -> Case:
    """A server that a browser shows: its body is "hello", or has `size` bytes."""
    if size is None:
        size, fields = len("hello"), {"keyword": ["hello"], **fields}
    return Case(script=script, size=size, status=status, **_split(fields))


def down(script: Script, reason: Reason, words: str, **fields: Any) -> Case:
    return Case(script=script, outcome=Outcome.DOWN, reason=reason, words=words, **_split(fields))


def timeout(script: Script, words: str, **fields: Any) -> Case:
    """A server that keeps the probe until its deadline of 1 s, the shortest there is."""
    return down(script, Reason.TIMEOUT, words, **{"timeout_ms": 1_000, **fields})


_OF_CASE = frozenset(Case.__dataclass_fields__)


def _split(fields: dict[str, Any]) -> dict[str, Any]:
    """Keywords of the case itself, and those of its probe."""
    own = {name: value for name, value in fields.items() if name in _OF_CASE}
    return own | {"fields": {k: v for k, v in fields.items() if k not in _OF_CASE}}


class Lab:
    """An event loop with an engine that trusts our roots and may reach loopback alone."""

    def __init__(self, *, allow: str = "127.0.0.1, ::1", in_flight: int = IN_FLIGHT) -> None:
        self.faults: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda _, context: self.faults.append(str(context)))
        self._servers: list[_Server] = []
        self.engine = self.run(self._start(allow, in_flight))

    async def _start(self, allow: str, in_flight: int) -> ProbeEngine:
        return ProbeEngine(
            guard=Guard(AllowList.parse(allow)),
            user_agent="Uptime/1.0 (+test)",
            in_flight=in_flight,
            ca_file=roots().ca_file,
            cores=100,  # the servers' work in this process must not hold up the probes
        )

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)

    def close(self) -> None:
        async def stop() -> None:
            for server in self._servers:
                await server.stop()
            self.engine.close()

        self.run(stop())
        self.run(self._loop.shutdown_default_executor())
        self._loop.close()

    async def serve(
        self,
        script: Script,
        *,
        tls: ssl.SSLContext | None = None,
        scheme: str | None = None,
        host: str = "127.0.0.1",
    ) -> Target:
        """A listening server that runs `script(peer)` for each connection, until the lab closes."""
        server = _Server(script, tls, scheme or ("https" if tls else "http"), host)
        self._servers.append(server)
        return server.target

    async def probe(self, url: str, **fields: Any) -> Result:
        raw = {"check_id": 7, "slot": 5, "url": url, "timeout_ms": PATIENCE_MS, **fields}
        return await self.engine.probe(Probe.from_json(raw))

    async def see(self, case: Case) -> Seen:
        tls = case.tls() if case.tls else None
        target = await self.serve(case.script, tls=tls, scheme=case.scheme)
        began = time.monotonic()
        # Certificates are for names, unless the case is about addresses.
        host = case.host or ("localhost" if target.scheme == "https" else "127.0.0.1")
        result = await self.probe(target.url(case.path, host), family="4", **case.fields)
        took_s = time.monotonic() - began
        return Seen(result=result, took_s=took_s, requests=target.requests)

    async def see_all(self, cases: Mapping[str, Case]) -> dict[str, Seen]:
        """All at once; those that take their whole deadline afterwards, so that on a busy machine it
        is not used up by the others' work."""
        waiting = [name for name, case in cases.items() if case.reason is Reason.TIMEOUT]
        seen: dict[str, Seen] = {}
        for names in ([name for name in cases if name not in waiting], waiting):
            found = await asyncio.gather(*(self.see(cases[name]) for name in names))
            seen |= zip(names, found, strict=True)
        return seen


@contextlib.contextmanager
def lab(**settings: Any) -> Iterator[Lab]:
    """A lab for a block; after it no exception has gone astray in the event loop, and no connection
    is left open."""
    before = open_sockets()
    place = Lab(**settings)
    try:
        yield place
    finally:
        place.close()
    assert place.faults == []
    assert open_sockets() <= before


def open_sockets() -> set[str]:
    """This process's sockets, where the system tells them."""
    found = set()
    with contextlib.suppress(OSError):
        for number in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                found.add(os.readlink(f"/proc/self/fd/{number}"))
    return {name for name in found if name.startswith("socket:")}


def probe_all(cases: Mapping[str, Case]) -> dict[str, Seen]:
    with lab() as place:
        return place.run(place.see_all(cases))


class _Server:
    def __init__(self, script: Script, tls: ssl.SSLContext | None, scheme: str, host: str) -> None:
        self._script = script
        self._tls = tls
        self._listener = socket.create_server((host, 0), backlog=512)
        self._listener.setblocking(False)
        self.target = Target(self._listener.getsockname()[1], scheme)
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.create_task(self._accept())

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            sock, _ = await loop.sock_accept(self._listener)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = asyncio.create_task(self._serve(sock))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):  # ssl.SSLError is one: the prober went away
            peer = TlsPeer(sock, self._tls) if self._tls else Peer(sock)
            peer.requests = self.target.requests
            await self._script(peer)
            if sock.fileno() >= 0:
                await peer.close()

    async def stop(self) -> None:
        tasks = [self._accepting, *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._listener.close()

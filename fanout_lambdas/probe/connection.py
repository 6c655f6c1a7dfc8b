"""Connections of probes: a name's addresses through the guard, the first that answers, TLS; each part
timed. Fresh for every probe: nothing is pooled or shared."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any, Protocol

from fanout_lambdas.probe import phases
from fanout_lambdas.probe.phases import Stopwatch
from fanout_lambdas.probe.poller import Poller, ready
from fanout_lambdas.probe.shortage import is_shortage
from fanout_lambdas.probe.stream import Stream, TlsStream
from fanout_lambdas.probe.tls import TlsContexts
from fanout_lambdas.shared.contracts import Certificate
from fanout_lambdas.shared.guarded_connect import (
    Address,
    check_peer,
    literal,
    permitted,
)
from fanout_lambdas.shared.netguard import Guard, Target

# RFC 8305, section 5: an address that is silent for so long is joined by the next one.
ATTEMPT_DELAY_S = 0.25
_NO_ROUTE = frozenset(
    (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
)
_CONNECTED = frozenset((0, errno.EISCONN))
_CONNECTING = frozenset((errno.EINPROGRESS, errno.EALREADY, errno.EINTR, errno.EAGAIN))
_TLS_SCHEMES = frozenset(("https", "tls"))


class Resolver(Protocol):
    """Turns names into addresses; a literal address never gets there."""

    async def resolve(self, target: Target, family: str) -> list[Address]:
        """All addresses of `target.host` in the order to try them, not yet guarded; `family` is
        "any", "4" or "6". Raises Unresolved. Cancelled at the probe's deadline."""
        ...


@dataclass(slots=True, kw_only=True)
class Flight:
    """One connection of a probe: what to reach and how, and what was learnt on the way, which is
    there also when the way ended early."""

    target: Target
    watch: Stopwatch
    family: str = "any"
    verify_tls: bool = True
    http: bool = True  # offer http/1.1 by ALPN
    remote_address: str | None = None
    certificate: Certificate | None = None


class Connector:
    """Opens connections for all probes of a process and event loop."""

    def __init__(self, *, guard: Guard, resolver: Resolver, ca_file: str | None = None) -> None:
        self.poller = Poller()
        self._guard = guard
        self._resolver = resolver
        self._contexts = TlsContexts(ca_file)

    @property
    def tls_context(self) -> ssl.SSLContext:
        """What an ordinary HTTPS request is asked with."""
        return self._contexts.get(verify=True, http=True)

    def close(self) -> None:
        self.poller.close()

    async def open(self, flight: Flight) -> Stream:
        """A connection to the flight's target, with TLS where its scheme says so. To be awaited
        inside `poller.run`. Raises Blocked, Unresolved, OSError, ssl.SSLError,
        CertificateRejected."""
        watch, target = flight.watch, flight.target
        watch.enter(phases.DNS)
        addresses = await self._addresses(target, flight.family)
        watch.enter(phases.CONNECT)
        sock = await self._connect(addresses, flight)
        if target.scheme not in _TLS_SCHEMES:
            return Stream(sock, self.poller)
        watch.enter(phases.TLS)
        context = self._contexts.get(verify=flight.verify_tls, http=flight.http)
        stream = TlsStream(sock, self.poller)
        try:
            await stream.handshake(context, target.host, speaks_first=flight.http)
        finally:
            flight.certificate = stream.certificate
        return stream

    async def _addresses(self, target: Target, family: str) -> list[Address]:
        if target.is_literal:
            return literal(target, self._guard, family)
        # A task of its own: the resolver may use all of asyncio, which a poller's run may not.
        found = await asyncio.ensure_future(self._resolver.resolve(target, family))
        return permitted(found, target, self._guard)

    async def _connect(self, addresses: list[Address], flight: Flight) -> socket.socket:
        """The first connection that stands. A refused address gives way to the next at once, a
        silent one is joined by it, so that a dead IPv6 route does not use up the deadline."""
        waiting = addresses[::-1]
        trying: list[tuple[socket.socket, Address]] = []
        failures: list[OSError] = []
        chosen: socket.socket | None = None
        join_at = 0.0
        try:
            while True:
                if waiting and (not trying or time.monotonic() >= join_at):
                    address = waiting.pop()
                    try:
                        trying.append((self._new_socket(address), address))
                    except OSError as failure:
                        failures.append(failure)
                    if waiting:
                        join_at = time.monotonic() + ATTEMPT_DELAY_S
                        self.poller.wake_at(join_at + 0.001)  # a timer may come a tick too early
                for attempt in trying[:]:
                    sock, address = attempt
                    code = sock.connect_ex((address.ip, address.port))
                    if code in _CONNECTED:
                        peer = _peer(sock)
                        if peer is not None:
                            check_peer(peer, address, flight.target, self._guard)
                            flight.remote_address = str(peer[0])
                            chosen = sock
                            return sock
                        code = errno.ECONNRESET  # it stood, and was reset before we came to look
                    if code not in _CONNECTING:
                        failures.append(OSError(code, os.strerror(code)))
                        trying.remove(attempt)
                        self._drop(sock)
                if trying:
                    await ready()
                elif not waiting:
                    raise _most_telling(failures)
        finally:
            for sock, _ in trying:
                if sock is not chosen:
                    self._drop(sock)

    def _new_socket(self, address: Address) -> socket.socket:
        sock = socket.socket(address.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.poller.watch(sock.fileno())
        return sock

    def _drop(self, sock: socket.socket) -> None:
        self.poller.forget(sock.fileno())
        sock.close()


def _peer(sock: socket.socket) -> tuple[Any, ...] | None:
    try:
        peer: tuple[Any, ...] = sock.getpeername()
    except OSError:
        return None
    return peer


def _most_telling(failures: list[OSError]) -> OSError:
    """Of several addresses' failures: that we could not try one of them, before what a server did,
    before that there was no route."""
    ours = [failure for failure in failures if is_shortage(failure)]
    telling = [failure for failure in failures if failure.errno not in _NO_ROUTE]
    return (ours or telling or failures)[-1]

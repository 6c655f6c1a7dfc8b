"""The wire under httpx: a fresh guarded connection per request on non-blocking sockets, HTTP/1.1
framing by h11, each phase timed. No pool, nothing shared between probes."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

import h11
import httpx

from fanout_lambdas.probe import phases
from fanout_lambdas.probe.phases import Stopwatch
from fanout_lambdas.probe.tls import read_certificate, rejected
from fanout_lambdas.shared.contracts import Certificate
from fanout_lambdas.shared.guarded_connect import Address, connect, resolve
from fanout_lambdas.shared.netguard import Guard, Target

MAX_HEAD_BYTES = 100 * 1024  # status line and headers, also a chunk's head and the trailers
MAX_INFORMATIONAL = 20
READ_BYTES = 64 * 1024

FLIGHT = "flight"  # the request extension in which a probe's Flight travels


class NoAnswer(OSError):
    """The connection ended before the first byte of an answer."""


@dataclass(slots=True, kw_only=True)
class Flight:
    """One probe's journey through the transport: what to reach, and what was learnt on the way."""

    target: Target
    watch: Stopwatch
    family: str = "any"
    verify_tls: bool = True
    remote_address: str | None = None
    certificate: Certificate | None = None


class ProbeTransport(httpx.AsyncBaseTransport):
    """Serves requests that carry a `Flight`; its target, not the URL, decides where they go."""

    def __init__(
        self,
        *,
        guard: Guard,
        verifying: ssl.SSLContext,
        trusting: ssl.SSLContext,
        pool: Executor | None = None,
    ) -> None:
        self._guard = guard
        self._verifying = verifying
        self._trusting = trusting
        self._pool = pool

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        flight: Flight = request.extensions[FLIGHT]
        stream = await self._open(flight)
        try:
            exchange = _Exchange(stream)
            flight.watch.enter(phases.SEND)
            await exchange.send(request)
            answer = await exchange.receive_head()
        except BaseException:
            stream.close()
            raise
        return httpx.Response(
            answer.status_code,
            headers=list(answer.headers),
            stream=_Body(exchange, stream),
            extensions={"http_version": b"HTTP/" + answer.http_version},
            request=request,
        )

    async def _open(self, flight: Flight) -> _Stream:
        watch, target = flight.watch, flight.target
        watch.enter(phases.DNS)
        addresses = await resolve(target, guard=self._guard, family=flight.family, pool=self._pool)
        watch.enter(phases.CONNECT)
        sock = await self._connect(addresses)
        flight.remote_address = str(sock.getpeername()[0])
        if target.scheme == "https":
            watch.enter(phases.TLS)
            context = self._verifying if flight.verify_tls else self._trusting
            sock = await _handshake(sock, context, flight)
        return _Stream(sock, watch)

    async def _connect(self, addresses: list[Address]) -> socket.socket:
        """The first address that answers; each but the last gets 2 s, so that a dead IPv6 route
        does not use up the whole deadline."""
        for address in addresses[:-1]:
            try:
                async with asyncio.timeout(2):
                    return await connect(address, guard=self._guard)
            except OSError:  # TimeoutError is one
                continue
        return await connect(addresses[-1], guard=self._guard)


class _Exchange:
    """One request and its answer in HTTP/1.1 framing."""

    __slots__ = ("_h11", "_stream")

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)

    async def send(self, request: httpx.Request) -> None:
        head = h11.Request(
            method=request.method, target=request.url.raw_path, headers=request.headers.raw
        )
        data = self._h11.send(head) or b""
        if request.content:
            data += self._h11.send(h11.Data(request.content)) or b""
        data += self._h11.send(h11.EndOfMessage()) or b""
        try:
            await self._stream.write(data)
        except OSError:
            # A server may refuse early and close: its answer is read all the same.
            return

    async def receive_head(self) -> h11.Response:
        informational = 0
        while True:
            event = await self._next()
            if isinstance(event, h11.Response):
                return event
            informational += 1
            if informational > MAX_INFORMATIONAL:
                raise h11.RemoteProtocolError("too many informational answers")

    async def body(self) -> AsyncIterator[bytes]:
        while True:
            event = await self._next()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            else:  # the end of the message, or of HTTP on this connection
                return

    async def _next(self) -> Any:
        while True:
            event = self._h11.next_event()
            if event is not h11.NEED_DATA:
                return event
            self._h11.receive_data(await self._stream.read(READ_BYTES))


class _Body(httpx.AsyncByteStream):
    """The answer's raw body; closing it closes the connection."""

    def __init__(self, exchange: _Exchange, stream: _Stream) -> None:
        self._exchange = exchange
        self._stream = stream

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._exchange.body()

    async def aclose(self) -> None:
        self._stream.close()


class _Stream:
    """A plain or TLS socket that waits in the event loop. Deadlines are the caller's: one timer
    for the whole probe instead of one per read."""

    __slots__ = ("_awaiting_first_byte", "_sock", "_watch")

    def __init__(self, sock: socket.socket, watch: Stopwatch) -> None:
        self._sock = sock
        self._watch = watch
        self._awaiting_first_byte = True

    async def read(self, max_bytes: int) -> bytes:
        if self._awaiting_first_byte:
            self._watch.enter(phases.WAIT)
        data: bytes = await _patient(self._sock, partial(self._sock.recv, max_bytes), reading=True)
        if self._awaiting_first_byte:
            if not data:
                raise NoAnswer("The server closed the connection without an answer.")
            self._watch.enter(phases.RECEIVE)
            self._awaiting_first_byte = False
        return data

    async def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[await _patient(self._sock, partial(self._sock.send, view), reading=False) :]

    def close(self) -> None:
        self._sock.close()


async def _handshake(sock: socket.socket, context: ssl.SSLContext, flight: Flight) -> ssl.SSLSocket:
    host = flight.target.host
    try:
        wrapped = context.wrap_socket(
            sock, server_hostname=host, do_handshake_on_connect=False, suppress_ragged_eofs=True
        )
    except BaseException:
        sock.close()
        raise
    try:
        await _patient(wrapped, wrapped.do_handshake, reading=True)
        der = wrapped.getpeercert(True)
        flight.certificate = read_certificate(der) if der else None
    except ssl.SSLCertVerificationError as error:
        failure = rejected(error, wrapped, host, time.time())
        flight.certificate = failure.certificate
        wrapped.close()
        raise failure from error
    except BaseException:
        wrapped.close()
        raise
    return wrapped


async def _patient(sock: socket.socket, step: Callable[[], Any], *, reading: bool) -> Any:
    """Repeat a non-blocking step until it goes through, waiting for the socket in between."""
    while True:
        try:
            return step()
        except ssl.SSLWantReadError:
            await _ready(sock, reading=True)
        except ssl.SSLWantWriteError:
            await _ready(sock, reading=False)
        except (BlockingIOError, InterruptedError):
            await _ready(sock, reading=reading)


async def _ready(sock: socket.socket, *, reading: bool) -> None:
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()
    number = sock.fileno()
    if reading:
        loop.add_reader(number, _wake, waiter)
    else:
        loop.add_writer(number, _wake, waiter)
    try:
        await waiter
    finally:
        if reading:
            loop.remove_reader(number)
        else:
            loop.remove_writer(number)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)

"""The wire under httpx: a fresh guarded connection per request, HTTP/1.1 framing by h11, each phase
timed. No pool, nothing shared between probes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import h11
import httpx

from fanout_lambdas.probe import phases
from fanout_lambdas.probe.connection import Connector, Flight, Stream
from fanout_lambdas.probe.phases import Stopwatch

MAX_HEAD_BYTES = 100 * 1024  # status line and headers, also a chunk's head and the trailers
MAX_INFORMATIONAL = 20
READ_BYTES = 64 * 1024

FLIGHT = "flight"  # the request extension in which a probe's Flight travels


class NoAnswer(OSError):
    """The connection ended before the first byte of an answer."""


class ProbeTransport(httpx.AsyncBaseTransport):
    """Serves requests that carry a `Flight`; its target, not the URL, decides where they go."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        flight: Flight = request.extensions[FLIGHT]
        stream = await self._connector.open(flight)
        try:
            exchange = _Exchange(stream, flight.watch)
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


class _Exchange:
    """One request and its answer in HTTP/1.1 framing."""

    __slots__ = ("_answered", "_h11", "_stream", "_watch")

    def __init__(self, stream: Stream, watch: Stopwatch) -> None:
        self._stream = stream
        self._watch = watch
        self._answered = False
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)

    async def send(self, request: httpx.Request) -> None:
        self._watch.enter(phases.SEND)
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
        self._watch.enter(phases.WAIT)
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
            data = await self._stream.read(READ_BYTES)
            if not self._answered:
                if not data:
                    raise NoAnswer("The server closed the connection without an answer.")
                self._watch.enter(phases.RECEIVE)
                self._answered = True
            self._h11.receive_data(data)


class _Body(httpx.AsyncByteStream):
    """The answer's raw body; closing it closes the connection."""

    def __init__(self, exchange: _Exchange, stream: Stream) -> None:
        self._exchange = exchange
        self._stream = stream

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._exchange.body()

    async def aclose(self) -> None:
        self._stream.close()

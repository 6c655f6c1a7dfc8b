"""The wire under httpx: one request over a fresh guarded connection, each phase timed. No pool,
nothing shared between probes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import httpx

from fanout_lambdas.probe import phases
from fanout_lambdas.probe.connection import Connector, Flight
from fanout_lambdas.probe.framing import (
    BadAnswer,
    Body,
    Cut,
    Head,
    HeadReader,
    body_of,
    request_head,
)
from fanout_lambdas.probe.phases import Stopwatch
from fanout_lambdas.probe.stream import Stream

MAX_INFORMATIONAL = 20
READ_BYTES = 32 * 1024  # small enough that the costliest content of one read holds up nobody

FLIGHT = "flight"  # the request extension in which a probe's Flight travels
_SWITCHING = 101  # the last answer of HTTP on a connection, though it is an informational one


class NoAnswer(OSError):
    """The connection ended before the first byte of an answer."""


class ProbeTransport(httpx.AsyncBaseTransport):
    """Serves requests that carry a `Flight`; its target, not the URL's host, decides where they go.
    To be awaited inside `Poller.run`."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        flight: Flight = request.extensions[FLIGHT]
        watch = flight.watch
        stream = await self._connector.open(flight)
        try:
            watch.enter(phases.SEND)
            data = request_head(
                request.method, request.url.raw_path, request.headers.raw, request.read()
            )
            # A server may refuse early and close: its answer is read all the same.
            with contextlib.suppress(OSError):
                await stream.write(data)
            watch.enter(phases.WAIT)
            reader = HeadReader()
            head = await _receive_head(stream, reader, watch)
            body = body_of(head, request.method)
        except BaseException:
            stream.close()
            raise
        response = httpx.Response(
            head.http_status,
            headers=head.headers,
            stream=_BodyStream(stream, body, reader.rest),
            extensions={"http_version": b"HTTP/" + head.version.encode("ascii")},
            request=request,
        )
        if head.is_ascii:
            response.headers.encoding = "ascii"  # else found out anew at each look-up
        return response


async def _receive_head(stream: Stream, reader: HeadReader, watch: Stopwatch) -> Head:
    """The head of the last answer; the informational ones before it are passed over."""
    informational, nothing = 0, True
    while True:
        data = await stream.read(READ_BYTES)
        if not data:
            if nothing:
                raise NoAnswer("The server closed the connection without an answer.")
            raise Cut
        if watch.phase == phases.WAIT:
            watch.enter(phases.RECEIVE)
        nothing = False
        head = reader.feed(data)
        while head is not None:
            if head.http_status >= 200 or head.http_status == _SWITCHING:
                return head
            informational += 1
            if informational > MAX_INFORMATIONAL:
                raise BadAnswer(
                    f"The server sent more than {MAX_INFORMATIONAL} informational answers."
                )
            if not reader.rest:
                watch.enter(phases.WAIT)
            head = reader.feed(b"")


class _BodyStream(httpx.AsyncByteStream, AsyncIterator[bytes]):
    """The answer's body without its framing; closing it closes the connection.

    No generator: asyncio would keep a list of them, and finish one that was left in a task."""

    def __init__(self, stream: Stream, body: Body, data: bytes) -> None:
        self._stream = stream
        self._body = body
        self._data = data  # what came together with the head

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        body = self._body
        while not body.done:
            data, self._data = self._data, b""
            if not data:
                data = await self._stream.read(READ_BYTES)
                if not data:
                    body.close()
                    break
            part = body.feed(data)
            if part:
                return part
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self._stream.close()

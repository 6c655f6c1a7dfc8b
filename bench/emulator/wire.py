"""HTTP/1.1 on a loopback socket, as little of it as boto3 and the runtime client speak.

By hand, because the emulator shares two cores with every environment it runs: three requests make
one invocation, and a general server's CPU for them would be most of what is measured.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

MAX_HEAD_BYTES = 65_536
MAX_BODY_BYTES = 32 * 1_048_576
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


@dataclass(slots=True)
class Request:
    """`headers` have lower-case names; `answer(status, body, headers)` is called once, at any time later."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: Connection

    def answer(
        self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        self.connection.answer(status, body, headers or {})


class Connection(asyncio.Protocol):
    """One request after another; the next is read when this one is answered."""

    def __init__(self, serve: Callable[[Request], None]) -> None:
        self._serve = serve
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._head: tuple[str, str, dict[str, str]] | None = None
        self._length = 0
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._busy:
            self._read()

    def answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        if self._transport is None:
            return
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._transport.write(
            f"HTTP/1.1 {status} {_PHRASES[status]}\r\n{lines}content-length: {len(body)}\r\n\r\n".encode(
                "latin-1"
            )
            + body
        )
        self._busy, self._head = False, None
        if self._buffer:
            self._read()

    def _read(self) -> None:
        if self._head is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > MAX_HEAD_BYTES:
                    self._refuse(431)
                return
            try:
                self._head = _parsed(self._buffer[:end])
                self._length = int(self._head[2].get("content-length", "0"))
            except ValueError:
                self._refuse(400)
                return
            del self._buffer[: end + 4]
            if "transfer-encoding" in self._head[2]:
                self._refuse(411)
                return
            if self._length > MAX_BODY_BYTES:
                self._refuse(413)
                return
            if self._head[2].get("expect", "").lower() == "100-continue" and self._transport:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if len(self._buffer) < self._length:
            return
        body = bytes(self._buffer[: self._length])
        del self._buffer[: self._length]
        self._busy = True
        self._serve(Request(*self._head, body, self))

    def _refuse(self, status: int) -> None:
        self._buffer.clear()
        self.answer(status, b"", {"connection": "close"})
        if self._transport is not None:
            self._transport.close()


def _parsed(head: bytearray) -> tuple[str, str, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _version = first.split(" ")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return method, path, headers


async def listen(serve: Callable[[Request], None], *, port: int = 0) -> tuple[asyncio.Server, str]:
    """A server on this port of loopback, 0: any free one, and its host:port."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(serve), "127.0.0.1", port, backlog=1_024)
    host, port = server.sockets[0].getsockname()[:2]
    return server, f"{host}:{port}"

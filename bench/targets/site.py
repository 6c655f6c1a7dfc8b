"""The target site itself: a bare asyncio protocol, a few hundred microseconds of CPU a request."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import defaultdict

from bench.targets.behaviour import KEYWORD, Answer, Kind, answer_of

MAX_HEAD = 64 * 1024
PAGE_BYTES = 1_024
_FILLER = "<p>A page of an ordinary size, so that receiving it takes what it takes.</p>\n" * 12


def _page(status: str, body: str) -> bytes:
    page = f"<!doctype html><title>Target</title><h1>{body}</h1>\n{_FILLER}"
    data = page.ljust(PAGE_BYTES).encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\n"
        f"Content-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


PAGES = {
    Answer.OK: _page("200 OK", KEYWORD),
    Answer.ERROR: _page("500 Internal Server Error", "Something broke"),
    Answer.WRONG: _page("200 OK", "Out of order"),
    Answer.NOT_FOUND: _page("404 Not Found", "No such target"),
}


class Memory:
    """What a site remembers from one request to the next."""

    def __init__(self) -> None:
        self.asked: defaultdict[int, int] = defaultdict(int)
        self.down: set[int] = set()


class Site(asyncio.Protocol):
    """One connection."""

    def __init__(self, memory: Memory, loop: asyncio.AbstractEventLoop) -> None:
        self._memory = memory
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            if len(self._head) > MAX_HEAD and self._transport is not None:
                self._transport.abort()
            return
        head, self._head = self._head[:end], self._head[end + 4 :]
        closing = b"connection: close" in head.lower()
        _, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0].decode("latin-1")
        delay_ms, answer = self._decide(path)
        self._loop.call_later(delay_ms / 1000, self._send, answer, closing)

    def _decide(self, path: str) -> tuple[int, Answer]:
        _, kind, *rest = path.split("/")
        if kind == "set" and len(rest) == 2 and rest[0].isdigit():
            number = int(rest[0])
            (self._memory.down.add if rest[1] == "down" else self._memory.down.discard)(number)
            return 0, Answer.OK
        if len(rest) != 2 or not (rest[0].isdigit() and rest[1].isdigit()):
            return 0, Answer.NOT_FOUND
        number, asked = int(rest[1]), 0
        if kind == Kind.HICCUP:
            self._memory.asked[number] = asked = self._memory.asked[number] + 1
        down = number in self._memory.down
        answer = answer_of(kind, number=number, asked=asked, now=time.time(), down=down)
        return int(rest[0]), answer

    def _send(self, answer: Answer, closing: bool) -> None:
        transport = self._transport
        if transport is None:
            return
        if answer is Answer.RESET:
            connection = transport.get_extra_info("socket")
            if connection is not None:
                # Closing without lingering sends RST instead of FIN.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
            return
        transport.write(PAGES[answer])
        if closing:
            transport.close()

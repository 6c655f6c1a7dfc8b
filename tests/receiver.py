"""A webhook receiver on loopback that records what it gets and answers with every fault a real one has."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


@dataclass(frozen=True, slots=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes
    at: float


@dataclass(frozen=True, slots=True)
class Answer:
    """An ordinary answer."""

    status: int = 200
    body: bytes = b"ok"
    headers: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, handler: _Handler) -> None:
        handler.send_response(self.status)
        for name, value in self.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(self.body)))
        handler.end_headers()
        handler.wfile.write(self.body)


Behaviour = Callable[["_Handler"], None]


def hang(handler: _Handler) -> None:
    """Say nothing until the receiver closes."""
    handler.receiver.closing.wait(30)


def drip(handler: _Handler) -> None:
    """A byte of header now and then, for ever."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not handler.receiver.closing.wait(0.05):
        handler.wfile.write(b"a")
        handler.wfile.flush()


def endless(handler: _Handler) -> None:
    """A 200 whose body never ends."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
    while not handler.receiver.closing.is_set():
        handler.wfile.write(b"x" * 4_096)


def reset(handler: _Handler) -> None:
    """Read all, then cut the connection with RST."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def garbage(handler: _Handler) -> None:
    handler.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")


class Receiver:
    """`with Receiver() as r:` listens at `r.url`; `r.answers(a, b)` are used in turn, the last one for ever."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.closing = threading.Event()
        self._behaviours: dict[str, list[Behaviour]] = {}
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.receiver = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def answers(self, *behaviours: Behaviour, path: str = "/hook") -> None:
        self._behaviours[path] = list(behaviours)

    def of(self, path: str) -> list[Received]:
        return [one for one in self.received if one.path == path]

    def wait_for(self, count: int, timeout_s: float = 10.0) -> None:
        end = time.monotonic() + timeout_s
        while len(self.received) < count:
            assert time.monotonic() < end, f"{len(self.received)} of {count} requests came"
            time.sleep(0.01)

    def take(self, handler: _Handler) -> Behaviour:
        length = int(handler.headers.get("Content-Length", 0))
        body = handler.rfile.read(length)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        with self._lock:
            self.received.append(Received(handler.path, headers, body, time.time()))
            queue = self._behaviours.get(handler.path, [Answer()])
            return queue.pop(0) if len(queue) > 1 else queue[0]

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    receiver: Receiver
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A sender that hangs up is what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    @property
    def receiver(self) -> Receiver:
        return self.server.receiver

    def do_POST(self) -> None:
        behaviour = self.receiver.take(self)
        behaviour(self)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

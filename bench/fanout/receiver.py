"""Takes reports as ingest does, verifies each, and counts every slot."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from fanout_lambdas.shared.contracts import ContractError, Outcome, Result, unpack
from fanout_lambdas.shared.contracts.parsed_batch import parse_result_batch
from fanout_lambdas.shared.signing import SignatureError, verify

PATH = "/ingest/v1/results"
ANSWER_S = 0.05
"""What ingest takes for a hundred results; the worker waits for it and is billed."""

Slot = tuple[int, int]
"""Check and second."""


@dataclass(slots=True)
class Received:
    """`slots` counts how often each was reported; `results` holds the first of each."""

    slots: Counter[Slot] = field(default_factory=Counter)
    results: dict[Slot, Result] = field(default_factory=dict)
    reports: int = 0
    refused: list[str] = field(default_factory=list)

    @property
    def duplicates(self) -> int:
        return self.slots.total() - len(self.slots)

    def answered(self) -> Iterator[Result]:
        return (result for result in self.results.values() if result.outcome is Outcome.UP)


class Receiver:
    """`url` for UPTIME_INGEST_URL; `received` may be replaced between two experiments."""

    def __init__(self, *, key_id: str, secret: str) -> None:
        self.received = Received()
        self.url = ""
        self._keys = {key_id: secret.encode()}
        self._lock = threading.Lock()

    def take(self, headers: Mapping[str, str], body: bytes) -> int:
        """The HTTP status for one report."""
        try:
            key_id = headers.get("X-Uptime-Key", "")
            verify(headers, body, self._keys.get(key_id, b"-"), int(time.time()))
            batch = parse_result_batch(unpack(body)).batch
        except (SignatureError, ContractError) as error:
            with self._lock:
                self.received.refused.append(str(error))
            return 401 if isinstance(error, SignatureError) else 400
        with self._lock:
            self.received.reports += 1
            for result in batch.results:
                slot = (result.check_id, result.slot)
                self.received.slots[slot] += 1
                self.received.results.setdefault(slot, result)
        return 200

    @contextlib.contextmanager
    def listening(self) -> Iterator[Receiver]:
        """On a free port of loopback while the context lasts."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status = receiver.take(dict(self.headers), body)
                time.sleep(ANSWER_S)
                self.send_response_only(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                return

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 1_024

        with Server(("127.0.0.1", 0), Handler) as server:
            self.url = f"http://127.0.0.1:{server.server_port}{PATH}"
            thread = threading.Thread(target=server.serve_forever, name="receiver", daemon=True)
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()

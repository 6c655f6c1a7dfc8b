"""Stands between workers and ingest and writes down what was acknowledged: a client-side log, as Jepsen keeps one."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
from collections.abc import Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import psycopg

from bench.accounting import ANSWERS

MARKERS = frozenset({"void", "missed"})
DROPPED_HEADERS = frozenset({"connection", "transfer-encoding", "keep-alive"})


class IngestLog:
    """A reverse proxy on loopback; `acknowledged` maps (slot, check id, region code) to the outcome."""

    def __init__(self) -> None:
        self.acknowledged: dict[tuple[int, int, str], str] = {}
        self.batches = 0
        self.unreachable = 0
        self.away = False
        """While set, every connection is cut, as if ingest did not run."""
        self._lock = threading.Lock()
        self._web = ""
        log = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                try:
                    if log.away:
                        raise ConnectionRefusedError
                    status, headers, answer = log.forward(self.path, dict(self.headers), body)
                except (OSError, http.client.HTTPException):
                    # The worker sees what it would see without us: a connection that is cut.
                    log.unreachable += 1
                    self.close_connection = True
                    return
                if 200 <= status < 300:
                    log.note(self.headers.get("Content-Encoding", ""), body, answer)
                self.send_response_only(status)
                for name, value in headers:
                    if name.lower() not in {*DROPPED_HEADERS, "content-length"}:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:
                return

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                return  # a killed worker leaves its connections behind

        self._server = Server(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def start(self, web: str) -> None:
        """Forward to this web server from now on."""
        self._web = web
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()

    def forward(
        self, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """The answer of the web server itself."""
        parts = urlsplit(self._web)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        try:
            sent = {k: v for k, v in headers.items() if k.lower() not in DROPPED_HEADERS}
            connection.request("POST", path, body, sent)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def note(self, encoding: str, body: bytes, answer: bytes) -> None:
        """Write down what this answer acknowledged."""
        batch = json.loads(gzip.decompress(body) if encoding == "gzip" else body)
        refused = {error["index"] for error in json.loads(answer).get("errors", [])}
        with self._lock:
            self.batches += 1
            for index, result in enumerate(batch["results"]):
                if index not in refused and "outcome" in result:
                    key = (int(result["slot"]), int(result["check_id"]), str(batch["region"]))
                    self.acknowledged.setdefault(key, str(result["outcome"]))

    def lost(self, connection: psycopg.Connection[Any]) -> list[tuple[int, int, str]]:
        """Acknowledged results that the database does not have."""
        with self._lock:
            acknowledged = dict(self.acknowledged)
        return lost_of(acknowledged, connection)


def lost_of(
    results: Mapping[tuple[int, int, str], str], connection: psycopg.Connection[Any]
) -> list[tuple[int, int, str]]:
    """Those of these results, (slot, check id, region code) to outcome, that the database does not have."""
    if not results:
        return []
    held = _held(connection, {slot for slot, _, _ in results})
    return sorted(
        key
        for key, outcome in results.items()
        if key not in held or (outcome not in MARKERS and held[key] not in ANSWERS)
    )


def _held(
    connection: psycopg.Connection[Any], slots: Iterable[int]
) -> dict[tuple[int, int, str], int]:
    rows = connection.execute(
        "select extract(epoch from result.at)::bigint, result.check_id, region.code, result.outcome "
        "from result join checks_region region on region.id = result.region "
        "where result.at >= to_timestamp(%s)",
        [min(slots)],
    )
    return {(int(slot), int(check), str(code)): int(outcome) for slot, check, code, outcome in rows}

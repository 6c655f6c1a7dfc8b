"""A webhook receiver that writes down whatever arrives, as a client's own server would."""

from __future__ import annotations

import json
import threading
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One copy of one message."""

    message_id: str
    body: dict[str, Any]


class Receiver:
    """Answers 204 to each POST on a free port of loopback."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                arrival = Arrival(message_id=self.headers["webhook-id"], body=json.loads(body))
                receiver.arrivals.append(arrival)
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def copies(self) -> Counter[str]:
        """How often each message arrived."""
        return Counter(arrival.message_id for arrival in self.arrivals)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

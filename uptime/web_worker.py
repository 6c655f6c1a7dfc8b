"""The web server's worker: gunicorn's own with threads, and a time limit for the head of each request."""

from __future__ import annotations

from typing import Any

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from uptime.deadline import Deadline

HEAD_S = 10.0
"""gunicorn defers a connection that sends nothing, but one byte would keep a thread for as long as its sender likes."""


class Worker(ThreadWorker):  # type: ignore[misc]
    """`--worker-class uptime.web_worker.Worker`."""

    def handle(self, conn: Any) -> Any:
        conn.head = Deadline(conn.sock, HEAD_S)
        try:
            return super().handle(conn)
        finally:
            conn.head.cancel()

    def handle_request(self, req: Any, conn: Any) -> Any:
        conn.head.cancel()
        return super().handle_request(req, conn)

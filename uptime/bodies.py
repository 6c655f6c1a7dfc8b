"""Reads the body of each request before Django sees it: whole, in bounded time, and however it was framed.

Django reads as many bytes as Content-Length says, so a chunked body would be dropped without a word. And a body that
never comes would keep a thread of the web server for as long as its sender likes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from uptime.deadline import Deadline

MOST_BYTES = 3 << 20
"""More than any page, the API (1 MiB), the reports (1 MiB) and the forms (2.5 MiB) take."""
MOST_OF_A_CALL = 10_000
"""Bytes read of what a job sends along: the rest is not kept, and its call must not be lost for it."""
DEADLINE_S = 10.0
UNREADABLE = "The body could not be read to its end."

Environ = dict[str, Any]
WSGIApplication = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class Refused(Exception):
    """A body that does not reach the application."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeBodies:
    """A WSGI application whose requests have their body at hand, with its length."""

    application: WSGIApplication
    deadline_s: float = DEADLINE_S

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            self._read(environ)
        except Refused as refusal:
            return _answer(environ, refusal, start_response)
        return self.application(environ, start_response)

    def _read(self, environ: Environ) -> None:
        chunked = "HTTP_TRANSFER_ENCODING" in environ
        if chunked and not environ.get("wsgi.input_terminated"):
            raise Refused(411, "The request must state its Content-Length.")
        stated = environ.get("CONTENT_LENGTH") or "0"
        if not chunked and (not stated.isdigit() or int(stated) == 0):
            return
        cut = environ["PATH_INFO"].startswith("/ping/")
        most = MOST_OF_A_CALL if cut else MOST_BYTES
        if not chunked and int(stated) > most and not cut:
            raise Refused(413, f"The body is larger than {most} bytes.")
        wanted = most + 1 if chunked else min(int(stated), most)
        body = self._in_time(environ, wanted)
        if not chunked and len(body) < wanted:
            raise Refused(400, UNREADABLE)
        if len(body) > most and not cut:
            raise Refused(413, f"The body is larger than {most} bytes.")
        body = body[:most]
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        environ["CONTENT_LENGTH"] = str(len(body))
        environ["wsgi.input"] = io.BytesIO(body)

    def _in_time(self, environ: Environ, wanted: int) -> bytes:
        """As many bytes as are wanted, or fewer at the end of the body."""
        connection = environ.get("gunicorn.socket")
        deadline = Deadline(connection, self.deadline_s) if connection is not None else None
        body = None
        try:
            body = bytes(environ["wsgi.input"].read(wanted))
        except OSError:
            pass
        finally:
            if deadline is not None:
                deadline.cancel()
        if deadline is not None and deadline.passed:
            raise Refused(408, f"The body did not arrive within {self.deadline_s:g} seconds.")
        if body is None:
            raise Refused(400, UNREADABLE)
        return body


def _answer(
    environ: Environ, refusal: Refused, start_response: Callable[..., Any]
) -> Iterable[bytes]:
    # Only here: the framework of the API loads our parser, which loads this module.
    from clients.problems import problem

    answer = problem(refusal.status, str(refusal))
    if not environ["PATH_INFO"].startswith("/api/"):
        answer.content = f"{refusal}\n".encode()
        answer["Content-Type"] = "text/plain; charset=utf-8"
    answer["Content-Length"] = str(len(answer.content))
    start_response(f"{answer.status_code} {answer.reason_phrase}", list(answer.items()))
    return [answer.content]

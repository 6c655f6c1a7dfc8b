"""Corrects the requests that Zappa makes of events, before anything of ours looks at them.

Zappa takes the caller's address from X-Forwarded-For, to which callers may add what they like; the event itself says
where the connection came from. Facts: "Payload format version 2.0" in AWS's developer guide for HTTP APIs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from uptime.bodies import Environ, WSGIApplication


@dataclass(frozen=True, slots=True, kw_only=True)
class LambdaRequests:
    """A WSGI application behind an HTTP API, which speaks HTTPS alone."""

    application: WSGIApplication

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ["REMOTE_ADDR"] = environ["lambda.event"]["requestContext"]["http"]["sourceIp"]
        environ["HTTP_X_FORWARDED_PROTO"] = "https"
        # The event holds the body whole, and CONTENT_LENGTH is what it holds.
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        return self.application(environ, start_response)

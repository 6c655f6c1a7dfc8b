"""One run of a function: what it is given and how it ended."""

from __future__ import annotations

import json
import secrets
import time
import uuid
from dataclasses import dataclass, field

UNHANDLED = "Unhandled"
"""The only `X-Amz-Function-Error` that today's runtimes give."""


def new_trace() -> str:
    return f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)};Parent={secrets.token_hex(8)};Sampled=0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What one Invoke asked for; its retries and duplicates have the same request id."""

    payload: bytes
    client_context: str | None = None
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    trace: str = field(default_factory=new_trace)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`error` is None or UNHANDLED; seconds on a monotonic clock, `begun` since 1970.

    `init_s` is that of a cold start and 0 in an environment that was reused.
    """

    payload: bytes
    error: str | None = None
    timed_out: bool = False
    begun: float = 0.0
    init_s: float = 0.0
    run_s: float = 0.0
    memory_mb: float = 0.0


def failure(kind: str, what: str, call: Call | None = None) -> bytes:
    """The payload of a failure that the platform tells, not the code: a timeout, a crash."""
    message = f"RequestId: {call.request_id} Error: {what}" if call else what
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()

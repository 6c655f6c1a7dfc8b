"""A guarded POST: the name is resolved once, the checked address is connected to, redirects are refused,
and the whole attempt ends after 15 s whatever the other side does. Serves every transport that speaks HTTP.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, Final

import certifi
import httpcore
from django.conf import settings

from alerts.transports.base import MAX_ANSWER, Failed, Sent, kept
from fanout_lambdas.shared.guarded_connect import connect_blocking
from fanout_lambdas.shared.netguard import AllowList, Blocked, Guard, Target

TOTAL_S: Final = 15.0
CONNECT_S: Final = 5.0
GONE: Final = 410


def guard() -> Guard:
    """The address guard with what the operator of this installation opened."""
    return Guard(allow=_allow_list(tuple(settings.ALLOW_NETWORKS)))


def post(
    url: str,
    *,
    body: bytes,
    headers: Mapping[str, str],
    now: datetime,
    total_s: float = TOTAL_S,
) -> Sent | Failed:
    """One POST within `total_s`; only a 2xx answer is a success."""
    rules = guard()
    try:
        target = rules.check_url(url)
    except Blocked as blocked:
        return _blocked(blocked)
    backend = GuardedBackend(target, rules, deadline=time.monotonic() + total_s)
    fields = {"host": target.authority, "user-agent": settings.USER_AGENT, "accept": "*/*"}
    fields |= {"content-length": str(len(body)), "connection": "close", **headers}
    try:
        with httpcore.ConnectionPool(
            ssl_context=tls_context(), network_backend=backend, retries=0
        ) as pool:
            request = httpcore.Request(
                "POST",
                httpcore.URL(
                    scheme=target.scheme.encode(),
                    host=target.host.encode(),
                    port=target.port,
                    target=target.path.encode(),
                ),
                headers=[(name.encode(), value.encode()) for name, value in fields.items()],
                content=body,
            )
            response = pool.handle_request(request)
            answer = _start_of(response)
            retry_after = _header(response.headers, b"retry-after")
            return judge(response.status, answer, retry_after_s=read_retry_after(retry_after, now))
    except Blocked as blocked:
        return _blocked(blocked)
    except (TimeoutError, httpcore.TimeoutException):
        return _passing("timeout", f"No complete answer within {total_s:g} s.")
    except ssl.SSLError as error:
        return _passing("tls", f"TLS failed: {getattr(error, 'verify_message', '') or error}")
    except httpcore.ProtocolError as error:
        return _passing("protocol", f"The answer is not HTTP: {error}")
    except (OSError, httpcore.NetworkError) as error:
        return _passing("connection", f"The connection failed: {error}")


def judge(status: int, answer: bytes, *, retry_after_s: float | None) -> Sent | Failed:
    """What a status means: 2xx is success, 410 is for ever, all else may pass (a redirect is a failure)."""
    if 200 <= status < 300:
        return Sent(status=str(status), answer=kept(answer))
    text = kept(answer)
    if 300 <= status < 400:
        text = f"Redirects are not followed: give the final address.\n{text}".strip()
    return Failed(
        permanent=status == GONE,
        gone=status == GONE,
        status=str(status),
        answer=text,
        retry_after_s=retry_after_s,
    )


def read_retry_after(value: str, now: datetime) -> float | None:
    """Seconds from a Retry-After field, either of its two forms; None when it is neither."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


@lru_cache(maxsize=1)
def tls_context() -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certifi.where())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


class GuardedBackend(httpcore.NetworkBackend):
    """Connects to the checked target and to nothing else; one deadline covers every step."""

    def __init__(self, target: Target, rules: Guard, *, deadline: float) -> None:
        self._target = target
        self._rules = rules
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        left = min(CONNECT_S, _left(self._deadline))
        sock = connect_blocking(self._target, guard=self._rules, timeout_s=left)
        return _DeadlineStream(sock, self._deadline)


class _DeadlineStream(httpcore.NetworkStream):
    """A socket on which a peer that drips single bytes gains no time."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._sock.settimeout(_left(self._deadline))
        return self._sock.recv(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        view = memoryview(buffer)
        while view:
            self._sock.settimeout(_left(self._deadline))
            try:
                view = view[self._sock.send(view) :]
            except TimeoutError:
                raise
            except OSError as error:  # httpcore then still reads an answer that came early
                raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        self._sock.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        # One timeout for the whole handshake: it is a few reads, each of them bounded by what is left.
        self._sock.settimeout(min(CONNECT_S, _left(self._deadline)))
        try:
            wrapped = ssl_context.wrap_socket(self._sock, server_hostname=server_hostname)
        except BaseException:
            self._sock.close()
            raise
        return _DeadlineStream(wrapped, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return (
            self._sock if info == "ssl_object" and isinstance(self._sock, ssl.SSLSocket) else None
        )


def _start_of(response: httpcore.Response) -> bytes:
    """The first `MAX_ANSWER` bytes; an endless answer is cut there."""
    found = bytearray()
    for chunk in response.iter_stream():
        found += chunk
        if len(found) >= MAX_ANSWER:
            break
    return bytes(found[:MAX_ANSWER])


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in headers if key.lower() == name), "")


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _blocked(blocked: Blocked) -> Failed:
    answer = kept(blocked.message)
    return Failed(permanent=True, status="blocked", answer=answer, rule=blocked.rule)


def _passing(status: str, answer: str) -> Failed:
    return Failed(permanent=False, status=status, answer=kept(answer))


@lru_cache(maxsize=8)
def _allow_list(networks: tuple[str, ...]) -> AllowList:
    return AllowList.parse(",".join(networks))

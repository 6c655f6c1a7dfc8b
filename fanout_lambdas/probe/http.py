"""One HTTP probe: request, redirects by hand with the guard on each hop, body, verdict."""

from __future__ import annotations

import base64
import codecs
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import quote, urljoin

import httpx

from fanout_lambdas.probe.assertions import Answer, Verdict, judge, worst
from fanout_lambdas.probe.connection import Flight
from fanout_lambdas.probe.decoding import ACCEPTED, BodyReader
from fanout_lambdas.probe.evidence import gather, scrub, secrets_of
from fanout_lambdas.probe.phases import Stopwatch
from fanout_lambdas.probe.poller import Poller
from fanout_lambdas.probe.reasons import BadRedirect, explain
from fanout_lambdas.probe.transport import FLIGHT
from fanout_lambdas.shared.contracts import (
    MAX_URL,
    Evidence,
    Hop,
    Outcome,
    Probe,
    Reason,
    Result,
)
from fanout_lambdas.shared.netguard import Guard

REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_MESSAGE = 500
_URL_SAFE = "!#$%&'()*+,/:;=?@[]~-._"


@dataclass(slots=True, kw_only=True)
class _Journey:
    """What is known so far; a failure reports whatever was reached."""

    probe: Probe
    watch: Stopwatch
    flight: Flight | None = None
    response: httpx.Response | None = None
    reader: BodyReader | None = None
    hops: list[Hop] = field(default_factory=list)
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpProber:
    """Probes over one transport; shared by all probes of a process."""

    transport: httpx.AsyncBaseTransport
    poller: Poller
    guard: Guard
    user_agent: str

    async def probe(self, probe: Probe, *, lag_us: int = 0) -> Result:
        """Never raises (except when cancelled) and never outlives the probe's timeout."""
        journey = _Journey(probe=probe, watch=Stopwatch())
        try:
            await self.poller.run(self._travel(journey), probe.timeout_ms / 1_000)
            total_us = journey.watch.total_us()
            return _answered(journey, total_us=total_us, lag_us=lag_us)
        except Exception as error:
            total_us = journey.watch.total_us()
            reason, message = explain(error, probe, journey.watch)
            return _result(
                journey,
                outcome=Outcome.VOID if reason is Reason.INTERNAL else Outcome.DOWN,
                reason=reason,
                message=message,
                total_us=total_us,
                lag_us=lag_us,
                evidence=_evidence(journey),
            )

    async def _travel(self, journey: _Journey) -> None:
        """Follow the chain to its last answer and read that one's body."""
        probe = journey.probe
        method, body = probe.method, probe.body.encode("utf-8")
        cookies: httpx.Cookies | None = None
        url, own_origin = probe.url, True
        origin = None
        while True:
            target = self.guard.check_url(url)
            own_origin = own_origin and origin in (None, target.origin)
            origin = target.origin
            if body and not own_origin:  # it may hold credentials, as headers may
                raise BadRedirect("A redirect to another host asks for the request's body.")
            journey.url = target.url
            flight = Flight(
                target=target,
                watch=journey.watch,
                family=probe.family,
                verify_tls=probe.verify_tls,
            )
            journey.flight = flight
            request = httpx.Request(
                method,
                httpx.URL(
                    scheme=target.scheme,
                    host=target.host,
                    port=target.port,
                    raw_path=quote(target.path, safe=_URL_SAFE).encode("ascii"),
                ),
                headers=self._headers(probe, target.authority, body, method, own=own_origin),
                content=body or None,
                extensions={FLIGHT: flight},
            )
            if cookies is not None:
                cookies.set_cookie_header(request)
            response = await self.transport.handle_async_request(request)
            journey.response = response
            try:
                location = response.headers.get("location")
                if (
                    not probe.follow_redirects
                    or response.status_code not in REDIRECTS
                    or not location
                ):
                    await _read(journey, response, method)
                    return
                if len(journey.hops) >= probe.max_redirects:
                    raise BadRedirect(_too_many(probe.max_redirects))
            finally:
                await response.aclose()
            journey.hops.append(Hop(url=target.url[:MAX_URL], http_status=response.status_code))
            if "set-cookie" in response.headers:
                cookies = cookies or httpx.Cookies()
                cookies.extract_cookies(response)
            url = _next_url(target.url, location)
            if _becomes_get(response.status_code, method):
                method, body = ("HEAD" if method == "HEAD" else "GET"), b""

    def _headers(
        self, probe: Probe, authority: str, body: bytes, method: str, *, own: bool
    ) -> list[tuple[bytes, bytes]]:
        """Headers of one hop. What the client added goes only to the origin it was meant for."""
        headers: list[tuple[bytes, bytes]] = [
            (b"Host", authority.encode("ascii")),
            (b"User-Agent", self.user_agent.encode("ascii", "replace")),
            (b"Accept", b"*/*"),
            (b"Accept-Encoding", ACCEPTED.encode("ascii")),
            (b"Connection", b"close"),
        ]
        if body or method in ("POST", "PUT", "PATCH"):
            headers.append((b"Content-Length", str(len(body)).encode("ascii")))
        if not own:
            return headers
        added = [
            (name, value) for name, value in probe.headers.items() if body or not _of_body(name)
        ]
        if probe.auth is not None:
            added = [pair for pair in added if pair[0].lower() != "authorization"]
            added.append(("Authorization", _authorization(probe)))
        replaced = {name.lower().encode("ascii") for name, _ in added}
        headers = [pair for pair in headers if pair[0].lower() not in replaced]
        return headers + [(name.encode("ascii"), value.encode("utf-8")) for name, value in added]


async def _read(journey: _Journey, response: httpx.Response, method: str) -> None:
    if method == "HEAD" or response.status_code in (101, 204, 304):
        return
    probe = journey.probe
    reader = BodyReader(response.headers.get("content-encoding", ""), probe.max_body_bytes)
    journey.reader = reader
    stream = response.stream
    assert isinstance(stream, httpx.AsyncByteStream)
    async for part in stream:
        reader.feed(part)
    reader.finish()
    journey.watch.enter(None)


def _answered(journey: _Journey, *, total_us: int, lag_us: int) -> Result:
    journey.watch.enter(None)
    response, flight = journey.response, journey.flight
    assert response is not None
    assert flight is not None
    verdicts = judge(
        journey.probe,
        Answer(
            http_status=response.status_code,
            body=bytes(journey.reader.body) if journey.reader else b"",
            charset=_charset(response),
            url=journey.url,
            total_us=total_us,
            now=time.time(),
            certificate=flight.certificate,
        ),
    )
    failed = worst(verdicts)
    outcome = failed.outcome if failed else Outcome.UP
    return _result(
        journey,
        outcome=outcome,
        reason=failed.reason if failed else Reason.NONE,
        message=failed.message if failed else "",
        total_us=total_us,
        lag_us=lag_us,
        verdicts=verdicts,
        evidence=_evidence(journey) if outcome is Outcome.DOWN else None,
    )


def _result(
    journey: _Journey,
    *,
    outcome: Outcome,
    reason: Reason,
    message: str,
    total_us: int,
    lag_us: int,
    verdicts: Iterable[Verdict] = (),
    evidence: Evidence | None = None,
) -> Result:
    probe, response, flight = journey.probe, journey.response, journey.flight
    journey.watch.enter(None)
    if message:
        message = scrub(message, secrets_of(probe))
        message = message.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
    version = response.extensions.get("http_version", b"") if response else b""
    return Result(
        check_id=probe.check_id,
        slot=probe.slot,
        outcome=outcome,
        reason=reason,
        message=message[:_MAX_MESSAGE],
        http_status=response.status_code if response else None,
        total_us=total_us,
        phases=journey.watch.phases(),
        bytes=len(journey.reader.body) if journey.reader else 0,
        remote_address=flight.remote_address if flight else None,
        http_version=version.decode("ascii", "replace").removeprefix("HTTP/") or None,
        hops=tuple(journey.hops),
        certificate=flight.certificate if flight else None,
        assertions=tuple(verdict.assertion for verdict in verdicts),
        evidence=evidence,
        lag_us=lag_us,
    )


def _evidence(journey: _Journey) -> Evidence | None:
    response = journey.response
    if response is None:
        return None
    headers = [
        (name.decode("latin-1"), value.decode("utf-8", "replace"))
        for name, value in response.headers.raw
    ]
    body = bytes(journey.reader.body[:262_144]) if journey.reader else b""
    return gather(headers, body, _charset(response), journey.probe)


def _charset(response: httpx.Response) -> str:
    try:
        name = response.charset_encoding or "utf-8"
        codecs.lookup(name).name.encode("ascii")
        # Some of Python's codecs are no text encodings (hex, zip): a decode would not give text.
        "".encode(name)
    except (LookupError, ValueError, TypeError):
        return "utf-8"
    return name


def _next_url(current: str, location: str) -> str:
    try:
        return urljoin(current, location.strip().replace(" ", "%20"))
    except ValueError:
        raise BadRedirect("The redirect's Location is not a URL.") from None


def _becomes_get(http_status: int, method: str) -> bool:
    return http_status == 303 or (http_status in (301, 302) and method == "POST")


def _too_many(limit: int) -> str:
    return (
        f"More than {limit} redirect{'s' * (limit != 1)}." if limit else "An unexpected redirect."
    )


def _of_body(name: str) -> bool:
    return name.lower() in ("content-type", "content-encoding", "content-language")


def _authorization(probe: Probe) -> str:
    auth = probe.auth
    assert auth is not None
    if auth.type == "bearer":
        return f"Bearer {auth.token}"
    pair = f"{auth.username}:{auth.password}".encode()
    return "Basic " + base64.b64encode(pair).decode("ascii")

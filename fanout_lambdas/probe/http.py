"""One HTTP probe: request, redirects by hand with the guard on each hop, body, verdict."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

import httpx

from fanout_lambdas.probe.assertions import Answer, judge
from fanout_lambdas.probe.connection import Connector, Flight
from fanout_lambdas.probe.decoding import BodyReader
from fanout_lambdas.probe.evidence import gather, scrub, secrets_of
from fanout_lambdas.probe.hop import becomes_get, build_request, collect_cookies, next_url, stays
from fanout_lambdas.probe.phases import Stopwatch
from fanout_lambdas.probe.reasons import BadRedirect, explain
from fanout_lambdas.probe.transport import ProbeTransport
from fanout_lambdas.probe.verdicts import Verdict, worst
from fanout_lambdas.shared.contracts import (
    MAX_URL,
    Evidence,
    Hop,
    Outcome,
    Probe,
    Reason,
    Result,
)
from fanout_lambdas.shared.netguard import Guard, Target

_MAX_MESSAGE = 500
_CHARSET = re.compile(r"""charset\s*=\s*["']?([^\s"';,]+)""", re.IGNORECASE)
_MOST_CACHED, _LONGEST_CACHED = 4_096, 256  # entries, and characters of a URL: some 3 MB at most


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


class HttpProber:
    """Probes over one transport; shared by all probes of a process."""

    def __init__(self, *, connector: Connector, guard: Guard, user_agent: str) -> None:
        self._poller = connector.poller
        self._guard = guard
        self._user_agent = user_agent
        # Called directly: a client around it would add its own redirects, cookies and logging, none of
        # which a probe may use, and half as much CPU again as the whole probe over HTTP.
        self._transport: httpx.AsyncBaseTransport = ProbeTransport(connector)
        self._judged_target = lru_cache(_MOST_CACHED)(guard.check_url)

    async def probe(self, probe: Probe, *, lag_us: int = 0) -> Result:
        """Never raises (except when cancelled) and never outlives the probe's timeout."""
        journey = _Journey(probe=probe, watch=Stopwatch())
        try:
            await self._poller.run(self._travel(journey), probe.timeout_ms / 1_000)
            return _answered(journey, lag_us=lag_us)
        except Exception as error:
            journey.watch.stop()
            reason, message = explain(error, probe, journey.watch)
            return _result(
                journey,
                outcome=Outcome.VOID if reason is Reason.INTERNAL else Outcome.DOWN,
                reason=reason,
                message=message,
                lag_us=lag_us,
                evidence=_evidence(journey),
            )

    async def _travel(self, journey: _Journey) -> None:
        """Follow the chain to its last answer and read that one's body."""
        probe, watch = journey.probe, journey.watch
        method, body = probe.method, probe.body.encode("utf-8")
        cookies: httpx.Cookies | None = None
        target, own = self._target(probe.url), True
        while True:
            journey.url = target.url
            journey.flight = flight = Flight(
                target=target, watch=watch, family=probe.family, verify_tls=probe.verify_tls
            )
            request = build_request(
                flight,
                probe,
                method=method,
                body=body,
                own=own,
                user_agent=self._user_agent,
                cookies=cookies,
            )
            journey.response = response = await self._transport.handle_async_request(request)
            try:
                url = next_url(target.url, response) if probe.follow_redirects else None
                if url is None:
                    await _read(journey, response)
                    watch.stop()
                    return
                if len(journey.hops) >= probe.max_redirects:
                    raise BadRedirect(_too_many(probe.max_redirects))
            finally:
                await _wire(response).aclose()
            journey.hops.append(Hop(url=target.url[:MAX_URL], http_status=response.status_code))
            cookies = collect_cookies(response, cookies)
            if becomes_get(response.status_code, method):
                method, body = ("HEAD" if method == "HEAD" else "GET"), b""
            before, target = target, self._target(url)
            own = own and stays(before, target)
            if body and not own:  # it may hold credentials, as headers may
                raise BadRedirect("A redirect to another host asks for the request's body.")

    def _target(self, url: str) -> Target:
        check = self._judged_target if len(url) <= _LONGEST_CACHED else self._guard.check_url
        return check(url)


async def _read(journey: _Journey, response: httpx.Response) -> None:
    reader: BodyReader | None = None
    async for part in _wire(response):
        if reader is None:
            reader = _body_reader(journey, response)
        reader.feed(part)
    if reader is not None:
        reader.finish()


def _wire(response: httpx.Response) -> httpx.AsyncByteStream:
    assert isinstance(response.stream, httpx.AsyncByteStream)
    return response.stream


def _body_reader(journey: _Journey, response: httpx.Response) -> BodyReader:
    coding = response.headers.get("content-encoding", "")
    journey.reader = BodyReader(coding, journey.probe.max_body_bytes)
    return journey.reader


def _answered(journey: _Journey, *, lag_us: int) -> Result:
    response, flight = journey.response, journey.flight
    assert response is not None
    assert flight is not None
    verdicts = judge(
        journey.probe,
        Answer(
            http_status=response.status_code,
            body=journey.reader.body if journey.reader else b"",
            charset=_charset(response),
            url=journey.url,
            total_us=journey.watch.total_us(),
            now=time.time(),
            certificate=flight.certificate,
            headers=response.headers.raw,
        ),
    )
    failed = worst(verdicts)
    outcome = failed.outcome if failed else Outcome.UP
    return _result(
        journey,
        outcome=outcome,
        reason=failed.reason if failed else Reason.NONE,
        message=failed.message if failed else "",
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
    lag_us: int,
    verdicts: Iterable[Verdict] = (),
    evidence: Evidence | None = None,
) -> Result:
    probe, response, flight = journey.probe, journey.response, journey.flight
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
        total_us=journey.watch.total_us(),
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
    """The label behind `charset=`, whatever it is."""
    found = _CHARSET.search(response.headers.get("content-type", ""))
    return found[1] if found else "utf-8"


def _too_many(limit: int) -> str:
    return (
        f"More than {limit} redirect{'s' * (limit != 1)}." if limit else "An unexpected redirect."
    )

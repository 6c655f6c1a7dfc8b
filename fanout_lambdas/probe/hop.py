"""One hop of a redirect chain: the request that is sent there, and where its answer leads.

What the client added - headers, credentials, body - belongs to the origin it was meant for: scheme,
host and port of the check's own URL. A redirect from http on port 80 to https on port 443 of the same
host stays there, since it only adds protection; every other change of scheme, host or port (also to
a subdomain) is another origin, and once left, the origin is not returned to.
"""

from __future__ import annotations

import base64
import re
from functools import lru_cache
from urllib.parse import urljoin

import httpx

from fanout_lambdas.probe.connection import Flight
from fanout_lambdas.probe.decoding import ACCEPTED
from fanout_lambdas.probe.reasons import BadRedirect
from fanout_lambdas.probe.transport import FLIGHT
from fanout_lambdas.shared.contracts import Probe
from fanout_lambdas.shared.netguard import Target

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_COOKIES = 100  # of one answer; the jar takes 50 us for each

_OF_BODY = frozenset(("content-type", "content-encoding", "content-language"))
_WITH_BODY = frozenset(("POST", "PUT", "PATCH"))
_NO_HOST = re.compile(r"(?:https?:)?//(?:[/?#:]|$)", re.IGNORECASE)
_MOST_CACHED, _LONGEST_CACHED = 4_096, 256  # entries, and characters of a path: some 10 MB at most


def build_request(
    flight: Flight,
    probe: Probe,
    *,
    method: str,
    body: bytes,
    own: bool,
    user_agent: str,
    cookies: httpx.Cookies | None,
) -> httpx.Request:
    """The request of one hop. `own`: the flight's target is of the probe's own origin."""
    target = flight.target
    short = len(target.path) <= _LONGEST_CACHED
    url, headers = (_shared if short else _shared.__wrapped__)(target, user_agent)
    added = _added(probe, body, method, own=own)
    if added:
        replaced = {name.lower() for name, _ in added}
        kept = [(name, value) for name, value in headers.raw if name.lower() not in replaced]
        headers = httpx.Headers(kept + added)
    request = httpx.Request(
        method, url, headers=headers, stream=httpx.ByteStream(body), extensions={FLIGHT: flight}
    )
    if cookies is not None:
        _add_cookies(request, cookies)
    return request


@lru_cache(_MOST_CACHED)
def _shared(target: Target, user_agent: str) -> tuple[httpx.URL, httpx.Headers]:
    """What two requests to one URL have in common. Nothing of it is secret."""
    url = httpx.URL(
        scheme=target.scheme,
        host=target.host,
        port=target.port,
        raw_path=target.path.encode("ascii"),
    )
    headers = httpx.Headers(
        [
            (b"Host", target.authority.encode("ascii")),
            (b"User-Agent", user_agent.encode("ascii", "replace")),
            (b"Accept", b"*/*"),
            (b"Accept-Encoding", ACCEPTED.encode("ascii")),
            (b"Connection", b"close"),
        ]
    )
    return url, headers


def _added(probe: Probe, body: bytes, method: str, *, own: bool) -> list[tuple[bytes, bytes]]:
    added = []
    if body or method in _WITH_BODY:
        added.append((b"Content-Length", b"%d" % len(body)))
    if not own:
        return added
    for name, value in probe.headers.items():
        lower = name.lower()
        if (lower == "authorization" and probe.auth) or (lower in _OF_BODY and not body):
            continue
        added.append((name.encode("ascii"), value.encode("utf-8")))
    if probe.auth is not None:
        added.append((b"Authorization", _authorization(probe)))
    return added


def _authorization(probe: Probe) -> bytes:
    auth = probe.auth
    assert auth is not None
    if auth.type == "bearer":
        return b"Bearer " + auth.token.encode("ascii")
    return b"Basic " + base64.b64encode(f"{auth.username}:{auth.password}".encode())


def _add_cookies(request: httpx.Request, cookies: httpx.Cookies) -> None:
    """The chain's cookies that this URL may have, behind those that the client set by hand."""
    own = request.headers.pop("cookie", None)
    cookies.set_cookie_header(request)
    if own is not None:
        found = request.headers.get("cookie")
        request.headers["cookie"] = f"{own}; {found}" if found else own


def collect_cookies(response: httpx.Response, known: httpx.Cookies | None) -> httpx.Cookies | None:
    """The chain's cookies with those that this answer sets."""
    if "set-cookie" not in response.headers:
        return known
    found = response.headers.get_list("set-cookie")[:MAX_COOKIES]
    cookies = httpx.Cookies() if known is None else known
    cookies.extract_cookies(
        httpx.Response(
            response.status_code,
            headers=[("set-cookie", each) for each in found],
            request=response.request,
        )
    )
    return cookies


def stays(before: Target, after: Target) -> bool:
    """Is the redirect from one to the other within one origin?"""
    if before.origin == after.origin:
        return True
    upgraded = ("http", 80, "https", 443)
    return (
        before.host == after.host
        and (before.scheme, before.port, after.scheme, after.port) == upgraded
    )


def next_url(current: str, response: httpx.Response) -> str | None:
    """The URL that a redirect names; None for an answer that leads nowhere."""
    if response.status_code not in REDIRECTS:
        return None
    named = {each.strip() for each in response.headers.get_list("location")}
    if len(named) > 1:
        raise BadRedirect("The redirect names two different places.")
    location = named.pop() if named else ""
    if not location:
        return None
    if _NO_HOST.match(location):
        raise BadRedirect("The redirect's Location is not a URL.")
    try:
        return urljoin(current, location.replace(" ", "%20"))
    except ValueError:
        raise BadRedirect("The redirect's Location is not a URL.") from None


def becomes_get(http_status: int, method: str) -> bool:
    """RFC 9110, section 15.4, as browsers do it."""
    return http_status == 303 or (http_status in (301, 302) and method == "POST")

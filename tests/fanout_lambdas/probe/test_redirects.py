"""Redirects: where they lead, what travels along and what stays, and every way in which they go wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fanout_lambdas.shared.contracts import Hop, Outcome, Reason, Result
from tests.hostile.lab import Case, Seen, down, lab, probe_all, up
from tests.hostile.peer import Peer
from tests.hostile.pki import leaf
from tests.hostile.scripts import moves, over, sends
from tests.targets import answer, free_port


async def moves_on_and_on(peer: Peer) -> None:
    """Each hop is longer than the one before."""
    path = peer.requests[-1].split(b" ")[1]
    await peer.send(b"HTTP/1.1 302 Found\r\nLocation: " + path + b"x" * 500 + b"\r\n\r\n")


# Location, and the request line's path that follows.
LOCATIONS: dict[str, tuple[str | bytes, str]] = {
    "path": ("/next", "/next"),
    "relative": ("next", "/a/next"),
    "up a folder": ("../next", "/next"),
    "above the root": ("/../../next", "/next"),
    "query": ("?q=1", "/a/b?q=1"),
    "fragment": ("#there", "/a/b"),
    "path with fragment": ("/next#there", "/next"),
    "scheme-relative": ("//{host}/next", "/next"),
    "absolute": ("http://{host}/next", "/next"),
    "absolute in capitals": ("HTTP://{host}/next", "/next"),
    "absolute without path": ("http://{host}", "/"),
    "absolute, query without path": ("http://{host}?q=1", "/?q=1"),
    "spaces": ("/a b/c d", "/a%20b/c%20d"),
    "spaces around": ("  /next  ", "/next"),
    "percent signs": ("/a%20b/100%", "/a%20b/100%"),
    "unicode": ("/größe", "/gr%C3%B6%C3%9Fe"),
    "latin-1": (b"/gr\xf6\xdfe", "/gr"),
    "marks": ('/<a>"{b}|`^', "/"),
    "long": ("/" + "x" * 1_900, "/" + "x" * 1_900),
}

BAD_LOCATIONS: dict[str, tuple[str, Reason, str]] = {
    "ftp": ("ftp://example.com/", Reason.BLOCKED, "(scheme)"),
    "file": ("file:///etc/passwd", Reason.BLOCKED, "(scheme)"),
    "javascript": ("javascript:alert(1)", Reason.BLOCKED, "(scheme)"),
    "data": ("data:text/html,hello", Reason.BLOCKED, "(scheme)"),
    "mailto": ("mailto:me@example.com", Reason.BLOCKED, "(scheme)"),
    "private": ("http://10.0.0.1/", Reason.BLOCKED, "(private)"),
    "metadata": ("http://169.254.169.254/latest/meta-data/", Reason.BLOCKED, "(metadata)"),
    "decimal address": ("http://2130706433/", Reason.BLOCKED, "(spelling)"),
    "embedded address": ("http://[::ffff:10.0.0.1]/", Reason.BLOCKED, "(embedded_ipv4)"),
    "userinfo": ("http://me:pw@{host}/", Reason.BLOCKED, "(userinfo)"),
    "userinfo before a path": ("//a@b/", Reason.BLOCKED, "(userinfo)"),
    "backslashes": ("/\\\\10.0.0.1/", Reason.BLOCKED, "(characters)"),
    "control character": ("/a\x01b", Reason.BLOCKED, "(characters)"),
    "no host": ("http://", Reason.REDIRECT, "not a URL"),
    "no host, a path": ("http:///next", Reason.REDIRECT, "not a URL"),
    "port out of range": ("http://127.0.0.1:99999/", Reason.BLOCKED, "("),
    "port of letters": ("http://127.0.0.1:http/", Reason.BLOCKED, "("),
    "very long": ("/" + "x" * 50_000, Reason.BLOCKED, "(length)"),
    "unclosed bracket": ("http://[::1/", Reason.REDIRECT, "not a URL"),
}

OUTCOMES: dict[str, Case] = {
    "no Location": down(sends(answer("301 Moved")), Reason.STATUS, "Status 301"),
    "empty Location": down(moves(""), Reason.STATUS, "Status 302"),
    "300": down(moves("/next", status="300 Choose"), Reason.STATUS, "Status 300"),
    "304": down(moves("/next", status="304 Same"), Reason.STATUS, "Status 304"),
    "305": down(moves("/next", status="305 Proxy"), Reason.STATUS, "Status 305"),
    "201 with Location": up(moves("/next", status="201 Created", body=b"new"), status=201, size=3),
    "not followed": down(
        moves("/next"), Reason.STATUS, "Status 302, expected", follow_redirects=False
    ),
    "not followed, expected": up(
        moves("/next", body=b"hello"),
        status=302,
        follow_redirects=False,
        expected_status=["302"],
    ),
    "ends in 404": down(
        moves("/next", then=answer("404 Not Found")), Reason.STATUS, "Status 404", status=404
    ),
    "loop": down(moves("/", times=99), Reason.REDIRECT, "More than 10 redirects"),
    "growing loop": down(over(moves_on_and_on), Reason.REDIRECT, "More than 10 redirects"),
    "as many as allowed": up(moves("/", times=3), max_redirects=3),
    "one more than allowed": down(
        moves("/", times=4), Reason.REDIRECT, "More than 3 redirects", max_redirects=3
    ),
    "ten": up(moves("/", times=10)),
    "none allowed": down(moves("/"), Reason.REDIRECT, "An unexpected redirect", max_redirects=0),
    "large body": up(moves("/", body=b"x" * 10_000_000)),
    "cut body": up(moves("/", body=b"x", length=10)),
    "undecodable body": up(moves("/", "Content-Encoding: gzip", body=b"x")),
    "many cookies": up(moves("/", *[f"Set-Cookie: c{n}=1" for n in range(3_000)])),
    "Location twice, equal": up(moves("/next", "Location: /next")),
    "Location twice, different": down(
        moves("/next", "Location: /other"), Reason.REDIRECT, "two different"
    ),
    "to a closed port": down(
        moves(f"http://127.0.0.1:{free_port()}/"), Reason.CONNECTION, "refused"
    ),
    "body to another host": down(
        moves("http://localhost:{port}/", status="307 Again"),
        Reason.REDIRECT,
        "another host",
        method="POST",
        body="pin=4711",
    ),
    "no body to another host": up(
        moves("http://localhost:{port}/", status="303 See"), method="POST", body="pin=4711"
    ),
}

CASES = (
    {f"location: {name}": up(moves(row[0]), path="/a/b") for name, row in LOCATIONS.items()}
    | {f"location: {name}": down(moves(row[0]), *row[1:]) for name, row in BAD_LOCATIONS.items()}
    | OUTCOMES
)


@pytest.fixture(scope="module")
def seen() -> dict[str, Seen]:
    return probe_all(CASES)


@pytest.mark.parametrize("name", CASES)
def test_redirects(name: str, seen: dict[str, Seen]) -> None:
    CASES[name].check(seen[name])


@pytest.mark.parametrize("name", LOCATIONS)
def test_locations_lead_where_browsers_go(name: str, seen: dict[str, Seen]) -> None:
    this, path = seen[f"location: {name}"], LOCATIONS[name][1]
    assert len(this.result.hops) == 1
    assert this.requests[1].split(b" ")[1].decode().startswith(path)
    if path != "/":
        assert len(this.requests[1].split(b" ")[1]) < 2_000


@pytest.mark.parametrize("name", BAD_LOCATIONS)
def test_forbidden_locations_are_not_asked(name: str, seen: dict[str, Seen]) -> None:
    assert len(seen[f"location: {name}"].requests) == 1


def test_a_fault_behind_a_redirect_is_named_with_its_hop() -> None:
    async def run() -> tuple[Result, str]:
        expired = await place.serve(sends(answer()), tls=leaf(days=-2.1)())
        target = await place.serve(moves(expired.url(host="localhost")))
        return await place.probe(target.url()), target.url()

    with lab() as place:
        result, url = place.run(run())
    assert (result.outcome, result.reason) == (Outcome.DOWN, Reason.CERT_EXPIRY)
    assert result.message == "TLS certificate expired 2 days ago."
    assert result.hops == (Hop(url=url, http_status=302),)
    assert result.certificate


# --- methods and bodies

AFTER = {
    "301 Moved": {"POST": "GET"},
    "302 Found": {"POST": "GET"},
    "303 See": {"POST": "GET", "PUT": "GET", "PATCH": "GET", "DELETE": "GET", "OPTIONS": "GET"},
    "307 Again": {},
    "308 Moved": {},
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
BODIED = frozenset({"POST", "PUT", "PATCH"})


def test_methods_and_bodies_follow_the_status() -> None:
    cases = {
        (status, method): replace(
            up(moves("/next", status=status, then=answer(body=b"")), size=0, method=method),
            fields={
                "method": method,
                "headers": {"Content-Type": "text/x", "X-Key": "k"},
                "body": "data" if method in BODIED else "",
            },
        )
        for status in AFTER
        for method in METHODS
    }
    with lab() as place:
        seen = place.run(place.see_all({f"{s} {m}": case for (s, m), case in cases.items()}))
    for (status, method), case in cases.items():
        this = seen[f"{status} {method}"]
        case.check(this)
        expected = AFTER[status].get(method, method)
        head, _, body = this.requests[1].partition(b"\r\n\r\n")
        kept = expected == method and method in BODIED
        assert head.startswith(f"{expected} /next HTTP/1.1".encode()), (status, method)
        assert body == (b"data" if kept else b""), (status, method)
        assert (b"text/x" in head) == kept, (status, method)
        assert b"X-Key: k" in head

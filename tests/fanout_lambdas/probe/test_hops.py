"""What travels along from hop to hop: a client's secrets to their origin alone, cookies by their rules."""

from __future__ import annotations

import pytest

from fanout_lambdas.shared.contracts import Outcome
from tests.hostile.lab import lab, up
from tests.hostile.peer import Peer
from tests.hostile.scripts import moves, over, sends
from tests.targets import answer

SECRETS = {"X-Key": "open-sesame", "Cookie": "own=1"}
AUTH = {"type": "bearer", "token": "tok-en-123"}
PLANTED = (b"open-sesame", b"own=1", b"tok-en-123")


@pytest.mark.parametrize(
    ("location", "along"),
    [
        ("/next", True),
        ("http://{host}/next", True),
        ("http://localhost:{port}/next", False),
        ("http://127.0.0.1:{other}/next", False),
    ],
    ids=["path", "same origin", "another host", "another port"],
)
def test_secrets_go_to_their_origin_alone(location: str, along: bool) -> None:
    async def run() -> list[bytes]:
        other = await place.serve(sends(answer()))
        target = await place.serve(moves(location.replace("{other}", str(other.port))))
        result = await place.probe(target.url(), headers=SECRETS, auth=AUTH)
        assert result.outcome is Outcome.UP
        return [*target.requests, *other.requests]

    with lab() as place:
        first, second = place.run(run())
    assert all(secret in first for secret in PLANTED)
    assert [secret in second for secret in PLANTED] == [along] * 3
    assert (b"Authorization" in second) == along
    assert b"Referer" not in second


def test_secrets_do_not_come_back_by_a_detour() -> None:
    """Where a foreign host leads, within itself or home again, is not what the client meant."""

    async def wanders(peer: Peer) -> None:
        port = peer.sock.getsockname()[1]
        away, back = f"http://localhost:{port}/away", f"http://127.0.0.1:{port}/back"
        path = peer.requests[-1].split(b" ")[1]
        where = {b"/": away, b"/away": "/inside", b"/inside": back}.get(path)
        await peer.send(answer("302 Found", b"", f"Location: {where}") if where else answer())

    with lab() as place:
        seen = place.run(place.see(up(over(wanders), headers=SECRETS, auth=AUTH)))
    assert seen.result.outcome is Outcome.UP
    first, *others = seen.requests
    assert len(others) == 3
    for secret in PLANTED:
        assert secret in first
        assert not any(secret in request for request in others)


COOKIES: dict[str, tuple[tuple[str, ...], str, str, str]] = {
    "plain": (("sid=1",), "/", "/next", "sid=1"),
    "two": (("a=1", "b=2"), "/", "/next", "a=1; b=2"),
    "attributes": (("sid=1; HttpOnly; SameSite=Strict; Path=/",), "/", "/next", "sid=1"),
    "value with marks": (('sid="a=b c"',), "/", "/next", 'sid="a=b c"'),
    "empty value": (("sid=",), "/", "/next", "sid="),
    "last one wins": (("sid=1", "sid=2"), "/", "/next", "sid=2"),
    "path": (("sid=1; Path=/in",), "/", "/in/side", "sid=1"),
    "another path": (("sid=1; Path=/in",), "/", "/inside", ""),
    "default path": (("sid=1",), "/a/b", "/a/c", "sid=1"),
    "outside the default path": (("sid=1",), "/a/b", "/c", ""),
    "another domain": (("sid=1; Domain=example.com",), "/", "/next", ""),
    "own domain": (("sid=1; Domain=127.0.0.1",), "/", "/next", "sid=1"),
    "another host": (("sid=1",), "/", "http://localhost:{port}/", ""),
    "secure": (("sid=1; Secure",), "/", "/next", ""),
    "max-age": (("sid=1; Max-Age=60",), "/", "/next", "sid=1"),
    "max-age over": (("sid=1; Max-Age=0",), "/", "/next", ""),
    "expired": (("sid=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT",), "/", "/next", ""),
    "bad date": (("sid=1; Expires=some day",), "/", "/next", "sid=1"),
    "no name": (("=1", ";", "sid=1"), "/", "/next", "sid=1"),
}


def test_cookies_follow_their_rules() -> None:
    cases = {
        name: up(moves(location, *[f"Set-Cookie: {each}" for each in set_cookies]), path=path)
        for name, (set_cookies, path, location, _) in COOKIES.items()
    }
    with lab() as place:
        seen = place.run(place.see_all(cases))
    for name, (_, _, _, expected) in COOKIES.items():
        cases[name].check(seen[name])
        assert cookie_of(seen[name].requests[1]) == expected, name


def test_own_and_given_cookies_travel_together() -> None:
    with lab() as place:
        seen = place.run(
            place.see(up(moves("/next", "Set-Cookie: sid=1"), headers={"Cookie": "own=1"}))
        )
    assert sorted(cookie_of(seen.requests[1]).split("; ")) == ["own=1", "sid=1"]


def cookie_of(request: bytes) -> str:
    for line in request.split(b"\r\n"):
        if line.lower().startswith(b"cookie: "):
            return line[8:].decode()
    return ""

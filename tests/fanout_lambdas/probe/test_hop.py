"""One hop of a chain: what goes along to the next place, and which place that is."""

from __future__ import annotations

import httpx
import pytest

from fanout_lambdas.probe.connection import Flight
from fanout_lambdas.probe.hop import (
    MAX_COOKIES,
    build_request,
    collect_cookies,
    next_url,
    stays,
)
from fanout_lambdas.probe.phases import Stopwatch
from fanout_lambdas.probe.reasons import BadRedirect
from fanout_lambdas.shared.contracts import Probe
from fanout_lambdas.shared.netguard import parse_url


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("http://example.com/", "http://example.com/b", True),
        ("http://example.com/", "http://example.com:80/b", True),
        ("http://example.com/", "https://example.com/", True),
        ("http://example.com:8080/", "https://example.com/", False),
        ("http://example.com/", "https://example.com:8443/", False),
        ("https://example.com/", "http://example.com/", False),
        ("http://example.com/", "https://www.example.com/", False),
        ("http://example.com/", "http://example.com:8080/", False),
        ("https://example.com/", "https://example.org/", False),
    ],
)
def test_what_counts_as_one_origin(before: str, after: str, same: bool) -> None:
    assert stays(parse_url(before), parse_url(after)) is same


def request_to(
    url: str, cookies: httpx.Cookies | None = None, *, own: bool = True
) -> httpx.Request:
    probe = Probe(check_id=1, slot=1, url=url, headers={"Cookie": "own=1", "X-Key": "sesame"})
    return build_request(
        Flight(target=parse_url(url), watch=Stopwatch()),
        probe,
        method="GET",
        body=b"",
        own=own,
        user_agent="test",
        cookies=cookies,
    )


def answer_to(request: httpx.Request, *headers: tuple[str, str]) -> httpx.Response:
    return httpx.Response(302, headers=headers, request=request)


def test_two_requests_to_one_place_share_nothing_that_a_hop_adds() -> None:
    cookies = collect_cookies(
        answer_to(request_to("http://example.com/"), ("Set-Cookie", "sid=1")), None
    )
    with_cookies = request_to("http://example.com/", cookies)
    assert with_cookies.headers["cookie"] == "own=1; sid=1"
    foreign = request_to("http://example.com/", own=False)
    assert "cookie" not in foreign.headers
    assert "x-key" not in foreign.headers


def test_cookies_go_to_their_own_host_alone() -> None:
    first = request_to("http://a.example.com/")
    cookies = collect_cookies(
        answer_to(
            first,
            ("Set-Cookie", "host=1"),
            ("Set-Cookie", "wide=1; Domain=example.com"),
            ("Set-Cookie", "foreign=1; Domain=example.org"),
            ("Set-Cookie", "safe=1; Secure"),
        ),
        None,
    )
    assert request_to("http://b.example.com/", cookies, own=False).headers["cookie"] == "wide=1"
    assert "cookie" not in request_to("http://example.org/", cookies, own=False).headers
    back = request_to("https://a.example.com/", cookies, own=False).headers["cookie"]
    assert sorted(back.split("; ")) == ["host=1", "safe=1", "wide=1"]


def test_cookies_of_one_answer_are_bounded() -> None:
    flood = [("Set-Cookie", f"c{number}=1") for number in range(3_000)]
    cookies = collect_cookies(answer_to(request_to("http://example.com/"), *flood), None)
    assert cookies is not None
    assert len(cookies) == MAX_COOKIES


@pytest.mark.parametrize(
    ("locations", "url"),
    [
        ((), None),
        (("",), None),
        (("/b",), "http://example.com/b"),
        (("/b", "/b"), "http://example.com/b"),
        ((" //other.example.org/x y ",), "http://other.example.org/x%20y"),
        (("?q",), "http://example.com/a?q"),
    ],
)
def test_where_a_redirect_leads(locations: tuple[str, ...], url: str | None) -> None:
    answer = answer_to(request_to("http://example.com/a"), *(("Location", at) for at in locations))
    assert next_url("http://example.com/a", answer) == url


@pytest.mark.parametrize("locations", [("/b", "/c"), ("http://",), ("https:///b",), ("http://[",)])
def test_a_redirect_to_nowhere_is_said_to_be_one(locations: tuple[str, ...]) -> None:
    answer = answer_to(request_to("http://example.com/a"), *(("Location", at) for at in locations))
    with pytest.raises(BadRedirect):
        next_url("http://example.com/a", answer)

"""One HTTP probe against real loopback servers: every end has an outcome, a reason, a sentence."""

from __future__ import annotations

import asyncio
import gzip
import importlib
import json
import socket
import time
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from fanout_lambdas.probe.run import ProbeEngine
from fanout_lambdas.shared.contracts import Outcome, Probe, Reason, Result
from fanout_lambdas.shared.netguard import AllowList, Guard
from tests.targets import Script, answer, authority, free_port, replies, resets, serve

OPEN = Guard(AllowList.parse("127.0.0.1, ::1"))
brotli = importlib.import_module("brotli")  # ships no types


def probe(url: str, *, guard: Guard = OPEN, **fields: Any) -> Result:
    async def run() -> Result:
        engine = ProbeEngine(
            guard=guard, user_agent="Uptime/1.0 (+test)", ca_file=authority().ca_file
        )
        try:
            raw = {"check_id": 7, "slot": 5, "url": url, "family": "4", **fields}
            return await engine.probe(Probe.from_json(raw))
        finally:
            engine.close()

    result = asyncio.run(run())
    assert (result.check_id, result.slot) == (7, 5)
    assert Result.from_json(json.loads(json.dumps(result.to_json()))) == result
    assert bool(result.message) == (result.outcome is not Outcome.UP)
    return result


def probe_script(script: Script, path: str = "/", **fields: Any) -> Result:
    with serve(script) as target:
        return probe(target.url(path), **fields)


def raw(data: bytes) -> Script:
    return replies(data)


def test_a_good_answer_has_every_figure() -> None:
    with serve(replies(answer(body=b"hello world"))) as target:
        result = probe(target.url("/a?b=c"), keyword=["hello"])
    assert (result.outcome, result.reason, result.message) == (Outcome.UP, Reason.NONE, "")
    assert (result.http_status, result.bytes, result.http_version) == (200, 11, "1.1")
    assert result.remote_address == "127.0.0.1"
    assert result.evidence is None
    assert result.certificate is None
    phases = result.phases.to_json()
    assert phases.pop("tls_us") is None
    assert all(us is not None and us >= 0 for us in phases.values())
    assert sum(us or 0 for us in phases.values()) <= result.total_us
    (request,) = target.requests
    head = request.split(b"\r\n")
    assert head[0] == b"GET /a?b=c HTTP/1.1"
    assert f"Host: 127.0.0.1:{target.port}".encode() in head
    assert b"User-Agent: Uptime/1.0 (+test)" in head
    assert b"Connection: close" in head


def test_request_is_sent_as_the_client_wrote_it() -> None:
    with serve(replies(answer())) as target:
        probe(
            target.url(),
            method="POST",
            headers={"X-Key": "schlüssel", "User-Agent": "mine", "Content-Type": "text/plain"},
            body="grüße",
            auth={"type": "basic", "username": "me", "password": "päss"},
        )
    (request,) = target.requests
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST / HTTP/1.1")
    assert "X-Key: schlüssel".encode() in head
    assert b"User-Agent: mine" in head
    assert b"Uptime" not in head
    assert b"Authorization: Basic bWU6cMOkc3M=" in head
    assert b"Content-Length: 7" in head
    assert body == "grüße".encode()


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method(method: str) -> None:
    with serve(replies(answer(body=b"" if method == "HEAD" else b"x"))) as target:
        result = probe(target.url(), method=method)
    assert result.outcome is Outcome.UP
    assert target.requests[0].startswith(method.encode())


def chunked(*parts: bytes, trailer: bytes = b"") -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + body + b"0\r\n" + trailer + b"\r\n"


GOOD: dict[str, bytes] = {
    "length": answer(),
    "chunked": chunked(b"hel", b"lo"),
    "chunked with trailer": chunked(b"hello", trailer=b"X-Sum: 1\r\n"),
    "until close": answer(length=False),
    "http 1.0": b"HTTP/1.0 200 OK\r\n\r\nhello",
    "100 first": b"HTTP/1.1 100 Continue\r\n\r\n" + answer(),
    "103 first": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3 + answer(),
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello",
    "garbage after": answer() + b"HTTP/1.1 500 Oops\r\n\r\n",
    "gzip": answer("200 OK", gzip.compress(b"hello"), "Content-Encoding: gzip"),
    "gzip members": answer(
        "200 OK", gzip.compress(b"hel") + gzip.compress(b"lo"), "Content-Encoding: gzip"
    ),
    "gzip padded": answer("200 OK", gzip.compress(b"hello") + b"\0\0", "Content-Encoding: gzip"),
    "deflate": answer("200 OK", zlib.compress(b"hello"), "Content-Encoding: deflate"),
    "raw deflate": answer("200 OK", zlib.compress(b"hello")[2:-4], "Content-Encoding: deflate"),
    "br": answer("200 OK", brotli.compress(b"hello"), "Content-Encoding: br"),
    "two codings": answer(
        "200 OK", gzip.compress(zlib.compress(b"hello")), "Content-Encoding: deflate, gzip"
    ),
    "identity": answer("200 OK", b"hello", "Content-Encoding: identity"),
    "latin-1": answer("200 OK", b"hello \xe9", "Content-Type: text/html; charset=latin-1"),
    "strange charset": answer("200 OK", b"hello", "Content-Type: text/html; charset=hex"),
}


@pytest.mark.parametrize("data", GOOD.values(), ids=GOOD.keys())
def test_good_framings_and_codings(data: bytes) -> None:
    result = probe_script(raw(data), keyword=["hello"])
    assert (result.outcome, result.message) == (Outcome.UP, "")


BOMB = gzip.compress(b"\0" * 64_000_000, 9)
BAD: dict[str, tuple[bytes, Reason, str]] = {
    "nothing": (b"", Reason.CONNECTION, "without an answer"),
    "not http": (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", Reason.PROTOCOL, "not valid HTTP"),
    "half a head": (b"HTTP/1.1 200 OK\r\nA: b\r\n", Reason.PROTOCOL, "before its answer"),
    "short body": (answer()[:-2], Reason.PROTOCOL, "before its answer"),
    "short chunk": (chunked(b"hello")[:-6], Reason.PROTOCOL, "before its answer"),
    "bad chunk": (chunked(b"hello").replace(b"5\r", b"zz\r"), Reason.PROTOCOL, "not valid HTTP"),
    "two lengths": (
        answer("200 OK", b"hello", "Content-Length: 4"),
        Reason.PROTOCOL,
        "not valid HTTP",
    ),
    "bad length": (
        b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello",
        Reason.PROTOCOL,
        "not valid HTTP",
    ),
    "bad status": (b"HTTP/1.1 2OO OK\r\n\r\n", Reason.PROTOCOL, "not valid HTTP"),
    "large head": (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 200_000, Reason.PROTOCOL, "100 kB"),
    "endless hints": (b"HTTP/1.1 103 Hint\r\n\r\n" * 50, Reason.PROTOCOL, "informational"),
    "large": (answer(body=b"x" * 1_100_000), Reason.TOO_LARGE, "1 MiB"),
    "gzip bomb": (answer("200 OK", BOMB, "Content-Encoding: gzip"), Reason.TOO_LARGE, "1 MiB"),
    "br bomb": (
        answer("200 OK", brotli.compress(b"\0" * 50_000_000, quality=3), "Content-Encoding: br"),
        Reason.TOO_LARGE,
        "1 MiB",
    ),
    "bomb in a bomb": (
        answer("200 OK", gzip.compress(BOMB), "Content-Encoding: gzip, gzip"),
        Reason.TOO_LARGE,
        "1 MiB",
    ),
    "cut gzip": (
        answer("200 OK", gzip.compress(b"hello")[:-3], "Content-Encoding: gzip"),
        Reason.DECODE,
        "cut short",
    ),
    "no gzip": (
        answer("200 OK", b"hello", "Content-Encoding: gzip"),
        Reason.DECODE,
        "damaged",
    ),
    "unknown coding": (
        answer("200 OK", b"hello", "Content-Encoding: x-snappy"),
        Reason.DECODE,
        "x-snappy",
    ),
    "200 codings": (
        answer("200 OK", b"x", "Content-Encoding: " + ", ".join(["gzip"] * 200)),
        Reason.DECODE,
        "200 times",
    ),
}


@pytest.mark.parametrize(("data", "reason", "words"), BAD.values(), ids=BAD.keys())
def test_broken_answers(data: bytes, reason: Reason, words: str) -> None:
    result = probe_script(raw(data))
    assert (result.outcome, result.reason) == (Outcome.DOWN, reason)
    assert words in result.message
    assert result.message.endswith(".")


def test_refused_and_reset() -> None:
    refused = probe(f"http://127.0.0.1:{free_port()}/")
    assert refused.reason is Reason.CONNECTION
    assert refused.message == "The connection was refused."
    assert refused.phases.send_us is None
    reset = probe_script(resets)
    assert (reset.reason, reset.message) == (Reason.CONNECTION, "The server reset the connection.")


def silent(peer: socket.socket, request: bytes) -> None:
    peer.recv(1)


def trickling(head: bytes, drop: bytes) -> Script:
    def script(peer: socket.socket, request: bytes) -> None:
        peer.sendall(head)
        while True:
            peer.sendall(drop)
            time.sleep(0.05)

    return script


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (silent, "waiting for the answer's first byte"),
        (trickling(b"HTTP/1.1 200 OK\r\nA: ", b"x"), "receiving the answer"),
        (trickling(b"HTTP/1.1 200 OK\r\n\r\n", b"x"), "receiving the answer"),
    ],
    ids=["silent", "slow head", "slow body"],
)
def test_one_deadline_for_everything(script: Script, words: str) -> None:
    result = probe_script(script, timeout_ms=1_000)
    assert (result.outcome, result.reason) == (Outcome.DOWN, Reason.TIMEOUT)
    assert result.message == f"Timed out after 1 s while {words}."
    assert 1_000_000 <= result.total_us < 3_000_000


def test_ipv6_and_the_chosen_family() -> None:
    with serve(raw(answer()), host="::1") as target:
        url = target.url(host="[::1]")
        six = probe(url, family="6")
        wrong = probe(url, family="4")
        either = probe(target.url(host="localhost"), family="any")
    assert (six.outcome, six.remote_address) == (Outcome.UP, "::1")
    assert f"Host: [::1]:{target.port}".encode() in target.requests[0]
    assert (wrong.outcome, wrong.reason) == (Outcome.DOWN, Reason.DNS)
    # Where localhost has an IPv4 address alone, nothing listens there.
    assert either.remote_address == "::1" or either.reason is Reason.CONNECTION


# --- assertions


@pytest.mark.parametrize(
    ("fields", "outcome", "reason"),
    [
        ({}, Outcome.DOWN, Reason.STATUS),
        ({"expected_status": ["503"]}, Outcome.UP, Reason.NONE),
        ({"expected_status": ["200-299", "500-599"]}, Outcome.UP, Reason.NONE),
        ({"expected_status": ["503"], "keyword": ["closed", "today"]}, Outcome.UP, Reason.NONE),
        ({"expected_status": ["503"], "keyword": ["open"]}, Outcome.DOWN, Reason.KEYWORD),
        ({"expected_status": ["503"], "keyword_absent": ["closed"]}, Outcome.DOWN, Reason.KEYWORD),
        ({"expected_status": ["503"], "keyword_absent": ["open"]}, Outcome.UP, Reason.NONE),
        ({"keyword": ["open"]}, Outcome.DOWN, Reason.STATUS),
    ],
)
def test_status_and_keywords(fields: dict[str, Any], outcome: Outcome, reason: Reason) -> None:
    body = "größe closed today".encode()
    result = probe_script(raw(answer("503 Busy", body, "Set-Cookie: id=5")), **fields)
    assert (result.outcome, result.reason) == (outcome, reason)
    assert (result.evidence is not None) == (outcome is Outcome.DOWN)
    if result.evidence:
        assert result.evidence.body == "größe closed today"
        assert ("set-cookie", "[hidden]") in result.evidence.headers


def test_keyword_is_looked_for_in_the_answers_charset() -> None:
    page = answer("200 OK", "größe".encode("latin-1"), "Content-Type: text/html; charset=latin-1")
    assert probe_script(raw(page), keyword=["größe"]).outcome is Outcome.UP


def test_slow_is_degraded_and_down_wins() -> None:
    def slow(peer: socket.socket, request: bytes) -> None:
        time.sleep(0.05)
        peer.sendall(answer())

    result = probe_script(slow, max_latency_ms=20)
    assert (result.outcome, result.reason) == (Outcome.DEGRADED, Reason.LATENCY)
    assert "slower than 20 ms" in result.message
    worse = probe_script(slow, max_latency_ms=20, keyword=["absent"])
    assert (worse.outcome, worse.reason) == (Outcome.DOWN, Reason.KEYWORD)
    assert [(each.kind, each.ok) for each in worse.assertions] == [
        ("expected_status", True),
        ("keyword", False),
        ("max_latency_ms", False),
    ]


# --- redirects


def redirect(location: str, status: str = "302 Found", *headers: str) -> bytes:
    return answer(status, b"", f"Location: {location}", *headers)


def test_redirects_are_followed_and_named() -> None:
    chain = replies(redirect("/a"), redirect("b?c", "301 Moved"), answer(body=b"there"))
    with serve(chain) as target:
        result = probe(target.url("/start"), keyword=["there"], expected_url=target.url("/b?c"))
    assert result.outcome is Outcome.UP
    assert [(hop.url, hop.http_status) for hop in result.hops] == [
        (target.url("/start"), 302),
        (target.url("/a"), 301),
    ]
    paths = [request.split(b" ")[1] for request in target.requests]
    assert paths == [b"/start", b"/a", b"/b?c"]


@pytest.mark.parametrize(
    ("status", "method", "becomes"),
    [
        ("301 M", "POST", "GET"),
        ("302 F", "POST", "GET"),
        ("303 S", "PUT", "GET"),
        ("303 S", "HEAD", "HEAD"),
        ("302 F", "PUT", "PUT"),
        ("307 T", "POST", "POST"),
        ("308 P", "POST", "POST"),
    ],
)
def test_redirect_methods(status: str, method: str, becomes: str) -> None:
    with serve(replies(redirect("/next", status), answer(body=b""))) as target:
        probe(target.url(), method=method, body="data", headers={"Content-Type": "text/x"})
    second = target.requests[1]
    assert second.startswith(becomes.encode())
    assert second.endswith(b"data") == (becomes == method and method != "HEAD")
    assert (b"text/x" in second) == (b"data" in second)


def test_redirect_that_is_not_followed_is_the_answer() -> None:
    result = probe_script(raw(redirect("/x")), follow_redirects=False, expected_status=["302"])
    assert (result.outcome, result.hops) == (Outcome.UP, ())


@pytest.mark.parametrize(("limit", "requests"), [(0, 1), (3, 4), (10, 11)])
def test_redirect_loops_end(limit: int, requests: int) -> None:
    with serve(raw(redirect("/again"))) as target:
        result = probe(target.url(), max_redirects=limit)
    assert (result.outcome, result.reason) == (Outcome.DOWN, Reason.REDIRECT)
    assert len(target.requests) == requests
    assert len(result.hops) == limit


@pytest.mark.parametrize(
    ("location", "rule"),
    [
        ("http://169.254.169.254/latest/", "metadata"),
        ("http://10.0.0.1/", "private"),
        ("http://[::ffff:127.0.0.1]/", "embedded_ipv4"),
        ("//0x7f.1/", "spelling"),
        ("file:///etc/passwd", "scheme"),
        ("http://user:pw@example.com/", "userinfo"),
        ("/\\\\10.0.0.1/", "characters"),
    ],
)
def test_each_hop_is_guarded(location: str, rule: str) -> None:
    result = probe_script(raw(redirect(location)))
    assert (result.outcome, result.reason) == (Outcome.DOWN, Reason.BLOCKED)
    assert f"({rule})" in result.message


def test_blocked_target_receives_nothing() -> None:
    with serve(raw(answer())) as target:
        for host in ("127.0.0.1", "localhost"):
            result = probe(target.url(host=host), guard=Guard())
            assert (result.outcome, result.reason) == (Outcome.DOWN, Reason.BLOCKED)
        assert target.requests == []


def test_credentials_stay_with_their_origin() -> None:
    fields: dict[str, Any] = {
        "headers": {"X-Key": "open-sesame", "Cookie": "a=b"},
        "auth": {"type": "bearer", "token": "tok-en-123"},
    }
    with serve(raw(answer())) as other:
        back = replies(redirect("/same"), redirect(other.url("/far")))
        with serve(back) as first:
            probe(first.url(), **fields)
    for request in first.requests:
        assert b"X-Key: open-sesame" in request
        assert b"Bearer tok-en-123" in request
    (foreign,) = other.requests
    for secret in (b"sesame", b"tok-en", b"a=b", b"Authorization"):
        assert secret not in foreign


@pytest.mark.parametrize("status", ["307 T", "308 P"])
def test_a_body_stays_with_its_origin(status: str) -> None:
    with serve(raw(answer())) as other:
        with serve(replies(redirect(other.url("/far"), status))) as first:
            result = probe(first.url(), method="POST", body="token=s3cret")
        assert other.requests == []
    assert (result.outcome, result.reason) == (Outcome.DOWN, Reason.REDIRECT)
    assert "another host" in result.message


def test_cookies_live_within_a_chain_and_no_longer() -> None:
    with serve(replies(redirect("/in", "302 Found", "Set-Cookie: sid=1; Path=/"), answer())) as t:
        probe(t.url())
        probe(t.url("/later"))
    assert b"sid=1" not in t.requests[0]
    assert b"sid=1" in t.requests[1]
    assert b"sid=1" not in t.requests[2]


def test_secrets_do_not_come_back_in_evidence() -> None:
    def echo(peer: socket.socket, request: bytes) -> None:
        peer.sendall(answer("500 Oops", b"got " + request + b"x" * 1_000, "X-Echo: open-sesame"))

    result = probe_script(
        echo,
        method="POST",
        headers={"X-Key": "open-sesame"},
        body="pin=4711",
        auth={"type": "basic", "username": "me", "password": "pass-word"},
        keyword=["nothing"],
    )
    text = json.dumps(result.to_json())
    for secret in ("open-sesame", "4711", "pass-word", "bWU6cGFzcy13b3Jk"):
        assert secret not in text
    assert "[hidden]" in text


# --- TLS


def tls(days: float = 90, **kinds: Any) -> Callable[..., Any]:
    host = kinds.pop("host", "localhost")
    return lambda: serve(replies(answer()), context=authority().context(host, days=days, **kinds))


def test_tls_answer_carries_its_certificate() -> None:
    with tls()() as target:
        result = probe(target.url(host="localhost"))
    assert result.outcome is Outcome.UP
    assert result.phases.tls_us
    assert result.certificate is not None
    assert result.certificate.subject == "localhost"
    assert result.certificate.issuer == "Test authority"
    assert abs(result.certificate.not_after - time.time() - 90 * 86_400) < 100


@pytest.mark.parametrize(
    ("server", "reason", "message"),
    [
        (tls(-2.1), Reason.CERT_EXPIRY, "TLS certificate expired 2 days ago."),
        (tls(-0.1), Reason.CERT_EXPIRY, "TLS certificate expired 2 hours ago."),
        (tls(since_days=-1), Reason.TLS, "TLS certificate is not valid yet."),
        (
            tls(host="other.example.com"),
            Reason.TLS,
            "TLS certificate is not for localhost but for other.example.com.",
        ),
        (
            tls(self_signed=True),
            Reason.TLS,
            "TLS certificate is self-signed or signed by an unknown authority.",
        ),
        (
            tls(-400.1, since_days=500, self_signed=True),
            Reason.CERT_EXPIRY,
            "TLS certificate expired 400 days ago.",
        ),
    ],
    ids=[
        "expired days",
        "expired hours",
        "future",
        "wrong host",
        "self-signed",
        "self-signed, expired",
    ],
)
def test_bad_certificates(server: Callable[..., Any], reason: Reason, message: str) -> None:
    with server() as target:
        result = probe(target.url(host="localhost"))
        assert (result.outcome, result.reason) == (Outcome.DOWN, reason)
        assert result.message == message
        assert result.certificate is not None
        assert target.requests == []
        trusting = probe(target.url(host="localhost"), verify_tls=False)
    assert trusting.outcome is Outcome.UP


def test_unknown_authority() -> None:
    with tls()() as target:

        async def run() -> Result:
            engine = ProbeEngine(guard=OPEN, user_agent="test")
            try:
                url = target.url(host="localhost")
                return await engine.probe(Probe(check_id=1, slot=1, url=url, family="4"))
            finally:
                engine.close()

        result = asyncio.run(run())
    assert result.reason is Reason.TLS
    assert "unknown authority" in result.message


@pytest.mark.parametrize(
    ("days", "outcome", "words"),
    [(90, Outcome.UP, ""), (9.5, Outcome.DEGRADED, "expires in 9 days")],
)
def test_certificate_near_its_end_is_degraded(days: float, outcome: Outcome, words: str) -> None:
    with tls(days)() as target:
        result = probe(target.url(host="localhost"), cert_min_days=14)
    assert result.outcome is outcome
    assert words in result.message


def test_plain_server_on_a_tls_port() -> None:
    with serve(raw(answer()), greeting=b"220 mail.example.com ESMTP\r\n") as target:
        result = probe(target.url().replace("http:", "https:"))
    assert (result.outcome, result.reason) == (Outcome.DOWN, Reason.TLS)
    assert result.message == "The server does not speak TLS on this port."


# --- the engine


def test_in_flight_is_bounded_and_lag_is_told() -> None:
    def slow(peer: socket.socket, request: bytes) -> None:
        time.sleep(0.1)
        peer.sendall(answer())

    async def run() -> list[Result]:
        engine = ProbeEngine(guard=OPEN, user_agent="test", in_flight=5)
        try:
            probes = [Probe(check_id=n, slot=1, url=target.url()) for n in range(15)]
            return await asyncio.gather(*(engine.probe(each) for each in probes))
        finally:
            engine.close()

    with serve(slow) as target:
        results = asyncio.run(run())
    lags = sorted(result.lag_us for result in results)
    assert lags[4] < 80_000
    assert lags[5] >= 90_000
    assert lags[10] >= 180_000
    assert {result.outcome for result in results} == {Outcome.UP}

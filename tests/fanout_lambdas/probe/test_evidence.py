"""Evidence: what is shown of a failing answer, and that no secret is, however it is echoed."""

from __future__ import annotations

import base64
import html
import json
import re
import time
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from fanout_lambdas.probe.evidence import HIDDEN, gather, scrub, secrets_of, storable
from fanout_lambdas.shared.contracts import MAX_EVIDENCE_BODY, Probe

LOWER = re.compile("%..")
SECRET = "p/ss \"w&rd'é<+>="


def asked(**fields: Any) -> Probe:
    url = "tcp://example.com:25" if fields.get("kind") == "tcp" else "https://example.com/"
    return Probe.from_json({"check_id": 1, "slot": 0, "url": url, **fields})


def shown(body: bytes, probe: Probe, charset: str = "utf-8") -> str:
    return gather((), body, charset, probe).body


WAYS = {
    "as it is": SECRET,
    "percent": quote(SECRET, safe=""),
    "percent, slash kept": quote(SECRET),
    "percent, lower case": LOWER.sub(lambda pair: pair[0].lower(), quote(SECRET, safe="")),
    "form": quote_plus(SECRET),
    "encodeURIComponent": quote(SECRET, safe="!*'()"),
    "encodeURI": quote(SECRET, safe=";,/?:@&=+$#!*'()"),
    "JSON": json.dumps(SECRET)[1:-1],
    "JSON in UTF-8": json.dumps(SECRET, ensure_ascii=False)[1:-1],
    "JSON, slash escaped": json.dumps(SECRET)[1:-1].replace("/", "\\/"),
    "HTML": html.escape(SECRET),
    "HTML, quotes kept": html.escape(SECRET, quote=False),
    "HTML, decimal": html.escape(SECRET).replace("&quot;", "&#34;").replace("&#x27;", "&#39;"),
    "base64": base64.b64encode(SECRET.encode()).decode().rstrip("="),
    "base64 for URLs": base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("="),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "fields",
    [
        {"headers": {"X-Key": SECRET}},
        {"auth": {"type": "basic", "username": "bob", "password": SECRET}},
        {"method": "POST", "body": SECRET},
        {"method": "POST", "body": json.dumps({"login": {"pass": [SECRET]}})},
        {"kind": "tcp", "send": SECRET},
    ],
    ids=["header", "password", "body", "value in body", "send"],
)
def test_no_echo_of_a_secret(fields: dict[str, Any], way: str) -> None:
    body = f"<p>You sent {WAYS[way]} to us.</p>"
    assert shown(body.encode(), asked(**fields)) == f"<p>You sent {HIDDEN} to us.</p>"


@pytest.mark.parametrize(
    ("fields", "echo"),
    [
        ({"headers": {"Authorization": "Bearer abcd1234"}}, "abcd1234"),
        ({"auth": {"type": "bearer", "token": "tok-1234"}}, "Bearer tok-1234"),
        (
            {"auth": {"type": "basic", "username": "bob", "password": "hunter2"}},
            base64.b64encode(b"bob:hunter2").decode(),
        ),
        ({"auth": {"type": "basic", "username": "bob", "password": "hunter2"}}, "bob:hunter2"),
        ({"method": "POST", "body": "user=bob&pass=hunter2&x=1"}, "hunter2"),
        ({"method": "POST", "body": '{"a": {"pass": "hunter2"}}'}, "hunter2"),
        ({"kind": "tcp", "send": "LOGIN bob hunter2\\r\\n"}, "hunter2"),
    ],
)
def test_parts_of_a_request_are_hidden_too(fields: dict[str, Any], echo: str) -> None:
    found = shown(f"echo: {echo} end".encode(), asked(**fields))
    assert found in (f"echo: {HIDDEN} end", f"echo: Bearer {HIDDEN} end", f"echo: {HIDDEN}= end")


@pytest.mark.parametrize("kept", range(4, 12))
def test_a_secret_cut_off_at_the_end(kept: int) -> None:
    probe = asked(headers={"X-Key": "secret-value"})
    body = "x" * 100 + "secret-value"[:kept]
    assert shown(body.encode(), probe) == "x" * 100 + HIDDEN


@pytest.mark.parametrize(
    "before", [MAX_EVIDENCE_BODY - 20, MAX_EVIDENCE_BODY - 3, MAX_EVIDENCE_BODY]
)
@pytest.mark.parametrize("letter", ["x", "é", "漢"])
def test_a_secret_across_the_excerpts_end(before: int, letter: str) -> None:
    probe = asked(headers={"X-Key": "secret-value", "X-Other": "y" * 5_000})
    found = shown((letter * before + "secret-value" + " end" * 9_000).encode(), probe)
    assert len(found) <= MAX_EVIDENCE_BODY
    assert found.startswith(letter * before)
    assert "sec" not in found[before:]


def test_headers() -> None:
    lines = [
        ("Content-Type", "text/html"),
        ("Set-Cookie", "id=1"),
        ("X-Auth-Token", "abc"),
        ("X-Echo", "my key-1234 here"),
        ("X-Nul", "a\0b\ud800"),
        ("X-Long", "z" * 900),
        *((f"X-{at}", "v") for at in range(90)),
    ]
    headers = gather(lines, b"", "utf-8", asked(headers={"X-Key": "key-1234"})).headers
    assert headers[:5] == (
        ("Content-Type", "text/html"),
        ("Set-Cookie", HIDDEN),
        ("X-Auth-Token", HIDDEN),
        ("X-Echo", f"my {HIDDEN} here"),
        ("X-Nul", "a\ufffdb?"),
    )
    assert len(headers[5][1]) == 300
    assert len(headers) == 40


def test_ordinary_words_stay() -> None:
    probe = asked(
        headers={"Accept": "text/html", "User-Agent": "Uptime", "X-A": "abc"}, method="GET"
    )
    body = b"text/html for Uptime abc"
    assert shown(body, probe).encode() == body
    assert secrets_of(probe) == []


@pytest.mark.parametrize(
    ("body", "charset", "expected"),
    [
        (b"", "utf-8", ""),
        ("größe".encode(), "utf-8", "größe"),
        ("größe".encode("latin-1"), "iso-8859-1", "größe"),
        ("größe".encode("utf-16"), "utf-16", "größe"),
        (b"caf\xe9", "utf-8", "caf\ufffd"),
        (b"a\0b" + b"x" * 50, "utf-8", "a\ufffdb" + "x" * 50),
        (b"text", "punycode", "text"),
        (b"text", "hex", "text"),
        (b"text", "\0", "text"),
        (b"\tone\r\n\x1b[31mtwo\n", "utf-8", "\tone\r\n\x1b[31mtwo\n"),
        (
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(900),
            "utf-8",
            "Not text; it begins with the bytes 89 50 4e 47 0d 0a 1a 0a 00 00 00 0d 49 48 44 52"
            + " 00" * 16
            + ".",
        ),
    ],
)
def test_bodies(body: bytes, charset: str, expected: str) -> None:
    assert shown(body, asked(), charset) == expected
    assert shown(bytearray(body), asked(), charset) == expected  # type: ignore[arg-type]


def test_long_bodies_are_cut() -> None:
    assert shown("é".encode() * 100_000, asked()) == "é" * MAX_EVIDENCE_BODY


def test_scrub_prefers_the_longest() -> None:
    secrets = ["abcdefgh", "cdef"]
    assert scrub("abcdefgh cdef abcd", secrets) == f"{HIDDEN} {HIDDEN} {HIDDEN}"
    assert scrub("abc", secrets) == "abc"
    assert storable("a\0\ud800") == "a\ufffd?"


def test_many_and_large_secrets_stay_cheap() -> None:
    probe = asked(
        headers={f"X-{at}": f"k/{at}&" * 20 for at in range(64)},
        method="POST",
        body=json.dumps({"values": ["abcd/" * 6] * 1_700}),
    )
    body = ("k/1" * 300_000).encode()
    began = time.thread_time()
    gather([("a", "k/1&" * 70)] * 40, body, "utf-8", probe)
    assert time.thread_time() - began < 0.5

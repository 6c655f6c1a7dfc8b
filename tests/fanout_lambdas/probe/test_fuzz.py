"""The response path under answers that nobody would write: whatever comes, a probe ends with a result."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import random
import zlib
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanout_lambdas.shared.contracts import Outcome, Reason, Result
from tests.hostile.lab import Lab, lab
from tests.hostile.peer import Peer
from tests.hostile.scripts import over
from tests.targets import answer

# More than the suite needs: UPTIME_FUZZ=200000 .venv/bin/pytest tests/fanout_lambdas/probe/test_fuzz.py
ANSWERS = int(os.environ.get("UPTIME_FUZZ", "2000"))
SEED = int(os.environ.get("UPTIME_FUZZ_SEED", "20261123"))

OK = b"HTTP/1.1 200 OK\r\n"
DOCUMENT = json.dumps({"ok": True, "parts": [{"n": n, "name": "größe"} for n in range(5)]}).encode()
GOOD: tuple[bytes, ...] = (
    answer(),
    answer(length=False),
    answer("204 No Content", b""),
    answer("503 Busy", b"closed today", "Retry-After: 5"),
    answer("302 Found", b"moved", "Location: /next?a=b#c", "Set-Cookie: sid=1; Path=/; Secure"),
    answer("200 OK", DOCUMENT, "Content-Type: application/json; charset=utf-8"),
    answer("200 OK", "größe".encode("latin-1"), "Content-Type: text/html; charset=latin-1"),
    answer("200 OK", gzip.compress(DOCUMENT, mtime=0), "Content-Encoding: gzip"),
    answer("200 OK", zlib.compress(DOCUMENT), "Content-Encoding: deflate, identity"),
    answer("200 OK", zlib.compress(gzip.compress(b"hello")), "Content-Encoding: gzip, deflate"),
    OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nA: b\r\n\r\n",
    b"HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + answer(),
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
    OK + b"X-Folded: a\r\n  b\r\n\tc\r\nX-Empty:\r\nContent-Length: 5, 5\r\n\r\nhello",
)
PIECES = (
    b"\r\n", b"\n", b"\r", b"\0", b":", b" ", b"\t", b";", b",", b"-", b"+", b"0", b"9" * 20,
    b"0\r\n\r\n", b"\r\n\r\n", b"\xff\xfe", "größe".encode(), b"\xf0\x9f\x98\x80", b"%s%n",
    b"Content-Length: 3\r\n", b"Content-Length: 99999\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Content-Encoding: gzip\r\n", b"Content-Encoding: br\r\n", b"Content-Encoding: zstd\r\n",
    b"Content-Type: text/html; charset=utf-16\r\n", b"Set-Cookie: a=b; Max-Age=x\r\n",
    b"HTTP/1.1 ", b"HTTP/1.1 100 Go\r\n\r\n", b"Location: /\r\n", b'{"a":' * 50,
)  # fmt: skip
FIELDS: tuple[dict[str, Any], ...] = (
    {},
    {"method": "HEAD"},
    {"method": "POST", "body": "a=b", "headers": {"X-Key": "open-sesame", "Cookie": "a=b"}},
    {"keyword": ["hello", "größe"], "keyword_absent": ["bye"], "expected_status": ["100-999"]},
    {"regex": ["h.llo"], "regex_absent": ["^$"], "max_latency_ms": 1},
    {"json": [{"path": "$.parts[*].n", "op": "contains", "value": 3}]},
    {"header": [{"name": "X-Folded", "op": "matches", "value": "a.*c"}], "max_body_bytes": 100},
)


def mutated(rng: random.Random) -> bytes:
    """A good answer after one to four accidents."""
    data = bytearray(rng.choice(GOOD))
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice((1, 2, 8, 64)))
        match rng.randrange(8):
            case 0:
                data[at:end] = b""
            case 1:
                data[at:at] = data[at:end] * rng.choice((1, 2, 50))
            case 2:
                data[at:end] = rng.randbytes(end - at)
            case 3:
                data[at:at] = rng.choice(PIECES)
            case 4:
                data[at:end] = rng.choice(PIECES)
            case 5:
                data[at:] = rng.choice(GOOD)[rng.randrange(60) :]
            case 6:
                del data[at:]
            case 7 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
    return bytes(data)


def check(result: Result, data: bytes) -> None:
    """What holds for every answer there may be; the answer itself is the message."""
    assert result.outcome is not Outcome.VOID, data
    assert result.reason is not Reason.INTERNAL, data
    assert (result.reason is Reason.NONE) == (result.outcome is Outcome.UP), data
    assert bool(result.message) == (result.outcome is not Outcome.UP), data
    assert Result.from_json(json.loads(json.dumps(result.to_json()))) == result, data
    assert "open-sesame" not in json.dumps(result.to_json()), data


def test_mutated_answers_never_break_the_prober() -> None:
    rng = random.Random(SEED)
    current: list[bytes] = []

    async def answers(peer: Peer) -> None:
        number = int(peer.requests[-1].split(b" ")[1][1:] or 0)
        data = current[number]
        cut = number % (len(data) + 1)
        await peer.send(data[:cut])
        await asyncio.sleep(0)
        await peer.send(data[cut:])

    async def one(url: str, data: bytes, fields: dict[str, Any]) -> Result:
        # Never to a host that an accident has named.
        result = await place.probe(url, follow_redirects=False, timeout_ms=30_000, **fields)
        check(result, data)
        return result

    async def run() -> Counter[Reason]:
        seen: Counter[Reason] = Counter()
        target = await place.serve(over(answers))
        for _ in range(0, ANSWERS, 200):
            current[:] = [mutated(rng) for _ in range(200)]
            probes = (
                one(target.url(f"/{number}"), data, rng.choice(FIELDS))
                for number, data in enumerate(current)
            )
            seen.update(result.reason for result in await asyncio.gather(*probes))
            target.requests.clear()
        return seen

    with lab(in_flight=50) as place:
        seen = place.run(run())
    # Many kinds of ends were reached; a mutator that only makes garbage would show little.
    assert {Reason.NONE, Reason.PROTOCOL, Reason.STATUS, Reason.DECODE, Reason.KEYWORD} <= set(seen)


# --- properties


@pytest.fixture(scope="module")
def shared() -> Iterator[Lab]:
    with lab() as open_lab:
        yield open_lab


def ask(shared: Lab, *parts: bytes, **fields: Any) -> Result:
    async def step(peer: Peer) -> None:
        for part in parts:
            await peer.send(part)
            await asyncio.sleep(0)

    async def run() -> Result:
        target = await shared.serve(over(step))
        return await shared.probe(target.url(), **fields)

    return shared.run(run())


@settings(max_examples=150, deadline=None)
@given(st.sampled_from((b"", b"HTTP/1.1 ", OK, OK + b"\r\n")), st.binary(max_size=300))
def test_arbitrary_bytes(shared: Lab, start: bytes, data: bytes) -> None:
    check(ask(shared, start + data, follow_redirects=False), start + data)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([data for data in GOOD if b"Location" not in data]),
    st.lists(st.integers(0, 300), max_size=8),
)
def test_splits_make_no_difference(shared: Lab, data: bytes, cuts: list[int]) -> None:
    bounds = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    parts = [data[low:high] for low, high in pairwise(bounds)]
    whole, split = ask(shared, data), ask(shared, *parts)
    for field in ("outcome", "reason", "message", "http_status", "bytes", "evidence"):
        assert getattr(whole, field) == getattr(split, field), parts


FRAMING = ("content-length", "transfer-encoding", "content-encoding")
NAMES = st.from_regex(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,30}", fullmatch=True).filter(
    lambda name: name.lower() not in FRAMING
)
VALUES = st.text(st.characters(max_codepoint=255, exclude_characters="\0\r\n"), max_size=100)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(NAMES, VALUES), max_size=40))
def test_arbitrary_headers(shared: Lab, headers: list[tuple[str, str]]) -> None:
    lines = [f"{name}: {value}" for name, value in headers]
    result = ask(shared, answer("200 OK", b"hello", *lines))
    assert (result.outcome, result.message, result.bytes) == (Outcome.UP, "", 5)

"""Where an answer ends: lengths, chunks, closes and resets, right and wrong, against a hostile server."""

from __future__ import annotations

import asyncio

import pytest

from fanout_lambdas.shared.contracts import Reason
from tests.hostile.lab import Case, Script, Seen, down, probe_all, timeout, up
from tests.hostile.peer import Peer
from tests.hostile.scripts import bytewise, floods, holds, over, resets, sends, speaks_first
from tests.targets import answer

CUT = "closed the connection before its answer was complete"
INVALID = "not valid HTTP"
RESET = "reset the connection"


def plain(*headers: str, body: bytes = b"hello", status: str = "HTTP/1.1 200 OK") -> bytes:
    return "\r\n".join([status, *headers]).encode("latin-1") + b"\r\n\r\n" + body


def length(value: str, body: bytes = b"hello") -> Script:
    return sends(plain(f"Content-Length: {value}", body=body))


def chunked(body: bytes, *headers: str, status: str = "HTTP/1.1 200 OK") -> bytes:
    return plain("Transfer-Encoding: chunked", *headers, body=body, status=status)


def chunks(body: bytes) -> Script:
    return sends(chunked(body))


LENGTHS: dict[str, Case] = {
    "right": up(length("5")),
    "zero": up(length("0", b""), size=0),
    "outer spaces": up(length("  5 ")),
    "leading zeros": up(length("0005")),
    "short: the rest is not the answer": up(length("2"), size=2),
    "long, then closed": down(length("6"), Reason.PROTOCOL, CUT),
    "long, then silent": timeout(holds(answer()[:-1]), "receiving the answer"),
    "huge": down(length("999999999999"), Reason.PROTOCOL, CUT),
    "beyond 64 bits": down(length("9" * 30), Reason.PROTOCOL, INVALID),
    "negative": down(length("-5"), Reason.PROTOCOL, INVALID),
    "plus sign": down(length("+5"), Reason.PROTOCOL, INVALID),
    "hexadecimal": down(length("0x5"), Reason.PROTOCOL, INVALID),
    "fraction": down(length("5.0"), Reason.PROTOCOL, INVALID),
    "underscore": down(length("1_0"), Reason.PROTOCOL, INVALID),
    "superscript": down(length("\xb2"), Reason.PROTOCOL, INVALID),
    "words": down(length("five"), Reason.PROTOCOL, INVALID),
    "twice, equal": up(sends(plain("Content-Length: 5", "Content-Length: 5"))),
    "twice, different": down(
        sends(plain("Content-Length: 5", "Content-Length: 6")), Reason.PROTOCOL, INVALID
    ),
    "list, equal": up(length("5, 5")),
    "list, different": down(length("5, 6"), Reason.PROTOCOL, INVALID),
    "list within and beside": down(
        sends(plain("Content-Length: 5, 5", "Content-Length: 4")), Reason.PROTOCOL, INVALID
    ),
    "until close": up(sends(plain())),
    "until close, nothing": up(sends(plain(body=b"")), size=0),
    "until close, never closed": timeout(holds(plain()), "receiving the answer"),
    "1.0 with a length": up(sends(plain("Content-Length: 5", status="HTTP/1.0 200 OK"))),
    "1.0 until close": up(sends(plain(status="HTTP/1.0 200 OK"))),
    "1.0 cut": down(
        sends(plain("Content-Length: 6", status="HTTP/1.0 200 OK")), Reason.PROTOCOL, CUT
    ),
    "1.0 keep-alive": up(
        holds(plain("Connection: keep-alive", "Content-Length: 5", status="HTTP/1.0 200 OK"))
    ),
    "kept open after the end": up(holds(answer())),
    "garbage after the end": up(sends(answer() + b"\0\xff garbage")),
    "second answer after the end": up(sends(answer() + answer("500 Oops", b"boom"))),
}

CHUNKS: dict[str, Case] = {
    "one": up(chunks(b"5\r\nhello\r\n0\r\n\r\n")),
    "several": up(chunks(b"1\r\nh\r\n3\r\nell\r\n1\r\no\r\n0\r\n\r\n")),
    "none": up(chunks(b"0\r\n\r\n"), size=0),
    "upper case": up(chunks(b"A\r\n0123456789\r\n0\r\n\r\n"), size=10),
    "leading zeros": up(chunks(b"00005\r\nhello\r\n000\r\n\r\n")),
    "extensions": up(chunks(b'5;a=b;c="d;e"\r\nhello\r\n0;last\r\n\r\n')),
    "space after the size": up(chunks(b"5  \r\nhello\r\n0\r\n\r\n")),
    "trailers": up(chunks(b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n")),
    "kept open": up(holds(chunked(b"5\r\nhello\r\n0\r\n\r\n"))),
    "byte by byte": up(bytewise(chunked(b"2\r\nhe\r\n3\r\nllo\r\n0\r\nA: b\r\n\r\n"))),
    "Chunked": up(sends(plain("Transfer-Encoding: Chunked", body=b"5\r\nhello\r\n0\r\n\r\n"))),
    "with a length too": up(
        sends(chunked(b"5\r\nhello\r\n0\r\n\r\n", "Content-Length: 3")),
    ),
    "no size": down(chunks(b"\r\nhello\r\n0\r\n\r\n"), Reason.PROTOCOL, INVALID),
    "bad size": down(chunks(b"5g\r\nhello\r\n0\r\n\r\n"), Reason.PROTOCOL, INVALID),
    "negative size": down(chunks(b"-5\r\nhello\r\n0\r\n\r\n"), Reason.PROTOCOL, INVALID),
    "prefixed size": down(chunks(b"0x5\r\nhello\r\n0\r\n\r\n"), Reason.PROTOCOL, INVALID),
    "huge size": down(chunks(b"ffffffffffffffff0\r\nhello"), Reason.PROTOCOL, ""),
    "size of 64 bits, cut": down(chunks(b"fffffffffffffff\r\nhello"), Reason.PROTOCOL, CUT),
    "no line end after the data": down(chunks(b"5\r\nhello0\r\n\r\n"), Reason.PROTOCOL, INVALID),
    "longer than its size": down(chunks(b"4\r\nhello\r\n0\r\n\r\n"), Reason.PROTOCOL, INVALID),
    "60,000": up(chunks(b"1\r\nx\r\n" * 60_000 + b"0\r\n\r\n"), size=60_000),
    "70,000": down(
        chunks(b"1\r\nx\r\n" * 70_000 + b"0\r\n\r\n"), Reason.PROTOCOL, "more than 65,536 chunks"
    ),
    "endless extension": down(
        floods(chunked(b"5;"), b"x" * 65_536), Reason.PROTOCOL, "larger than 100 kB"
    ),
    "endless trailers": down(
        floods(chunked(b"5\r\nhello\r\n0\r\n"), b"A: b\r\n" * 10_000),
        Reason.PROTOCOL,
        "larger than 100 kB",
    ),
    "cut before the first": down(chunks(b""), Reason.PROTOCOL, CUT),
    "cut in a size": down(chunks(b"5"), Reason.PROTOCOL, CUT),
    "cut after a size": down(chunks(b"5\r\n"), Reason.PROTOCOL, CUT),
    "cut in the data": down(chunks(b"5\r\nhel"), Reason.PROTOCOL, CUT),
    "cut after the data": down(chunks(b"5\r\nhello\r\n"), Reason.PROTOCOL, CUT),
    "cut in the last": down(chunks(b"5\r\nhello\r\n0"), Reason.PROTOCOL, CUT),
    "cut before the trailers": down(chunks(b"5\r\nhello\r\n0\r\n"), Reason.PROTOCOL, CUT),
    "cut in a trailer": down(chunks(b"5\r\nhello\r\n0\r\nX-Su"), Reason.PROTOCOL, CUT),
    "unknown transfer coding": down(
        sends(plain("Transfer-Encoding: lzma")), Reason.PROTOCOL, "Transfer-Encoding"
    ),
    "compressed transfer coding": down(
        sends(plain("Transfer-Encoding: gzip, chunked")), Reason.PROTOCOL, "Transfer-Encoding"
    ),
    "silent inside": timeout(holds(chunked(b"5\r\nhel")), "receiving the answer"),
}


async def refuses_at_once(peer: Peer) -> None:
    """Never reads the request."""
    await peer.send(answer("413 Too Large", b"hello"))
    await peer.half_close()
    await asyncio.sleep(0.2)


async def resets_at_once(peer: Peer) -> None:
    peer.reset()


async def closes_at_once(peer: Peer) -> None:
    """No step: the server closes."""


async def half_closes(peer: Peer) -> None:
    await peer.send(plain())
    await peer.half_close()
    await peer.linger()


async def ends_early(peer: Peer) -> None:
    await peer.half_close()
    await peer.linger()


ENDS: dict[str, Case] = {
    "refused by a close": down(closes_at_once, Reason.CONNECTION, "without an answer"),
    "refused by a reset": down(resets_at_once, Reason.CONNECTION, RESET),
    "closed after the request": down(sends(), Reason.CONNECTION, "without an answer"),
    "half closed instead of an answer": down(
        over(ends_early), Reason.CONNECTION, "without an answer"
    ),
    "half closed after an answer": up(over(half_closes)),
    "reset instead of an answer": down(resets(), Reason.CONNECTION, RESET),
    "reset in the status line": down(resets(b"HTTP/1.1 2"), Reason.CONNECTION, RESET),
    "reset in the headers": down(resets(answer()[:30]), Reason.CONNECTION, RESET),
    "reset in the body": down(resets(answer()[:-2]), Reason.CONNECTION, RESET),
    "reset in a chunk": down(resets(chunked(b"5\r\nhel")), Reason.CONNECTION, RESET),
    "reset for the end": down(resets(plain()), Reason.CONNECTION, RESET),
    "reset after the end": up(resets(answer())),
    "byte by byte": up(bytewise(answer())),
    "answered before the request": up(speaks_first(answer())),
    "answered without reading": down(
        refuses_at_once,
        Reason.STATUS,
        "Status 413",
        method="POST",
        body="x" * 65_536,
        status=413,
    ),
}
# A close after every byte of a good answer: only behind the last one is it up.
WHOLE = answer()
ENDS |= {
    f"closed after {count} bytes": down(sends(WHOLE[:count]), Reason.PROTOCOL, CUT)
    for count in range(1, len(WHOLE))
}

CASES = {
    f"{group}: {name}": case
    for group, table in (("length", LENGTHS), ("chunked", CHUNKS), ("end", ENDS))
    for name, case in table.items()
}


@pytest.fixture(scope="module")
def seen() -> dict[str, Seen]:
    return probe_all(CASES)


@pytest.mark.parametrize("name", CASES)
def test_where_an_answer_ends(name: str, seen: dict[str, Seen]) -> None:
    CASES[name].check(seen[name])

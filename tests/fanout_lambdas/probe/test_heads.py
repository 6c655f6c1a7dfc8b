"""Status lines and headers: what a browser puts up with is up, what is not HTTP is said to be none."""

from __future__ import annotations

import pytest

from fanout_lambdas.shared.contracts import Reason
from tests.hostile.lab import Case, Script, Seen, down, probe_all, timeout, up
from tests.hostile.scripts import drips, floods, holds, sends, speaks_first
from tests.targets import answer

INVALID = "not valid HTTP"
LARGE = "larger than 100 kB"
H2_SETTINGS = bytes.fromhex("000012040000000000000300000080000400010000000500ffffff")


def starts(line: bytes) -> Script:
    return sends(line + b"\r\nContent-Length: 5\r\n\r\nhello")


def has(*lines: bytes) -> Script:
    head = b"\r\n".join((b"HTTP/1.1 200 OK", *lines, b"Content-Length: 5"))
    return sends(head + b"\r\n\r\nhello")


def hints(line: bytes, count: int = 1) -> Script:
    return sends((line + b"\r\nX-A: b\r\n\r\n") * count + answer())


def no_body(status: str, body: bytes = b"") -> Script:
    return sends(answer(status, body))


STATUS_LINES: dict[str, Case] = {
    "no reason": up(starts(b"HTTP/1.1 200 ")),
    "no reason, no space": up(starts(b"HTTP/1.1 200")),
    "reason in latin-1": up(starts(b"HTTP/1.1 200 Tr\xe8s bien")),
    "long reason": up(starts(b"HTTP/1.1 200 " + b"O" * 50_000)),
    "lone line feeds": up(sends(b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello")),
    "299": up(starts(b"HTTP/1.1 299 Odd"), status=299),
    "404": down(starts(b"HTTP/1.1 404 No"), Reason.STATUS, "Status 404", status=404),
    "999": down(starts(b"HTTP/1.1 999 Denied"), Reason.STATUS, "Status 999", status=999),
    "two digits": down(starts(b"HTTP/1.1 99 Odd"), Reason.PROTOCOL, INVALID),
    "four digits": down(starts(b"HTTP/1.1 1000 Odd"), Reason.PROTOCOL, INVALID),
    "000": down(starts(b"HTTP/1.1 000 Zero"), Reason.PROTOCOL, INVALID),
    "099": down(starts(b"HTTP/1.1 099 Odd"), Reason.PROTOCOL, INVALID),
    "negative": down(starts(b"HTTP/1.1 -20 Odd"), Reason.PROTOCOL, INVALID),
    "text": down(starts(b"HTTP/1.1 OK 200"), Reason.PROTOCOL, INVALID),
    "letter O for zero": down(starts(b"HTTP/1.1 2OO OK"), Reason.PROTOCOL, INVALID),
    "no version": down(starts(b"HTTP 200 OK"), Reason.PROTOCOL, INVALID),
    "version alone": down(starts(b"HTTP/1.1"), Reason.PROTOCOL, INVALID),
    "version 2.0": up(starts(b"HTTP/2.0 200 OK")),
    "NUL": down(starts(b"HTTP/1.1 200 O\0K"), Reason.PROTOCOL, INVALID),
    "HTTP/0.9": down(sends(b"<html>hello</html>"), Reason.PROTOCOL, INVALID),
    "HTTP/0.9 with lines": down(sends(b"<html>\r\n\r\nhello"), Reason.PROTOCOL, INVALID),
    "HTTP/2 frames": down(sends(H2_SETTINGS), Reason.PROTOCOL, INVALID),
    "SSH": down(speaks_first(b"SSH-2.0-OpenSSH_9.6\r\n"), Reason.PROTOCOL, INVALID),
    "SMTP": down(speaks_first(b"220 mail.example.com ESMTP\r\n"), Reason.PROTOCOL, INVALID),
    "POP3": down(speaks_first(b"+OK ready\r\n"), Reason.PROTOCOL, INVALID),
    "Redis": down(sends(b"-ERR wrong number of arguments\r\n"), Reason.PROTOCOL, INVALID),
    "MySQL": down(
        speaks_first(b"J\0\0\0\x0a8.0.36\0\x08\0\0\0" + b"\x01" * 60), Reason.PROTOCOL, INVALID
    ),
    "TLS alert": down(sends(b"\x15\x03\x01\x00\x02\x02\x46"), Reason.PROTOCOL, INVALID),
    "banner of a server that waits": down(
        holds(b"220 mail.example.com ESMTP\r\n"), Reason.PROTOCOL, INVALID
    ),
    "binary, then silence": down(holds(b"\0\1\2\3"), Reason.PROTOCOL, INVALID),
}

INFORMATIONAL: dict[str, Case] = {
    "100": up(hints(b"HTTP/1.1 100 Continue")),
    "102": up(hints(b"HTTP/1.1 102 Processing")),
    "103 thrice": up(hints(b"HTTP/1.1 103 Early Hints", 3)),
    "101 unasked": down(
        hints(b"HTTP/1.1 101 Switching Protocols"), Reason.STATUS, "Status 101", status=101
    ),
    "endless": down(
        floods(b"", b"HTTP/1.1 103 Hint\r\n\r\n" * 500), Reason.PROTOCOL, "informational"
    ),
    "and then nothing": timeout(holds(b"HTTP/1.1 100 Continue\r\n\r\n"), "the answer"),
    "and then a close": down(
        sends(b"HTTP/1.1 100 Continue\r\n\r\n"), Reason.PROTOCOL, "before its answer"
    ),
    "one a moment": timeout(drips(b"HTTP/1.1 102 Wait\r\n\r\n", gap_s=0.005), "the answer"),
}

BODILESS: dict[str, Case] = {
    "204": up(no_body("204 No Content"), status=204, size=0),
    "204 with a body": up(no_body("204 No Content", b"hello"), status=204, size=0),
    "204 kept open": up(holds(b"HTTP/1.1 204 No Content\r\n\r\n"), status=204, size=0),
    "304": down(no_body("304 Not Modified"), Reason.STATUS, "Status 304", size=0),
    "304 expected, with a length": up(
        holds(answer("304 Not Modified", b"hello")[:-5]),
        status=304,
        size=0,
        expected_status=["304"],
    ),
    "205": up(no_body("205 Reset Content"), status=205, size=0),
    "205 with a body": up(no_body("205 Reset Content", b"hello"), status=205, size=5),
    "HEAD": up(holds(answer()[:-5]), size=0, method="HEAD"),
    "HEAD with a body": up(sends(answer()), size=0, method="HEAD"),
    "HEAD without a length": up(holds(b"HTTP/1.1 200 OK\r\n\r\n"), size=0, method="HEAD"),
    "HEAD chunked": up(
        holds(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), size=0, method="HEAD"
    ),
    "HEAD compressed": up(
        holds(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\n"),
        size=0,
        method="HEAD",
    ),
}

HEADERS: dict[str, Case] = {
    "folded": up(has(b"X-A: b", b"  c", b"\td")),
    "empty value": up(has(b"X-A:")),
    "no space after the colon": up(has(b"X-A:b")),
    "8-bit value": up(has(b"X-A: gr\xc3\xbc\xdfe")),
    "control character": up(has(b"X-A: a\x01b")),
    "no colon": up(has(b"garbage")),
    "space before the colon": up(has(b"X-A : b")),
    "space in the name": up(has(b"X A: b")),
    "8-bit name": up(has(b"X-\xe9: b")),
    "empty name": up(has(b": b")),
    "colon alone": up(has(b":")),
    "the same 500 times": up(has(*[b"X-A: b"] * 500)),
    "4,900": up(has(*[b"A: b"] * 4_900)),
    "5,100": down(has(*[b"A: b"] * 5_100), Reason.PROTOCOL, "more than 5,000 header lines"),
    "90 kB": up(has(b"X-A: " + b"b" * 90_000)),
    "unclosed quotes": up(has(b'Content-Type: text/html; charset="utf-8')),
    "NUL": down(has(b"X-A: a\0b"), Reason.PROTOCOL, INVALID),
    "NUL in the name": down(has(b"X\0A: b"), Reason.PROTOCOL, INVALID),
    "lone carriage return": down(has(b"X-A: a\rX-B: c"), Reason.PROTOCOL, INVALID),
    "fold before the first": down(has(b" X-A: b"), Reason.PROTOCOL, INVALID),
    "1 MiB": down(has(b"X-A: " + b"b" * 1_048_576), Reason.PROTOCOL, LARGE),
    "100,000": down(has(*[b"X-A: b"] * 100_000), Reason.PROTOCOL, LARGE),
    "endless value": down(
        floods(b"HTTP/1.1 200 OK\r\nX-A: ", b"b" * 65_536), Reason.PROTOCOL, LARGE
    ),
    "endless": down(floods(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 8_192), Reason.PROTOCOL, LARGE),
    "endless status line": down(floods(b"HTTP/1.1 200 ", b"O" * 65_536), Reason.PROTOCOL, LARGE),
    "endless folds": down(
        floods(b"HTTP/1.1 200 OK\r\nX-A: b", b"\r\n b" * 16_384), Reason.PROTOCOL, LARGE
    ),
}

CASES = {
    f"{group}: {name}": case
    for group, table in (
        ("status line", STATUS_LINES),
        ("informational", INFORMATIONAL),
        ("no body", BODILESS),
        ("header", HEADERS),
    )
    for name, case in table.items()
}


@pytest.fixture(scope="module")
def seen() -> dict[str, Seen]:
    return probe_all(CASES)


@pytest.mark.parametrize("name", CASES)
def test_heads(name: str, seen: dict[str, Seen]) -> None:
    CASES[name].check(seen[name])

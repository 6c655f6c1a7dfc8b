"""Content codings and charsets: what the body says after them, and every way in which it cannot be read."""

from __future__ import annotations

import gzip
import importlib
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest

from fanout_lambdas.shared.contracts import Reason
from tests.hostile.lab import Case, Script, Seen, down, probe_all, up
from tests.hostile.scripts import bytewise, sends
from tests.targets import answer

TEXT = b"hello " * 2_000  # compresses well and does not fit one read of a decoder
MIB = 1_048_576

brotli: Any = importlib.import_module("brotli")  # ships no types
zstd: Any = importlib.import_module("backports.zstd")


CHECKED = {zstd.CompressionParameter.checksum_flag: 1}


def deflate(data: bytes, *, raw: bool) -> bytes:
    packer = zlib.compressobj(wbits=-15 if raw else 15)
    return packer.compress(data) + packer.flush()


def coded(coding: str, body: bytes, *headers: str) -> Script:
    return sends(answer("200 OK", body, f"Content-Encoding: {coding}", *headers))


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 6),
    "deflate": lambda data: deflate(data, raw=False),
    "br": lambda data: brotli.compress(data, quality=4),
    "zstd": lambda data: zstd.compress(data, options=CHECKED),
}


@cache
def packed(coding: str) -> bytes:
    return PACK[coding](TEXT)


def zstd_window(log: int) -> bytes:
    """A frame that asks for a window of 2**log bytes."""
    packer = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: log})
    packed = packer.compress(TEXT) + packer.flush()
    assert isinstance(packed, bytes)
    return packed


def text(script: Script, **fields: Any) -> Case:
    return up(script, size=len(TEXT), keyword=["hello hello"], **fields)


def undecodable(script: Script, words: str, **fields: Any) -> Case:
    return down(script, Reason.DECODE, words, **fields)


def cut(coding: str) -> Iterator[tuple[str, Case]]:
    """Cut inside, in the middle, one byte before the end, and damaged."""
    body = packed(coding)
    for at in (5, len(body) // 2, len(body) - 1):
        yield f"{coding}, cut after {at} bytes", undecodable(coded(coding, body[:at]), "cut short")
    damaged = bytearray(body)
    damaged[len(body) // 2] ^= 0xFF
    yield f"{coding}, damaged", undecodable(coded(coding, bytes(damaged)), "")
    yield f"{coding}, not at all", undecodable(coded(coding, b"hello, this is text"), "damaged")


DECODED: dict[str, Case] = {
    **{coding: text(coded(coding, packed(coding))) for coding in PACK},
    **{
        f"{coding}, byte by byte": text(
            bytewise(answer("200 OK", packed(coding), f"Content-Encoding: {coding}"))
        )
        for coding in PACK
    },
    **{
        f"{coding}, nothing in it": up(coded(coding, pack(b"")), size=0)
        for coding, pack in PACK.items()
    },
    **{f"{coding}, no bytes at all": up(coded(coding, b""), size=0) for coding in PACK},
    "raw deflate": text(coded("deflate", deflate(TEXT, raw=True))),
    "gzip in capitals": text(coded("GZIP", packed("gzip"))),
    "x-gzip": text(coded("x-gzip", packed("gzip"))),
    "gzip of several members": text(
        coded("gzip", gzip.compress(TEXT[:6_000]) + gzip.compress(TEXT[6_000:]))
    ),
    "gzip with a file name": text(
        coded("gzip", b"\x1f\x8b\x08\x08\0\0\0\0\0\x03name\0" + packed("gzip")[10:])
    ),
    "gzip padded with zeros": text(coded("gzip", packed("gzip") + b"\0" * 700)),
    "gzip, then garbage": text(coded("gzip", packed("gzip") + b"garbage")),
    "zstd of several frames": text(
        coded("zstd", zstd.compress(TEXT[:6_000]) + zstd.compress(TEXT[6_000:]))
    ),
    "zstd with a window of 8 MiB": text(coded("zstd", zstd_window(23))),
    "identity": text(coded("identity", TEXT)),
    "none named": text(coded("", TEXT)),
    "two codings": text(coded("br, gzip", gzip.compress(packed("br")))),
    "two headers": text(
        coded("deflate", gzip.compress(packed("deflate")), "Content-Encoding: gzip")
    ),
    "three codings": text(
        coded("zstd, br, gzip", gzip.compress(brotli.compress(packed("zstd"), quality=1)))
    ),
    "identity between": text(coded("gzip, identity", packed("gzip"))),
    "chunked": text(
        sends(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"".join(b"1\r\n%c\r\n" % byte for byte in packed("gzip")) + b"0\r\n\r\n",
        )
    ),
    "until close": text(
        sends(answer("200 OK", packed("br"), "Content-Encoding: br", length=False))
    ),
}

UNDECODED: dict[str, Case] = {
    **{name: case for coding in PACK for name, case in cut(coding)},
    "zstd with a window of 16 MiB": undecodable(coded("zstd", zstd_window(24)), "damaged"),
    "unknown": undecodable(coded("x-snappy", TEXT), "x-snappy"),
    "unknown and known": undecodable(coded("gzip, x-snappy", packed("gzip")), "x-snappy"),
    "a charset as coding": undecodable(coded("utf-8", TEXT), "utf-8"),
    "unprintable": undecodable(coded("\xe9\x01", TEXT), "Content-Encoding"),
    "gzip that is br": undecodable(coded("gzip", packed("br")), "damaged"),
    "br that is gzip": undecodable(coded("br", packed("gzip")), ""),
    "gzip named twice, done once": undecodable(coded("gzip, gzip", packed("gzip")), "damaged"),
    "gzip with a wrong checksum": undecodable(
        coded("gzip", packed("gzip")[:-8] + b"\0" * 8), "damaged"
    ),
    "200 codings": undecodable(coded(", ".join(["gzip"] * 200), b"x"), "200 times"),
    "a cut second member": undecodable(
        coded("gzip", gzip.compress(TEXT) + gzip.compress(TEXT)[:-4]), "cut short"
    ),
    "endless empty members": undecodable(coded("gzip", gzip.compress(b"") * 40_000), "damaged"),
    "endless empty frames": undecodable(coded("zstd", zstd.compress(b"") * 40_000), "damaged"),
}


def sized(count: int, coding: str = "") -> Script:
    body = b"x" * count
    return coded(coding, PACK[coding](body)) if coding else sends(answer("200 OK", body))


LIMITS: dict[str, Case] = {
    **{
        f"{coding or 'plain'}, {name}": case
        for coding in ("", *PACK)
        for name, case in (
            ("below the limit", up(sized(999, coding), size=999, max_body_bytes=1_000)),
            ("at the limit", up(sized(1_000, coding), size=1_000, max_body_bytes=1_000)),
            (
                "above the limit",
                down(sized(1_001, coding), Reason.TOO_LARGE, "1000 bytes", max_body_bytes=1_000),
            ),
            ("1 MiB", up(sized(MIB, coding), size=MIB)),
            ("above 1 MiB", down(sized(MIB + 1, coding), Reason.TOO_LARGE, "1 MiB")),
        )
    },
    "an inner coding larger than the limit": up(
        coded("gzip, identity, gzip", gzip.compress(gzip.compress(b"x" * 100, 0))),
        size=100,
        max_body_bytes=100,
    ),
    "one byte": up(sized(1), size=1, max_body_bytes=1),
    "two bytes for one": down(sized(2), Reason.TOO_LARGE, "1 byte", max_body_bytes=1),
}


def typed(kind: str, body: bytes) -> Script:
    return sends(answer("200 OK", body, f"Content-Type: {kind}"))


def worded(kind: str, body: bytes, word: str) -> Case:
    return up(typed(kind, body), size=len(body), keyword=[word])


CHARSETS: dict[str, Case] = {
    "utf-8": worded("text/html; charset=utf-8", "größe".encode(), "größe"),
    "in quotes": worded('text/html; charset="UTF-8"', "größe".encode(), "größe"),
    "none": worded("text/html", "größe".encode(), "größe"),
    "latin-1": worded("text/html; charset=ISO-8859-1", "größe".encode("latin-1"), "größe"),
    "utf-16": worded("text/html; charset=utf-16le", "größe".encode("utf-16le"), "größe"),
    "shift-jis": worded("text/html; charset=shift_jis", "大きさ".encode("shift_jis"), "大きさ"),
    "unknown": worded("text/html; charset=klingon", "größe".encode(), "größe"),
    "no charset of text": worded("text/html; charset=hex", "größe".encode(), "größe"),
    "empty": worded("text/html; charset=", "größe".encode(), "größe"),
    "unprintable": worded("text/html; charset=\x01\xe9", "größe".encode(), "größe"),
    "very long": worded(f"text/html; charset={'x' * 10_000}", "größe".encode(), "größe"),
    "that lacks the word": worded("text/html; charset=ascii", "größe".encode(), "größe"),
    "lying": down(
        typed("text/html; charset=utf-16", b"gr\xff\xd8"),
        Reason.KEYWORD,
        "“größe” is missing",
        keyword=["größe"],
    ),
    "bytes of no text": up(typed("text/html", bytes(range(256))), size=256),
}

CASES = {
    f"{group}: {name}": case
    for group, table in (
        ("decoded", DECODED),
        ("undecoded", UNDECODED),
        ("limit", LIMITS),
        ("charset", CHARSETS),
    )
    for name, case in table.items()
}


@pytest.fixture(scope="module")
def seen() -> dict[str, Seen]:
    return probe_all(CASES)


@pytest.mark.parametrize("name", CASES)
def test_encodings(name: str, seen: dict[str, Seen]) -> None:
    CASES[name].check(seen[name])

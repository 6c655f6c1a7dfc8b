"""Content codings: every one decoded, cut, damaged, stacked and as a bomb."""

from __future__ import annotations

import contextlib
import gzip
import time
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from fanout_lambdas.probe.decoding import ACCEPTED, BodyReader, TooLarge, Undecodable

MIB = 1024 * 1024
TEXT = b"".join(b"line %d of the text\n" % at for at in range(4_000))


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def checked(data: bytes) -> bytes:
    return zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1})


PACK: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "identity": ("", bytes),
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("X-GZIP", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "br": ("br", lambda data: brotli.compress(data, quality=4)),
    "zstd": ("zstd", checked),
}


def feed(reader: BodyReader, data: bytes, step: int = 65_536) -> None:
    for at in range(0, len(data), step):
        reader.feed(data[at : at + step])


def read(coding: str, data: bytes, limit: int = MIB, step: int = 65_536) -> bytes:
    reader = BodyReader(coding, limit)
    feed(reader, data, step)
    reader.finish()
    return bytes(reader.body)


def test_asked_for() -> None:
    assert ACCEPTED == "gzip, deflate, br, zstd"


@pytest.mark.parametrize("step", [1, 7, 65_536])
@pytest.mark.parametrize("name", PACK)
def test_decoded_in_any_pieces(name: str, step: int) -> None:
    coding, pack = PACK[name]
    assert read(coding, pack(TEXT), step=step) == TEXT
    assert read(coding, pack(b""), step=step) == b""
    assert read(coding, b"") == b""


@pytest.mark.parametrize("name", PACK)
def test_the_limit_is_on_decoded_bytes(name: str) -> None:
    coding, pack = PACK[name]
    assert read(coding, pack(TEXT), limit=len(TEXT)) == TEXT
    for step in (100, 65_536):
        reader = BodyReader(coding, len(TEXT) - 1)
        with pytest.raises(TooLarge):
            feed(reader, pack(TEXT), step)
        assert TEXT.startswith(reader.body)
        assert len(reader.body) <= len(TEXT) - 1


@pytest.mark.parametrize("name", [name for name in PACK if name != "identity"])
def test_cut_and_damaged(name: str) -> None:
    coding, pack = PACK[name]
    data = pack(TEXT)
    for at in (1, 5, len(data) // 2, len(data) - 1):
        with pytest.raises(Undecodable, match="cut short"):
            read(coding, data[:at])
    with pytest.raises(Undecodable, match="damaged"):
        read(coding, b"hello, this is plain text")
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 0xFF
    if name != "raw deflate":  # it has no checksum
        with pytest.raises(Undecodable):
            read(coding, bytes(damaged))


@pytest.mark.parametrize("step", [1, 65_536])
def test_several_members(step: int) -> None:
    halves = gzip.compress(TEXT[:9_000]) + gzip.compress(b"") + gzip.compress(TEXT[9_000:])
    assert read("gzip", halves, step=step) == TEXT
    assert read("gzip", halves + b"\0" * 300, step=step) == TEXT
    assert read("gzip", halves + b"junk" + halves, step=step) == TEXT
    frames = zstd.compress(TEXT[:9_000]) + zstd.compress(b"") + zstd.compress(TEXT[9_000:])
    assert read("zstd", frames, step=step) == TEXT
    skippable = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"skip"
    assert read("zstd", skippable + frames, step=step) == TEXT
    assert read("deflate", zlib.compress(TEXT) + b"junk", step=step) == TEXT


def test_stacked_codings() -> None:
    assert read("zstd, br , GZIP", gzip.compress(brotli.compress(checked(TEXT), quality=1))) == TEXT
    assert read("identity, gzip,", gzip.compress(TEXT)) == TEXT
    with pytest.raises(Undecodable, match="4 times over"):
        BodyReader("gzip, gzip, gzip, gzip", MIB)
    with pytest.raises(Undecodable, match="br twice over"):
        BodyReader("br, gzip, br", MIB)
    with pytest.raises(Undecodable, match="'x-snappy' is not supported"):
        BodyReader("gzip, x-snappy", MIB)


@pytest.mark.parametrize(
    "names",
    [["gzip"], ["raw deflate"], ["br"], ["zstd"], ["gzip"] * 3, ["zstd", "br"], ["br", "zstd"]],
    ids=", ".join,
)
def test_bombs(names: list[str]) -> None:
    data = b"\0" * (32 * MIB)
    for name in names:
        data = PACK[name][1](data)
    reader = BodyReader(", ".join(PACK[name][0] for name in names), MIB)
    tracemalloc.start()
    began = time.thread_time()
    try:
        with pytest.raises(TooLarge):
            feed(reader, data)
        assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    finally:
        tracemalloc.stop()
    assert time.thread_time() - began < 0.5
    assert len(reader.body) == MIB


@pytest.mark.parametrize(
    ("coding", "part"),
    [
        ("gzip", gzip.compress(b"", mtime=0)),
        ("zstd", zstd.compress(b"")),
        ("zstd", b"\x50\x2a\x4d\x18" + (0).to_bytes(4, "little")),
        (
            "gzip",
            gzip.compress(b"", mtime=0)[:3] + b"\x08" + gzip.compress(b"", mtime=0)[4:10] + b"n",
        ),
        ("deflate", b"\x78\x9c" + b"\x00\x00\x00\xff\xff"),
        ("br", b"\x0c"),
    ],
)
def test_what_yields_nothing_ends_too(coding: str, part: bytes) -> None:
    reader = BodyReader(coding, MIB)
    began = time.thread_time()
    with pytest.raises((Undecodable, TooLarge)):
        feed(reader, part * (5 * MIB // len(part)))
    assert time.thread_time() - began < 1


def test_a_large_window_is_refused() -> None:
    size: dict[int, int] = {zstd.CompressionParameter.window_log: 27}
    packer = zstd.ZstdCompressor(options=size)
    data = packer.compress(TEXT) + packer.flush()
    with pytest.raises(Undecodable):
        read("zstd", data)


@given(
    coding=st.lists(st.sampled_from(("gzip", "deflate", "br", "zstd")), max_size=3).map(",".join),
    data=st.binary(max_size=300)
    | st.builds(
        lambda pack, text, at, byte: pack(text)[:at] + byte + pack(text)[at + 1 :],
        st.sampled_from([pack for _, pack in PACK.values()]),
        st.binary(max_size=60),
        st.integers(0, 60),
        st.binary(max_size=1),
    ),
    step=st.integers(1, 50),
)
@settings(max_examples=400, deadline=None)
def test_no_other_exception(coding: str, data: bytes, step: int) -> None:
    with contextlib.suppress(Undecodable, TooLarge):
        assert len(read(coding, data, limit=50, step=step)) <= 50

"""What one hostile answer may cost: memory of a worker, and time of everybody else's probes."""

from __future__ import annotations

import asyncio
import gzip
import importlib
import json
import sys
import time
import zlib
from asyncio.subprocess import PIPE
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fanout_lambdas.shared.contracts import Result
from tests.hostile.lab import Script, lab
from tests.hostile.pki import Served, leaf, long_chain, roots, shows
from tests.hostile.scripts import floods, moves, sends
from tests.hostile.tickets import floods_with_tickets, ticket_server
from tests.targets import answer

brotli: Any = importlib.import_module("brotli")  # ships no types
zstd: Any = importlib.import_module("backports.zstd")

GROWTH_KIB = 32 * 1_024
BOMB = 200  # MiB
ZEROS = bytes(1_048_576)
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@cache
def gzip_bomb() -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(ZEROS) for _ in range(BOMB)) + packer.flush()


@cache
def brotli_bomb() -> bytes:
    packer = brotli.Compressor(quality=1)
    parts = [packer.process(ZEROS) for _ in range(BOMB)]
    return b"".join([*parts, packer.finish()])


@cache
def zstd_bomb() -> bytes:
    packer = zstd.ZstdCompressor()
    parts = [packer.compress(ZEROS) for _ in range(BOMB)]
    return b"".join([*parts, packer.flush()])


@cache
def zstd_with_huge_window() -> bytes:
    """A frame that asks its reader for a window of 128 MiB and more."""
    options = {zstd.CompressionParameter.window_log: 27}
    packer = zstd.ZstdCompressor(options=options)
    parts = [packer.compress(ZEROS) for _ in range(BOMB)]
    return b"".join([*parts, packer.flush()])


def coded(coding: str, body: Callable[[], bytes]) -> Callable[[], Script]:
    return lambda: sends(answer("200 OK", body(), f"Content-Encoding: {coding}"))


HUNGRY: dict[str, tuple[Callable[[], Script], Served | None]] = {
    "gzip bomb": (coded("gzip", gzip_bomb), None),
    "br bomb": (coded("br", brotli_bomb), None),
    "zstd bomb": (coded("zstd", zstd_bomb), None),
    "zstd with a huge window": (coded("zstd", zstd_with_huge_window), None),
    "bomb in a bomb": (coded("gzip, gzip", lambda: gzip.compress(gzip_bomb())), None),
    "200 codings": (coded(", ".join(["gzip"] * 200), gzip_bomb), None),
    "body without end": (lambda: floods(OK + b"\r\n", b"x" * 65_536), None),
    "header of 1 MiB": (lambda: sends(OK + b"A: " + b"x" * 1_048_576), None),
    "100,000 headers": (lambda: sends(OK + b"A: b\r\n" * 100_000 + b"\r\n"), None),
    "headers without end": (lambda: floods(OK, b"A: b\r\n" * 10_000), None),
    "status line without end": (lambda: floods(b"HTTP/1.1 200 ", b"x" * 65_536), None),
    "trailers without end": (lambda: floods(CHUNKED + b"0\r\n", b"A: b\r\n" * 10_000), None),
    "tiny chunks without end": (lambda: floods(CHUNKED, b"1\r\nx\r\n" * 10_000), None),
    "redirect with 10 MB": (lambda: moves("/", body=b"x" * 10_000_000, times=99), None),
    "5,000 cookies a hop": (
        lambda: moves("/", *[f"Set-Cookie:c{n}=" for n in range(5_000)], times=99),
        None,
    ),
    "chain of 90 kB": (lambda: sends(answer()), shows(lambda: long_chain(50))),
    "chain of 500 kB": (lambda: sends(answer()), shows(lambda: long_chain(300))),
    "session tickets": (lambda: floods_with_tickets, ticket_server),
    "large body over TLS": (lambda: floods(OK + b"\r\n", b"x" * 65_536), leaf()),
}


@pytest.fixture(scope="module")
def growth() -> dict[str, tuple[dict[str, Any], int]]:
    """Result, and what it added to the peak memory of a worker of its own, in KiB."""

    async def measure_all() -> dict[str, tuple[dict[str, Any], int]]:
        good = (await place.serve(sends(answer()), tls=leaf()())).url(host="localhost")
        urls = []
        for make, tls in HUNGRY.values():
            target = await place.serve(make(), tls=tls() if tls else None)
            urls.append(target.url(host="localhost"))
        # What any worker needs is loaded by a good answer over TLS.
        (_, usual), *found = await peaks([(good, good), *((good, url) for url in urls)])
        return dict(zip(HUNGRY, [(each, peak - usual) for each, peak in found], strict=True))

    with lab() as place:
        return place.run(measure_all())


async def peaks(workers: list[tuple[str, str]]) -> list[tuple[dict[str, Any], int]]:
    """Of each worker the last URL's result and its peak memory."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.hostile.peak", roots().ca_file, stdin=PIPE, stdout=PIPE
    )
    lines = "".join(f"{first} {last}\n" for first, last in workers)
    out, _ = await process.communicate(lines.encode())
    rows = [json.loads(line) for line in out.splitlines()]
    return list(zip(rows[1::3], rows[2::3], strict=True))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize("name", HUNGRY)
def test_no_answer_takes_more_than_32_mib(
    name: str, growth: dict[str, tuple[dict[str, Any], int]]
) -> None:
    document, kib = growth[name]
    assert document["outcome"] in ("up", "down")
    assert document["reason"] != "internal"
    assert kib <= GROWTH_KIB, f"{kib} KiB"


GREEDY: dict[str, tuple[Callable[[], Script], Served | None]] = {
    "tiny chunks": HUNGRY["tiny chunks without end"],
    "empty gzip members": (
        lambda: floods(OK + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b"") * 3_000),
        None,
    ),
    "empty zstd frames": (
        lambda: floods(OK + b"Content-Encoding: zstd\r\n\r\n", zstd.compress(b"") * 6_000),
        None,
    ),
    "hints": (lambda: floods(b"", b"HTTP/1.1 103 Hint\r\n\r\n" * 3_000), None),
    "headers": (lambda: sends(OK + b"A: b\r\n" * 4_900 + b"\r\n"), None),
    "trailers": (lambda: sends(CHUNKED + b"0\r\n" + b"A: b\r\n" * 16_000 + b"\r\n"), None),
    "folded header": (lambda: sends(OK + b"A: b" + b"\r\n b" * 25_000 + b"\r\n\r\n"), None),
    "cookies": HUNGRY["5,000 cookies a hop"],
    "session tickets": HUNGRY["session tickets"],
    "gzip bomb": HUNGRY["gzip bomb"],
    "br bomb": HUNGRY["br bomb"],
    "zstd bomb": HUNGRY["zstd bomb"],
}
# CPU time that one answer may use without letting others run, on a machine that is shared.
HELD_S = 0.15


@pytest.mark.parametrize("name", GREEDY)
def test_no_answer_holds_up_the_others(name: str) -> None:
    """The longest that the event loop computes without a turn for the other probes."""

    async def run() -> tuple[Result, float]:
        target = await place.serve(script, tls=tls() if tls else None)
        url = target.url(host="localhost")
        probe = asyncio.ensure_future(place.probe(url, timeout_ms=1_000))
        longest, since = 0.0, time.thread_time()
        while not probe.done():
            await asyncio.sleep(0)
            longest, since = max(longest, time.thread_time() - since), time.thread_time()
        return probe.result(), longest

    make, tls = GREEDY[name]
    script = make()  # before the clock runs
    with lab() as place:
        result, longest = place.run(run())
    assert result.total_us < 3_000_000
    assert longest < HELD_S, f"{longest * 1_000:.0f} ms"

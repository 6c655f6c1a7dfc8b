"""`python -m fanout_lambdas.probe [--allow CIDR]... [--ca FILE] [URL | -]`: probes one URL, or each
line of standard input as one probe of the Batch contract; prints one result per line."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from fanout_lambdas.config import user_agent
from fanout_lambdas.probe.run import DEFAULT_IN_FLIGHT, ProbeEngine, read_probe
from fanout_lambdas.shared.contracts import (
    ContractError,
    Outcome,
    Probe,
    Reason,
    Refusal,
    Result,
    decode,
    encode,
)
from fanout_lambdas.shared.netguard import AllowList, Guard

_MAX_LINE = 1024 * 1024
_BAR = 40


def main(argv: Sequence[str] | None = None) -> int:
    """0 when all were probed, 1 when a line was not a probe, 2 when the call itself was wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m fanout_lambdas.probe",
        description="Probe one URL, or (with -) each line of standard input as one JSON probe.",
    )
    parser.add_argument(
        "--allow",
        metavar="CIDR",
        action="append",
        default=[],
        help="open a network to the probe, like 127.0.0.1/32:8081; may be repeated",
    )
    parser.add_argument("--ca", metavar="FILE", help="trust these certificates too (PEM)")
    parser.add_argument("url", metavar="URL", nargs="?", default="-", help="default: -")
    options = parser.parse_args(argv)
    try:
        allow = AllowList.parse(",".join(options.allow))
    except ValueError as error:
        parser.error(f"--allow: {error}")
    try:
        return asyncio.run(_run(options.url, allow, options.ca))
    except OSError as error:  # an unreadable --ca file; a probe itself raises nothing
        parser.error(f"--ca: {error}")
    except KeyboardInterrupt:
        return 130


async def _run(url: str, allow: AllowList, ca_file: str | None) -> int:
    engine = ProbeEngine(guard=Guard(allow), user_agent=user_agent(), ca_file=ca_file)
    try:
        return await (_lines(engine) if url == "-" else _one(engine, url))
    finally:
        engine.close()


async def _one(engine: ProbeEngine, url: str) -> int:
    raw = {"check_id": 0, "slot": int(time.time()), "url": url}
    answer = await _answer(engine, raw)
    print(encode(answer.to_json()).decode("ascii"))
    if isinstance(answer, Refusal):
        return 1
    if sys.stderr.isatty():
        print(waterfall(answer), file=sys.stderr)
    return 0


async def _lines(engine: ProbeEngine) -> int:
    """Answers come in the order of the lines; a window of probes is in flight."""
    loop = asyncio.get_running_loop()
    window: deque[asyncio.Task[dict[str, Any]]] = deque()
    refused = False

    async def emit() -> None:
        nonlocal refused
        document = await window.popleft()
        refused = refused or "error" in document
        sys.stdout.write(encode(document).decode("ascii") + "\n")
        sys.stdout.flush()

    while line := await loop.run_in_executor(None, sys.stdin.buffer.readline, _MAX_LINE):
        if not line.strip():
            continue
        window.append(asyncio.create_task(_line(engine, line)))
        while window and (len(window) >= 2 * DEFAULT_IN_FLIGHT or window[0].done()):
            await emit()
    while window:
        await emit()
    return 1 if refused else 0


async def _line(engine: ProbeEngine, line: bytes) -> dict[str, Any]:
    try:
        raw = decode(line)
    except ContractError as error:
        return Refusal(check_id=None, error=error).to_json()
    # On the command line a probe needs neither number nor time, and a check may have a name.
    given = raw.get("check_id", 0) if isinstance(raw, dict) else None
    if isinstance(raw, dict):
        raw.setdefault("slot", int(time.time()))
        raw["check_id"] = 0 if isinstance(given, str) else given
    document = (await _answer(engine, raw)).to_json()
    if isinstance(given, str) and len(given) <= 64:
        document["check_id"] = given
    return document


async def _answer(engine: ProbeEngine, raw: Any) -> Result | Refusal:
    match read_probe(raw):
        case Probe() as probe:
            return await engine.probe(probe)
        case answer:
            return answer


def waterfall(result: Result) -> str:
    """The phases of one result as bars, for people."""
    rows = [
        (name.removesuffix("_us"), us)
        for name, us in result.phases.to_json().items()
        if us is not None
    ]
    verdict = result.outcome.value
    if result.reason is not Reason.NONE:
        verdict += f" ({result.reason.value})"
    status = f", status {result.http_status}" if result.http_status else ""
    lines = [f"{verdict}{status}, {result.total_us / 1_000:.1f} ms"]
    if result.outcome is not Outcome.UP:
        lines.append(result.message)
    scale = _BAR / max(1, sum(us for _, us in rows))
    start = 0.0
    for name, us in rows:
        width = us * scale
        bar = " " * round(start) + "█" * max(1, round(width))
        lines.append(f"  {name:8}{us / 1_000:9.1f} ms  {bar}")
        start += width
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

"""The probe on the command line: URLs, or each line of standard input as one probe."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import shutil
import socket
import ssl
import sys
import time
from collections.abc import Sequence
from typing import Any

from fanout_lambdas.config import user_agent
from fanout_lambdas.probe.line_input import LineTooLong, read_lines
from fanout_lambdas.probe.name_servers import NameServer, split_port
from fanout_lambdas.probe.reading import read_probe
from fanout_lambdas.probe.run import ProbeEngine
from fanout_lambdas.probe.waterfall import waterfall
from fanout_lambdas.shared.contracts import (
    ContractError,
    Probe,
    Refusal,
    Result,
    decode,
    encode,
)
from fanout_lambdas.shared.netguard import AllowList, Guard

MAX_LINE = 1024 * 1024
INTERRUPTED = 130

_KIND_OF = {"http": "http", "https": "http", "tcp": "tcp", "tls": "tls", "dns": "dns"}

Window = asyncio.Queue[asyncio.Task[dict[str, Any]] | None]

_USAGE = "python -m fanout_lambdas.probe [OPTION]... [URL... | -]"
_DESCRIPTION = """\
Probe each URL and print its result, a line of JSON, on standard output, in the order of the URLs.
At a terminal the phases, assertions and the certificate follow on standard error.

  https://example.com/   HTTP         tls://example.com:443   TLS certificate
  tcp://example.com:22   TCP          dns://example.com       DNS record

With - instead of a URL each line of standard input is one probe in JSON, as workers get it in a
batch, with all its assertions. One result a line comes out, in the same order; in the place of a
line that is no probe comes {"check_id", "error": {"field", "rule", "message"}}."""
_EPILOG = """\
examples:
  python -m fanout_lambdas.probe https://example.com/
  python -m fanout_lambdas.probe --allow 127.0.0.1:8000 http://127.0.0.1:8000/health
  echo '{"url": "https://example.com/", "keyword": ["Example"]}' | python -m fanout_lambdas.probe -
  echo '{"kind": "dns", "url": "dns://example.com", "record_type": "MX"}' | python -m fanout_lambdas.probe -

exit codes:
  0    everything was probed, whatever came of it: the outcome is in the result
  1    a line or URL was not a probe, or the output was closed
  2    the command itself was wrong
  130  interrupted"""


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = _parser()
    options = parser.parse_args(argv)
    if not options.urls:
        if sys.stdin is not None and sys.stdin.isatty():
            parser.error("name a URL, or - to read probes from standard input")
        options.urls = ["-"]
    if "-" in options.urls and len(options.urls) > 1:
        parser.error("- stands alone, without URLs beside it")
    logging.basicConfig(level=logging.ERROR)
    try:
        return asyncio.run(_run(options))
    except BrokenPipeError:
        # Nobody reads on; the interpreter's own flush at the end would complain once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        parser.error(f"standard input cannot be read: {error.strerror or error}")
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fanout_lambdas.probe",
        usage=_USAGE,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--allow",
        metavar="CIDR",
        action="append",
        default=[],
        type=_allow,
        help="let probes reach a network that is not public, like 10.0.0.0/8 or, for one port, "
        "127.0.0.1/32:8081; may be repeated",
    )
    parser.add_argument(
        "--ca", metavar="FILE", type=_ca_file, help="trust these certificates too (PEM)"
    )
    parser.add_argument(
        "--resolver",
        metavar="HOST:PORT",
        type=_name_servers,
        default=(),
        help="ask this name server instead of the machine's own; port 53 where none is given",
    )
    parser.add_argument(
        "urls",
        metavar="URL",
        nargs="*",
        type=_url,
        help="what to probe; without a scheme https:// is taken",
    )
    return parser


def _url(text: str) -> str:
    if text == "-":
        return text
    url = text if "://" in text else f"https://{text}"
    if url.partition("://")[0].lower() not in _KIND_OF:
        *most, last = (f"{scheme}://" for scheme in _KIND_OF)
        raise argparse.ArgumentTypeError(f"{text!r} must begin with {', '.join(most)} or {last}")
    return url


def _allow(text: str) -> AllowList:
    try:
        return AllowList.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _ca_file(path: str) -> str:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError as error:  # ssl.SSLError is one
        reason = "no certificates in it" if isinstance(error, ssl.SSLError) else error.strerror
        raise argparse.ArgumentTypeError(f"{path}: {reason}") from None
    return path


def _name_servers(text: str) -> tuple[NameServer, ...]:
    try:
        host, port = split_port(text)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except OSError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither an address like 10.0.0.2 or [::1]:53 nor a name that can be resolved"
        ) from None
    except ValueError as error:  # UnicodeError, of a name that is too long, is one
        raise argparse.ArgumentTypeError(str(error)) from None
    return tuple(NameServer(str(place[0]), int(place[1])) for *_, place in found)


async def _run(options: argparse.Namespace) -> int:
    opened = tuple(entry for allowed in options.allow for entry in allowed.entries)
    engine = ProbeEngine(
        guard=Guard(AllowList(opened)),
        user_agent=user_agent(),
        ca_file=options.ca,
        name_servers=options.resolver,
    )
    try:
        return await (_lines(engine) if options.urls == ["-"] else _urls(engine, options.urls))
    finally:
        engine.close()


async def _urls(engine: ProbeEngine, urls: Sequence[str]) -> int:
    """All at once; each result as soon as those before it are there."""
    tasks = [asyncio.create_task(_answer(engine, _probe_of(url))) for url in urls]
    refused = False
    try:
        for url, task in zip(urls, tasks, strict=True):
            answer = await task
            refused = refused or isinstance(answer, Refusal)
            _print(answer.to_json())
            sys.stdout.flush()
            if isinstance(answer, Result) and sys.stderr.isatty():
                _draw(answer, heading=url if len(urls) > 1 else "")
    finally:
        for task in tasks:
            task.cancel()
    return 1 if refused else 0


def _probe_of(url: str) -> dict[str, Any]:
    kind = _KIND_OF[url.partition("://")[0].lower()]
    return {"check_id": 0, "slot": int(time.time()), "kind": kind, "url": url}


def _draw(result: Result, *, heading: str) -> None:
    if heading:
        print(f"\n{heading}", file=sys.stderr)
    width = shutil.get_terminal_size().columns
    print(waterfall(result, width=width, colour="NO_COLOR" not in os.environ), file=sys.stderr)


async def _lines(engine: ProbeEngine) -> int:
    """Results come in the order of the lines, each as soon as those before it are there."""
    window: Window = asyncio.Queue(2 * engine.in_flight)
    try:
        async with asyncio.TaskGroup() as group:
            printing = group.create_task(_print_in_order(window))
            async for line in read_lines(0, MAX_LINE):
                if isinstance(line, LineTooLong) or line.strip():
                    await window.put(group.create_task(_line(engine, line)))
            await window.put(None)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return printing.result()


async def _print_in_order(window: Window) -> int:
    refused = False
    while (task := await window.get()) is not None:
        document = await task
        refused = refused or "error" in document
        _print(document)
        sys.stdout.flush()
    return 1 if refused else 0


async def _line(engine: ProbeEngine, line: bytes | LineTooLong) -> dict[str, Any]:
    try:
        if isinstance(line, LineTooLong):
            raise ContractError("", "length", f"The line is longer than {MAX_LINE:,} bytes.")
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


def _print(document: dict[str, Any]) -> None:
    sys.stdout.write(encode(document).decode("ascii") + "\n")


if __name__ == "__main__":
    sys.exit(main())

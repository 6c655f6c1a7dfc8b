"""One result for people at a terminal: the verdict, its phases as bars, its assertions."""

from __future__ import annotations

from datetime import UTC, datetime
from textwrap import wrap

from fanout_lambdas.shared.contracts import Outcome, Reason, Result

_NARROWEST, _WIDEST = 40, 100
_COLOURS = {
    Outcome.UP: "\x1b[32m",
    Outcome.DEGRADED: "\x1b[33m",
    Outcome.DOWN: "\x1b[31m",
    Outcome.VOID: "\x1b[35m",
}
_BOLD, _END = "\x1b[1m", "\x1b[0m"


def waterfall(result: Result, *, width: int = 80, colour: bool = False) -> str:
    """Lines of at most `width` characters (not fewer than 40), without a last line end."""
    width = max(_NARROWEST, min(width, _WIDEST))
    parts = [
        _verdict(result, width, colour),
        _phases(result, width),
        _assertions(result, width, colour),
        _facts(result, width),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _verdict(result: Result, width: int, colour: bool) -> list[str]:
    words = result.outcome.value
    if result.reason is not Reason.NONE:
        words += f" ({result.reason.value})"
    if colour:
        words = f"{_BOLD}{_COLOURS.get(result.outcome, '')}{words}{_END}"
    status = f", status {result.http_status}" if result.http_status else ""
    lines = [f"{words}{status}, {_ms(result.total_us)}"]
    if result.message:
        lines += wrap(_cut(result.message, 1_000), width)
    if result.reason is Reason.BLOCKED:
        lines.append("Open an address of your own with --allow ADDRESS or --allow ADDRESS:PORT.")
    return lines


def _phases(result: Result, width: int) -> list[str]:
    rows = [
        (name.removesuffix("_us"), us)
        for name, us in result.phases.to_json().items()
        if us is not None
    ]
    room = width - 22
    scale = room / max(1, sum(us for _, us in rows))
    lines, spent = [], 0
    for name, us in rows:
        start = min(round(spent * scale), room - 1)
        spent += us
        bar = "█" * max(1, round(spent * scale) - start)
        lines.append(f"  {name:8}{_ms(us):>11} {' ' * start}{bar}")
    return lines


def _assertions(result: Result, width: int, colour: bool) -> list[str]:
    lines = []
    for each in result.assertions:
        mark = "✓" if each.ok else "✗"
        if colour:
            mark = f"{_COLOURS[Outcome.UP if each.ok else Outcome.DOWN]}{mark}{_END}"
        text = f"{each.kind}: expected {each.expected}, got {each.got}"
        lines.append(f"  {mark} {_cut(text, width - 4)}")
    return lines


def _facts(result: Result, width: int) -> list[str]:
    facts = [
        *((f"{hop.http_status} redirect", hop.url) for hop in result.hops),
        ("address", result.remote_address),
        ("version", result.http_version and f"HTTP/{result.http_version}"),
        ("bytes", f"{result.bytes:,}" if result.bytes else None),
    ]
    if certificate := result.certificate:
        end = datetime.fromtimestamp(certificate.not_after, UTC)
        facts.append(("certificate", f"{certificate.subject}, valid until {end:%Y-%m-%d}"))
        facts.append(("issuer", certificate.issuer))
    return [f"  {name:13}{_cut(value, width - 15)}" for name, value in facts if value]


def _ms(us: int) -> str:
    return f"{us / 1_000:,.1f} ms"


def _cut(text: str, most: int) -> str:
    """Also without what a terminal would take for a command."""
    text = "".join(char if char.isprintable() else "?" for char in text)
    return text if len(text) <= most else text[: most - 1] + "…"

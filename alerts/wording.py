"""PURE: the words of alerts - moments with their zone named, durations, reasons, lines safe for mail subjects."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fanout_lambdas.shared.contracts import Reason

REASONS: Final = {
    Reason.STATUS: "unexpected status",
    Reason.KEYWORD: "text not as expected",
    Reason.REGEX: "text not as expected",
    Reason.JSON: "JSON not as expected",
    Reason.HEADER: "header not as expected",
    Reason.LATENCY: "slower than allowed",
    Reason.CERT_EXPIRY: "certificate near its end",
    Reason.TIMEOUT: "no answer in time",
    Reason.CONNECTION: "connection failed",
    Reason.DNS: "name not resolved",
    Reason.TLS: "TLS failed",
    Reason.PROTOCOL: "answer is not HTTP",
    Reason.REDIRECT: "redirect failed",
    Reason.DECODE: "answer not readable",
    Reason.TOO_LARGE: "answer too large",
    Reason.BLOCKED: "address not allowed",
    Reason.INTERNAL: "fault of the prober",
}
SILENCE: Final = {
    Reason.TIMEOUT.value: "its job did not call",
    Reason.STATUS.value: "its job reported a failure",
}
"""The reasons of heartbeats."""

DIRECTION: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that would turn the rest of a line around."""


def zone_of(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def moment(at: datetime, zone: ZoneInfo) -> str:
    """ "23 Nov 2026, 05:31:06 CET (04:31:06 UTC)": absolute, in the client's zone and in UTC."""
    local, utc = at.astimezone(zone), at.astimezone(UTC)
    name = local.tzname() or ""
    if local.utcoffset() == utc.utcoffset() and name in {"", "UTC"}:
        return f"{_day(utc)}, {utc:%H:%M:%S} UTC"
    if not name.isalpha():  # zones without letters of their own are called "-03"
        name = zone.key
    there = f"{utc:%H:%M:%S}" if local.date() == utc.date() else f"{_day(utc)}, {utc:%H:%M:%S}"
    return f"{_day(local)}, {local:%H:%M:%S} {name} ({there} UTC)"


def duration(seconds: float) -> str:
    """The two largest units: "4 min 10 s", "2 h 5 min", "3 d 4 h"."""
    left = max(0, int(seconds))
    parts: list[str] = []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break
        if len(parts) == 2:
            break
    return " ".join(parts) or "0 s"


def because(reason: str, http_status: int | None, *, outage: bool) -> str:
    """A reason of the contract in a few words: "HTTP 500", "no answer in time"."""
    if reason == Reason.STATUS and http_status:
        return f"HTTP {http_status}"
    if reason == Reason.CERT_EXPIRY and outage:
        return "certificate expired"
    return REASONS.get(Reason(reason), "") if reason in set(Reason) else ""


def one_line(text: str, longest: int) -> str:
    """Safe for a mail header and for a list: no line break, control or direction character, bounded."""
    clean = "".join(
        " " if unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} else char
        for char in text
        if char not in DIRECTION
    )
    clean = " ".join(clean.split())
    return clean if len(clean) <= longest else clean[: longest - 1].rstrip() + "…"


def paragraph(text: str, longest: int) -> str:
    """Text of other people's servers: printable, bounded, line breaks kept."""
    clean = "".join(char if char.isprintable() or char == "\n" else " " for char in text)
    return clean if len(clean) <= longest else clean[: longest - 1].rstrip() + "…"


def _day(at: datetime) -> str:
    return f"{at.day} {at:%b %Y}"

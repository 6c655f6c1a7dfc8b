"""The target of a check: as people type it, as the contract writes it, and as pages show it. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from checks.heartbeats import schedule
from checks.models.check import Check, Kind
from fanout_lambdas.shared.netguard import ALL_SCHEMES, Blocked, parse_url

_USUAL_SCHEME: Final[Mapping[Kind, str]] = {
    Kind.HTTP: "https",
    Kind.TCP: "tcp",
    Kind.TLS: "tls",
    Kind.DNS: "dns",
}
FORM_OF_TARGET: Final[Mapping[Kind, str]] = {
    Kind.TCP: "Write the host and the port alone, such as db.example.com:5432.",
    Kind.TLS: "Write the host alone, or host and port, such as example.com or mail.example.com:993.",
    Kind.DNS: "Write the name alone, such as example.com.",
}
# With slashes any scheme; without them one of those that are mistyped like that, for the guard to refuse.
_SCHEME = re.compile(
    r"[a-z][a-z0-9+.-]*://|https?:|(?:javascript|data|mailto|file):", re.IGNORECASE
)


def target_url(kind: Kind, typed: str) -> str:
    """The address as it is meant: example.com stands for https://example.com, or dns://example.com.

    What cannot be parsed stays as it is, for the guard to refuse.
    """
    text = typed.strip()
    if not text or kind is Kind.HEARTBEAT:
        return text
    if not _SCHEME.match(text):
        text = f"{_USUAL_SCHEME[kind]}://{text.removeprefix('//')}"
    if kind is Kind.HTTP:
        return text
    try:
        return parse_url(text, (_USUAL_SCHEME[kind],)).url
    except Blocked:
        return text


def name_of(kind: Kind, url: str, record_type: str) -> str:
    """How a check is called when nobody says."""
    target = parse_url(url, ALL_SCHEMES)
    if kind is Kind.DNS:
        return f"{record_type} {target.host}"[:100]
    return (target.host if kind is Kind.HTTP else target.authority)[:100]


def target_words(check: Check) -> str:
    """What people recognise a check by: example.com/path, db.example.com:5432, MX example.com, Every hour."""
    if check.kind == Kind.HEARTBEAT:
        said = schedule.words(check.interval_s, check.cron, check.timezone)
        return said[:1].upper() + said[1:]
    rest = check.url.split("://", 1)[-1].rstrip("/")
    return f"{check.record_type} {rest}" if check.kind == Kind.DNS else rest

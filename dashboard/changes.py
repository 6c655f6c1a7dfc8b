"""PURE: the change of a setting in words: which setting, what it was and what it became (hop 10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from clients.audit import HIDDEN
from dashboard.figures import (
    format_bytes,
    format_count,
    format_duration,
    format_interval,
    format_ms,
)
from fanout_lambdas.shared.contracts import HeaderRule, JsonRule
from fanout_lambdas.shared.contracts.reading import Fields

FIELD_WORDS: Final = {
    "name": "name",
    "url": "address",
    "method": "method",
    "headers": "headers",
    "body": "body",
    "timeout_ms": "timeout",
    "follow_redirects": "redirects",
    "max_redirects": "redirect limit",
    "verify_tls": "TLS verification",
    "family": "IP version",
    "expected_status": "expected status",
    "keyword": "text present",
    "keyword_absent": "text absent",
    "max_latency_ms": "slow limit",
    "cert_min_days": "certificate days",
    "auth": "credentials",
    "max_body_bytes": "size limit",
    "min_body_bytes": "least size",
    "expected_url": "final address",
    "regex": "patterns that match",
    "regex_absent": "patterns that do not match",
    "json": "JSON rules",
    "header": "header rules",
    "max_latency_outcome": "meaning of slow",
    "send": "text to send",
    "expect": "expected text",
    "record_type": "record",
    "record_values": "expected records",
    "grace_s": "grace",
    "cron": "cron expression",
    "timezone": "time zone",
    "interval_s": "interval",
    "regions": "regions",
    "down_after": "failures before down",
    "up_after": "good answers before up",
    "quorum": "quorum",
    "rotate": "rotation",
}
_NOTHING: Final = "none"
_LONGEST: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One setting that was changed; without values when they are secret."""

    word: str
    old: str = ""
    new: str = ""


def field_word(name: str) -> str:
    return FIELD_WORDS.get(name, name.replace("_", " "))


def changes_in(detail: Any, *, regions: Mapping[int, str]) -> list[Change]:
    """What an audit line says of settings, as `clients.audit.changes` wrote it."""
    changed = detail.get("changes") if isinstance(detail, dict) else None
    if not isinstance(changed, dict):
        return []
    return [_change(name, pair, regions) for name, pair in sorted(changed.items())]


def _change(name: str, pair: Any, regions: Mapping[int, str]) -> Change:
    word = field_word(name)
    word = word[:1].upper() + word[1:]
    if not isinstance(pair, list) or len(pair) != 2 or HIDDEN in pair:
        return Change(word=word)
    old, new = (_value_words(name, value, regions) for value in pair)
    return Change(word=word, old=old, new=new)


def _value_words(name: str, value: Any, regions: Mapping[int, str]) -> str:
    if value is None or value in ("", []):
        return _NOTHING
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int | float):
        return _number_words(name, value)
    if name == "regions" and isinstance(value, Sequence):
        return ", ".join(regions.get(number, str(number)) for number in value)
    listed = value if isinstance(value, list) else [value]
    text = ", ".join(rule_words(one) if isinstance(one, dict) else str(one) for one in listed)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def rule_words(rule: Mapping[str, Any]) -> str:
    """A rule over JSON or headers as it is typed."""
    kind = JsonRule if "path" in rule else HeaderRule
    return str(kind.read(Fields(dict(rule))))


def _number_words(name: str, value: float) -> str:
    if name.endswith("_ms"):
        return format_ms(value)
    if name == "interval_s":
        return format_interval(int(value))
    if name.endswith("_s"):
        return format_duration(value)
    if name.endswith("_bytes"):
        return format_bytes(int(value))
    if name == "cert_min_days":
        return format_count(int(value), "day")
    return f"{value:,}"

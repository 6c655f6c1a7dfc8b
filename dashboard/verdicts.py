"""PURE: assertions in words that people read: what was looked at, what was expected, what was there (hop 10)."""

from __future__ import annotations

from typing import Final

from dashboard.figures import format_bytes, format_ms

_WORDS: Final = {
    "expected_status": "Status code",
    "expected_url": "Final address",
    "keyword": "Text that must be there",
    "keyword_absent": "Text that must not be there",
    "regex": "Pattern that must match",
    "regex_absent": "Pattern that must not match",
    "json": "JSON rule",
    "header": "Header rule",
    "min_body_bytes": "Size of the answer",
    "max_latency_ms": "Response time",
    "cert_min_days": "Certificate",
    "certificate": "Certificate",
    "expect": "What the server says",
    "record_values": "DNS record",
}
_AT_MOST, _AT_LEAST = "at most", "at least"
_UNITS: Final = {
    "max_latency_ms": (_AT_MOST, format_ms),
    "min_body_bytes": (_AT_LEAST, format_bytes),
}
_NOTHING: Final = "nothing"


def assertion_word(kind: str) -> str:
    """What was looked at; `kind` is the assertion's in the result contract."""
    return _WORDS.get(kind, kind.replace("_", " ").capitalize())


def expected_words(kind: str, expected: str) -> str:
    """ "at most 800 ms"; texts and rules as they were written."""
    if kind in _UNITS and expected.isdecimal():
        bound, written = _UNITS[kind]
        return f"{bound} {written(int(expected))}"
    return expected


def got_words(kind: str, got: str) -> str:
    if kind in _UNITS and got.isdecimal():
        return _UNITS[kind][1](int(got))
    return got or _NOTHING

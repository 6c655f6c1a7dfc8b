"""What a check asks and what it expects, in words for its page; secrets are named, never shown (hop 10)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from checks.masking import auth_of, headers_of
from checks.models import Check, Family, Kind
from checks.validation import DEFAULTS
from dashboard.changes import rule_words
from dashboard.figures import format_bytes, format_count, format_ms

_SIGN_IN = {"basic": "user name and password", "bearer": "bearer token"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line; values that were typed are `code`."""

    word: str
    values: tuple[str, ...]
    code: bool = False


def facts_of(check: Check, regions: Mapping[int, str]) -> list[Fact]:
    """What differs from the usual, and what everybody wants to know. A heartbeat's schedule stands elsewhere."""
    return [
        Fact(word=word, values=tuple(values), code=code)
        for part in (_OF_KIND[Kind(check.kind)](check), _common(check, regions))
        for word, values, code in part
        if values
    ]


_Lines = Iterator[tuple[str, Sequence[str], bool]]


def _web(check: Check) -> _Lines:
    auth = auth_of(check)
    if check.method != DEFAULTS["method"]:
        yield "Method", [check.method], False
    if auth:
        yield "Sign-in", [_SIGN_IN[auth["type"]]], False
    yield "Headers sent", list(headers_of(check)), True
    if check.body:
        yield "Body", ["sent, not shown"], False
    yield "Status code", [", ".join(check.expected_status) or "200-299"], False
    yield "Text that must be there", check.keyword, True
    yield "Text that must not be there", check.keyword_absent, True
    yield "JSON", [rule_words(rule) for rule in check.json], True
    yield "Header", [rule_words(rule) for rule in check.header], True
    yield "Patterns that must match", check.regex, True
    yield "Patterns that must not match", check.regex_absent, True
    if check.expected_url:
        yield "Final address", [check.expected_url], True
    if check.min_body_bytes:
        yield "Size", [f"at least {format_bytes(check.min_body_bytes)}"], False
    followed = f"followed, {check.max_redirects} at most"
    yield "Redirects", [followed if check.follow_redirects else "not followed"], False
    yield from _certificate(check)


def _tcp(check: Check) -> _Lines:
    if check.send:
        yield "Sends", ["a text, not shown"], False
    if check.expect:
        yield "Expects", [check.expect], True


def _certificate(check: Check) -> _Lines:
    if check.kind == Kind.HTTP and not check.url.lower().startswith("https:"):
        return
    said = [] if check.verify_tls else ["not verified"]
    if check.cert_min_days is not None:
        said.append(f"slow below {format_count(check.cert_min_days, 'day')}")
    yield "Certificate", [", ".join(said)] if said else [], False


def _dns(check: Check) -> _Lines:
    yield "Record", [check.record_type], False
    yield "Expected values", check.record_values or ["any"], bool(check.record_values)
    yield "Name server", [check.name_server or "the region's own resolver"], bool(check.name_server)


def _common(check: Check, regions: Mapping[int, str]) -> _Lines:
    if check.kind == Kind.HEARTBEAT:
        return
    if check.max_latency_ms:
        word = "Down above" if check.max_latency_outcome == "down" else "Slow above"
        yield word, [format_ms(check.max_latency_ms)], False
    if check.family != Family.ANY:
        yield "IP version", [Family(check.family).label], False
    yield "Timeout", [format_ms(check.timeout_ms)], False
    yield "Down after", [f"{format_count(check.down_after, 'failure')} in a row"], False
    yield "Up after", [f"{format_count(check.up_after, 'good answer')} in a row"], False
    names = (regions.get(number, str(number)) for number in check.regions)
    yield "Regions", [", ".join(names)], False


def _nothing(check: Check) -> _Lines:
    yield from ()


_OF_KIND = {
    Kind.HTTP: _web,
    Kind.TCP: _tcp,
    Kind.TLS: _certificate,
    Kind.DNS: _dns,
    Kind.HEARTBEAT: _nothing,
}

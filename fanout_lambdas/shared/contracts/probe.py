"""One probe as a worker receives it: kind, target, request, limits and assertions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from fanout_lambdas.shared.contracts.expectations import (
    DEFAULT_STATUS,
    HeaderRule,
    JsonRule,
    read_header_rules,
    read_json_rules,
    read_statuses,
)
from fanout_lambdas.shared.contracts.reading import Fields, compact
from fanout_lambdas.shared.contracts.request import (
    FAMILIES,
    METHODS,
    RECORD_TYPES,
    Auth,
    read_auth,
    read_body,
    read_headers,
    read_send,
)
from fanout_lambdas.shared.contracts.words import (
    MAX_BODY_BYTES,
    MAX_ID,
    MAX_REDIRECTS,
    MAX_TERM,
    MAX_TERMS,
    MAX_TIMEOUT_MS,
    MAX_URL,
    MIN_TIMEOUT_MS,
    ContractError,
    Kind,
    Outcome,
)

DEFAULT_TIMEOUT_MS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One planned probe; `Probe.from_json` also validates what a client typed into a form.

    `url` names the target of each kind: http(s)://..., tcp://host:port, tls://host[:port],
    dns://name. Fields beyond those of `FIELDS_OF[kind]` keep their defaults.
    """

    check_id: int
    slot: int
    url: str
    kind: Kind = Kind.HTTP
    timeout_ms: int = DEFAULT_TIMEOUT_MS
    family: str = "any"
    max_latency_ms: int | None = None
    max_latency_outcome: Outcome = Outcome.DEGRADED
    # http
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: str = field(default="", repr=False)
    auth: Auth | None = None
    follow_redirects: bool = True
    max_redirects: int = MAX_REDIRECTS
    max_body_bytes: int = MAX_BODY_BYTES
    min_body_bytes: int | None = None
    expected_status: tuple[str, ...] = DEFAULT_STATUS
    expected_url: str | None = None
    keyword: tuple[str, ...] = ()
    keyword_absent: tuple[str, ...] = ()
    regex: tuple[str, ...] = ()
    regex_absent: tuple[str, ...] = ()
    json: tuple[JsonRule, ...] = ()
    header: tuple[HeaderRule, ...] = ()
    # http and tls
    verify_tls: bool = True
    cert_min_days: int | None = None
    # tcp
    send: str = field(default="", repr=False)
    expect: str = ""
    # dns
    record_type: str = "A"
    record_values: tuple[str, ...] = ()
    name_server: str | None = None

    @classmethod
    def from_json(cls, raw: Any) -> Probe:
        """Read what is there, keep the defaults of what is not; ContractError names the field."""
        source = Fields(raw)
        source.only(_READERS)
        kind = source.choice("kind", Kind, Kind.HTTP)
        allowed = FIELDS_OF[kind]
        values: dict[str, Any] = {}
        for name in raw:
            value = _READERS[name](source)
            if name in allowed:
                values[name] = value
            elif value != _DEFAULTS[name]:
                message = f"{name} is not a field of a {kind} probe."
                raise ContractError(source.name(name), "kind", message)
        for name in _REQUIRED:
            if name not in values:
                raise ContractError(source.name(name), "required", f"{name} is missing.")
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        pairs: dict[str, Any] = {name: getattr(self, name) for name in _READERS}
        if self.auth is not None:
            pairs["auth"] = self.auth.to_json()
        pairs["headers"] = dict(self.headers)
        pairs["json"] = tuple(rule.to_json() for rule in self.json)
        pairs["header"] = tuple(rule.to_json() for rule in self.header)
        return compact(pairs, _DEFAULTS)


Reader = Callable[[Fields], Any]


def _terms(key: str) -> Reader:
    return lambda source: source.texts(key, most=MAX_TERMS, longest=MAX_TERM, default=())


def _whole(key: str, least: int, most: int, default: int | None) -> Reader:
    return lambda source: source.whole(key, least, most, default)


def _optional_text(key: str, longest: int) -> Reader:
    return lambda source: source.text(key, longest, None, empty=False)


_LATE = (Outcome.DEGRADED, Outcome.DOWN)

_COMMON: dict[str, Reader] = {
    "check_id": lambda source: source.whole("check_id", 0, MAX_ID),
    "slot": lambda source: source.time("slot"),
    "kind": lambda source: source.choice("kind", Kind, Kind.HTTP),
    "url": lambda source: source.text("url", MAX_URL, empty=False),
    "timeout_ms": _whole("timeout_ms", MIN_TIMEOUT_MS, MAX_TIMEOUT_MS, DEFAULT_TIMEOUT_MS),
    "family": lambda source: source.one_of("family", FAMILIES, "any"),
    "max_latency_ms": _whole("max_latency_ms", 1, MAX_TIMEOUT_MS, None),
    "max_latency_outcome": lambda source: Outcome(
        source.one_of("max_latency_outcome", _LATE, Outcome.DEGRADED)
    ),
}
_TLS: dict[str, Reader] = {
    "verify_tls": lambda source: source.flag("verify_tls", True),
    "cert_min_days": _whole("cert_min_days", 1, 1_000, None),
}
_HTTP: dict[str, Reader] = {
    "method": lambda source: source.one_of("method", METHODS, "GET"),
    "headers": read_headers,
    "body": read_body,
    "auth": read_auth,
    "follow_redirects": lambda source: source.flag("follow_redirects", True),
    "max_redirects": _whole("max_redirects", 0, MAX_REDIRECTS, MAX_REDIRECTS),
    "max_body_bytes": _whole("max_body_bytes", 1, MAX_BODY_BYTES, MAX_BODY_BYTES),
    "min_body_bytes": _whole("min_body_bytes", 1, MAX_BODY_BYTES, None),
    "expected_status": read_statuses,
    "expected_url": _optional_text("expected_url", MAX_URL),
    "keyword": _terms("keyword"),
    "keyword_absent": _terms("keyword_absent"),
    "regex": _terms("regex"),
    "regex_absent": _terms("regex_absent"),
    "json": read_json_rules,
    "header": read_header_rules,
}
_TCP: dict[str, Reader] = {
    "send": read_send,
    "expect": lambda source: source.text("expect", MAX_TERM, ""),
}
_DNS: dict[str, Reader] = {
    "record_type": lambda source: source.one_of("record_type", RECORD_TYPES, "A"),
    "record_values": _terms("record_values"),
    "name_server": _optional_text("name_server", 300),
}

_READERS: dict[str, Reader] = _COMMON | _HTTP | _TLS | _TCP | _DNS
_REQUIRED = ("check_id", "slot", "url")
_DEFAULTS: dict[str, Any] = {
    each.name: each.default for each in fields(Probe) if each.default is not MISSING
} | {"headers": {}}

FIELDS_OF: dict[Kind, frozenset[str]] = {
    Kind.HTTP: frozenset(_COMMON | _HTTP | _TLS),
    Kind.TCP: frozenset(_COMMON | _TCP),
    Kind.TLS: frozenset(_COMMON | _TLS),
    Kind.DNS: frozenset(_COMMON | _DNS),
}
"""The fields that mean something to each kind of probe."""

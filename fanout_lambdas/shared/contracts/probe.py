"""One probe as a worker receives it: the request, its limits and its assertions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from fanout_lambdas.shared.contracts.reading import Fields, compact, require
from fanout_lambdas.shared.contracts.words import (
    MAX_BODY_BYTES,
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    MAX_ID,
    MAX_REDIRECTS,
    MAX_REQUEST_BODY_BYTES,
    MAX_TERM,
    MAX_TERMS,
    MAX_TIMEOUT_MS,
    MAX_URL,
    MIN_TIMEOUT_MS,
    ContractError,
)

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
FAMILIES = ("any", "4", "6")
KINDS = ("http",)
DEFAULT_TIMEOUT_MS = 10_000
DEFAULT_STATUS = ("200-299",)

# Part of the contract, not yet understood by the engine: refused aloud instead of ignored.
UNSUPPORTED = ("regex", "regex_absent", "json", "header")
# The engine frames the message itself; a second opinion in the request would be smuggling.
FRAMING_HEADERS = frozenset(
    ("connection", "content-length", "expect", "keep-alive", "proxy-connection", "te")
) | {"trailer", "transfer-encoding", "upgrade"}

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_STATUS = re.compile(r"([1-9][0-9]{2})(?:-([1-9][0-9]{2}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """Basic or bearer credentials; never shown by repr, so never in a log line."""

    type: str
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    @classmethod
    def read(cls, source: Fields) -> Auth:
        kind = source.one_of("type", ("basic", "bearer"))
        if kind == "bearer":
            source.only(("type", "token"))
            token = source.text("token", 8_192, empty=False)
            require(
                token.isascii() and token.isprintable() and " " not in token,
                source.name("token"),
                "characters",
                "token must be printable ASCII without spaces.",
            )
            return cls(type=kind, token=token)
        source.only(("type", "username", "password"))
        username = source.text("username", 256)
        require(
            ":" not in username,
            source.name("username"),
            "characters",
            "username must not contain a colon.",
        )
        return cls(type=kind, username=username, password=source.text("password", 1_024))

    def to_json(self) -> dict[str, str]:
        if self.type == "bearer":
            return {"type": self.type, "token": self.token}
        return {"type": self.type, "username": self.username, "password": self.password}


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One planned request; `Probe.from_json` also validates what a client typed into a form."""

    check_id: int
    slot: int
    url: str
    kind: str = "http"
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: str = field(default="", repr=False)
    auth: Auth | None = None
    timeout_ms: int = DEFAULT_TIMEOUT_MS
    follow_redirects: bool = True
    max_redirects: int = MAX_REDIRECTS
    verify_tls: bool = True
    family: str = "any"
    max_body_bytes: int = MAX_BODY_BYTES
    expected_status: tuple[str, ...] = DEFAULT_STATUS
    keyword: tuple[str, ...] = ()
    keyword_absent: tuple[str, ...] = ()
    max_latency_ms: int | None = None
    cert_min_days: int | None = None
    expected_url: str | None = None

    @classmethod
    def from_json(cls, raw: Any) -> Probe:
        source = Fields(raw)
        source.only(_KNOWN)
        for name in UNSUPPORTED:
            if raw.get(name):
                raise ContractError(
                    name, "unsupported", f"{name} assertions are not available in this version."
                )
        auth = source.child("auth")
        return cls(
            check_id=source.whole("check_id", 0, MAX_ID),
            slot=source.time("slot"),
            kind=source.one_of("kind", KINDS, "http"),
            url=source.text("url", MAX_URL, empty=False),
            method=source.one_of("method", METHODS, "GET"),
            headers=_headers(source),
            body=_body(source),
            auth=None if auth is None else Auth.read(auth),
            timeout_ms=source.whole(
                "timeout_ms", MIN_TIMEOUT_MS, MAX_TIMEOUT_MS, DEFAULT_TIMEOUT_MS
            ),
            follow_redirects=source.flag("follow_redirects", True),
            max_redirects=source.whole("max_redirects", 0, MAX_REDIRECTS, MAX_REDIRECTS),
            verify_tls=source.flag("verify_tls", True),
            family=source.one_of("family", FAMILIES, "any"),
            max_body_bytes=source.whole("max_body_bytes", 1, MAX_BODY_BYTES, MAX_BODY_BYTES),
            expected_status=_statuses(source),
            keyword=_terms(source, "keyword"),
            keyword_absent=_terms(source, "keyword_absent"),
            max_latency_ms=source.whole("max_latency_ms", 1, MAX_TIMEOUT_MS, None),
            cert_min_days=source.whole("cert_min_days", 1, 1_000, None),
            expected_url=source.text("expected_url", MAX_URL, None, empty=False),
        )

    def to_json(self) -> dict[str, Any]:
        pairs = {name: getattr(self, name) for name in _KNOWN if name not in UNSUPPORTED}
        if self.auth is not None:
            pairs["auth"] = self.auth.to_json()
        pairs["headers"] = dict(self.headers)
        return compact(pairs, _DEFAULTS)


_KNOWN = (*(each.name for each in fields(Probe)), *UNSUPPORTED)
_DEFAULTS: dict[str, Any] = {
    each.name: each.default for each in fields(Probe) if each.default is not MISSING
} | {"headers": {}}


def status_ranges(expected: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """`("200-299", "404")` as `((200, 299), (404, 404))`; ValueError for any other form."""
    ranges = []
    for term in expected:
        match = _STATUS.fullmatch(term)
        if match is None:
            raise ValueError(f"{term!r} is not a status like 404 or a range like 200-299")
        low = int(match[1])
        high = int(match[2] or low)
        if high < low:
            raise ValueError(f"{term!r} runs backwards")
        ranges.append((low, high))
    return tuple(ranges)


def _statuses(source: Fields) -> tuple[str, ...]:
    terms = source.texts("expected_status", most=MAX_TERMS, longest=7, default=DEFAULT_STATUS)
    name = source.name("expected_status")
    require(bool(terms), name, "empty", "expected_status needs at least one status.")
    try:
        status_ranges(terms)
    except ValueError as error:
        raise ContractError(name, "status", f"expected_status: {error}.") from None
    return terms


def _terms(source: Fields, key: str) -> tuple[str, ...]:
    return source.texts(key, most=MAX_TERMS, longest=MAX_TERM, default=())


def _body(source: Fields) -> str:
    body: str = source.text("body", MAX_REQUEST_BODY_BYTES, "")
    require(
        len(body.encode("utf-8")) <= MAX_REQUEST_BODY_BYTES,
        source.name("body"),
        "length",
        f"body is larger than {MAX_REQUEST_BODY_BYTES} bytes.",
    )
    return body


def _headers(source: Fields) -> dict[str, str]:
    headers = source.text_map("headers", most=MAX_HEADERS, longest=MAX_HEADER_BYTES)
    size, seen = 0, set()
    for name, value in headers.items():
        lower, where = name.lower(), source.name("headers")
        require(
            _TOKEN.fullmatch(name) is not None,
            where,
            "characters",
            f"{name[:40]!r} is not a header name.",
        )
        require(lower not in FRAMING_HEADERS, where, "reserved", f"{name} is set by the prober.")
        require(lower not in seen, where, "duplicate", f"{name} stands twice.")
        require(
            _CONTROL.search(value) is None and value == value.strip(),
            where,
            "characters",
            f"The value of {name} has a control character or outer spaces.",
        )
        seen.add(lower)
        size += len(name) + len(value.encode("utf-8")) + 4
    require(
        size <= MAX_HEADER_BYTES,
        source.name("headers"),
        "length",
        f"headers are larger than {MAX_HEADER_BYTES} bytes together.",
    )
    return headers

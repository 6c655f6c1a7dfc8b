"""What may be said of a check: every field's rule in one place, for pages, API and import alike. No I/O.

The request's rules are those of the worker's contract, so that nothing is saved that no worker would run.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from django.core.exceptions import ValidationError

from checks.models.check import INTERVALS_S
from clients.texts import clean_line
from fanout_lambdas.shared.contracts import MAX_HEADER_BYTES, MAX_HEADERS, ContractError, Probe
from fanout_lambdas.shared.netguard import Blocked, Guard

REQUEST_FIELDS = (
    *("kind", "url", "method", "headers", "body", "timeout_ms", "follow_redirects"),
    *("max_redirects", "verify_tls", "family", "max_body_bytes"),
)
ASSERTION_FIELDS = (
    *("expected_status", "keyword", "keyword_absent", "max_latency_ms", "cert_min_days"),
)
POLICY_FIELDS = ("interval_s", "regions", "rotate", "down_after", "up_after", "quorum")
FIELDS = ("name", *REQUEST_FIELDS, *ASSERTION_FIELDS, *POLICY_FIELDS)

DEFAULTS: dict[str, Any] = {
    "kind": "http",
    "method": "GET",
    "headers": {},
    "body": "",
    "timeout_ms": 10_000,
    "follow_redirects": True,
    "max_redirects": 5,
    "verify_tls": True,
    "family": "any",
    "max_body_bytes": 1 << 20,
    "expected_status": [],
    "keyword": [],
    "keyword_absent": [],
    "max_latency_ms": None,
    "cert_min_days": 14,
    "interval_s": 60,
    "rotate": False,
    "down_after": 3,
    "up_after": 2,
    "quorum": None,
}
THRESHOLD = (1, 10)
MOST_REGIONS = 20
LONGEST_KEYWORD = 500
# The worker names the target itself; another Host would turn one tenant's check against a neighbour.
OWN_HEADERS = frozenset({"host"})
# With slashes any scheme; without them one of those that are mistyped like that, for the guard to refuse.
_SCHEME = re.compile(
    r"[a-z][a-z0-9+.-]*://|https?:|(?:javascript|data|mailto|file):", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What the installation and the client's plan allow."""

    guard: Guard
    minimum_interval_s: int
    region_ids: frozenset[int]
    """Regions that may be chosen."""


def clean_fields(
    given: Mapping[str, Any], *, base: Mapping[str, Any], bounds: Bounds
) -> dict[str, Any]:
    """The given fields, cleaned; ValidationError names each wrong field and its rule.

    `base` is what the check has so far, for the rules that join two fields; empty for a new check.
    """
    errors: dict[str, ValidationError] = {}
    cleaned: dict[str, Any] = {}
    for name, value in given.items():
        try:
            cleaned[name] = _clean(name, value, bounds)
        except ValidationError as error:
            errors[name] = error
    whole = {**DEFAULTS, **base, **cleaned}
    for name in ("url", "regions"):
        if name not in whole and name not in errors:
            errors[name] = ValidationError(f"{name} is missing.", code="required")
    _join(whole, given, errors)
    if errors:
        raise ValidationError(errors)
    return cleaned


def with_scheme(address: str) -> str:
    """The address as it is meant: example.com stands for https://example.com."""
    text = address.strip()
    if not text or _SCHEME.match(text):
        return text
    return f"https://{text.removeprefix('//')}"


def default_timeout_ms(interval_s: int) -> int:
    """The usual timeout, or less where the interval is short."""
    return int(min(DEFAULTS["timeout_ms"], (interval_s - 1) * 1000))


def _join(
    whole: Mapping[str, Any], given: Mapping[str, Any], errors: dict[str, ValidationError]
) -> None:
    """Rules over two fields; told at the field that was given, and only when both are sound."""
    if not {"timeout_ms", "interval_s"} & set(errors):
        most = (whole["interval_s"] - 1) * 1000
        if whole["timeout_ms"] > most and {"timeout_ms", "interval_s"} & set(given):
            errors["timeout_ms"] = ValidationError(
                f"With an interval of {whole['interval_s']} s the timeout may be {most} ms at most.",
                code="interval",
            )
    if "regions" in whole and not {"quorum", "regions"} & set(errors):
        count = len(whole["regions"])
        if whole["quorum"] is not None and whole["quorum"] > count:
            errors["quorum"] = ValidationError(
                f"The quorum cannot be larger than the number of regions ({count}).", code="range"
            )
    if (
        whole["method"] in {"GET", "HEAD"}
        and whole["body"]
        and not {"method", "body"} & set(errors)
    ):
        errors["body"] = ValidationError(
            f"A {whole['method']} request is sent without a body.", code="method"
        )
    if whole["method"] == "HEAD" and not {"method", "keyword", "keyword_absent"} & set(errors):
        for name in ("keyword", "keyword_absent"):
            if whole[name]:
                errors[name] = ValidationError(
                    "The answer to HEAD has no text to search. Use GET.", code="method"
                )


def _clean(name: str, value: Any, bounds: Bounds) -> Any:
    if isinstance(value, Enum):
        value = value.value
    if name == "name":
        return clean_line(value, label="The name", longest=100)
    if name == "url":
        return _url(value, bounds.guard)
    if name == "headers":
        return _headers(value)
    if name == "interval_s":
        return _interval(value, bounds.minimum_interval_s)
    if name == "regions":
        return _regions(value, bounds.region_ids)
    if name in {"down_after", "up_after"}:
        return _whole(name, value, *THRESHOLD)
    if name == "quorum":
        return None if value is None else _whole(name, value, 1, MOST_REGIONS)
    if name == "rotate":
        if type(value) is not bool:
            raise ValidationError("rotate must be true or false.", code="type")
        return value
    if name == "expected_status" and isinstance(value, list | tuple) and not value:
        return []
    if name in {"keyword", "keyword_absent"}:
        return _keywords(name, value)
    if name in REQUEST_FIELDS or name in ASSERTION_FIELDS:
        return _by_contract(name, value)
    raise ValidationError(f"{name[:40]} is not a field of a check.", code="unknown")


def _by_contract(name: str, value: Any) -> Any:
    """The worker's own judgement of one field."""
    if isinstance(value, tuple):
        value = list(value)
    document = {"check_id": 0, "slot": 0, "url": "http://example.com/", name: value}
    try:
        found = getattr(Probe.from_json(document), name)
    except ContractError as error:
        raise ValidationError(error.message, code=error.rule) from None
    if isinstance(found, tuple):
        return list(found)
    return dict(found) if isinstance(found, Mapping) else found


def _url(value: Any, guard: Guard) -> str:
    text = _by_contract("url", with_scheme(value) if isinstance(value, str) else value)
    try:
        guard.check_url(text)
    except Blocked as blocked:
        raise ValidationError(blocked.message, code=blocked.rule) from None
    return str(text)


def _headers(value: Any) -> dict[str, str]:
    headers: dict[str, str] = _by_contract("headers", value if value is not None else {})
    for name in headers:
        if name.lower() in OWN_HEADERS:
            raise ValidationError(f"{name} is set by the prober.", code="reserved")
    if len(headers) > MAX_HEADERS:
        raise ValidationError(f"More than {MAX_HEADERS} headers.", code="length")
    if sum(len(name) + len(text) for name, text in headers.items()) > MAX_HEADER_BYTES:
        raise ValidationError(f"headers are larger than {MAX_HEADER_BYTES} bytes.", code="length")
    return headers


def _keywords(name: str, value: Any) -> list[str]:
    words: list[str] = _by_contract(name, value)
    if any(len(word) > LONGEST_KEYWORD for word in words):
        raise ValidationError(
            f"A text to search for is longer than {LONGEST_KEYWORD} characters.", code="length"
        )
    return words


def _interval(value: Any, minimum_s: int) -> int:
    if type(value) is not int or value not in INTERVALS_S:
        listed = ", ".join(str(each) for each in INTERVALS_S)
        raise ValidationError(f"The interval must be one of {listed} seconds.", code="choice")
    if value < minimum_s:
        raise ValidationError(
            f"Your plan allows intervals of {minimum_s} seconds or more.", code="plan"
        )
    return value


def _regions(value: Any, known: Collection[int]) -> list[int]:
    if not isinstance(value, list | tuple) or not all(type(each) is int for each in value):
        raise ValidationError("regions must be a list.", code="type")
    if not value:
        raise ValidationError("Choose at least one region.", code="empty")
    if len(set(value)) != len(value) or len(value) > MOST_REGIONS:
        raise ValidationError("A region is named twice, or there are too many.", code="length")
    if not set(value) <= set(known):
        raise ValidationError("One of the regions does not exist.", code="choice")
    return list(value)


def _whole(name: str, value: Any, least: int, most: int) -> int:
    if type(value) is not int:
        raise ValidationError(f"{name} must be a whole number.", code="type")
    if not least <= value <= most:
        raise ValidationError(f"{name} must be between {least} and {most}.", code="range")
    return value

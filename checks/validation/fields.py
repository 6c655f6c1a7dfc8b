"""PURE: the fields of a check: which belong to which kind, and what each is when nobody says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from checks.models.check import Kind
from fanout_lambdas.shared import contracts

REQUEST_FIELDS: Final = (
    *("kind", "url", "timeout_ms", "family", "method", "headers", "body", "auth"),
    *("follow_redirects", "max_redirects", "verify_tls", "max_body_bytes"),
    *("send", "record_type", "name_server"),
)
ASSERTION_FIELDS: Final = (
    *("expected_status", "expected_url", "keyword", "keyword_absent", "regex", "regex_absent"),
    *("json", "header", "min_body_bytes", "expect", "record_values"),
    *("max_latency_ms", "max_latency_outcome", "cert_min_days"),
)
POLICY_FIELDS: Final = ("interval_s", "regions", "rotate", "down_after", "up_after", "quorum")
SCHEDULE_FIELDS: Final = ("interval_s", "grace_s", "cron", "timezone")
"""When a heartbeat's job has to call."""
FIELDS: Final = tuple(
    dict.fromkeys(("name", *REQUEST_FIELDS, *ASSERTION_FIELDS, *POLICY_FIELDS, *SCHEDULE_FIELDS))
)

DEFAULTS: Final[dict[str, Any]] = {
    "kind": "http",
    "url": "",
    "timeout_ms": 10_000,
    "family": "any",
    "method": "GET",
    "headers": {},
    "body": "",
    "auth": None,
    "follow_redirects": True,
    "max_redirects": 5,
    "verify_tls": True,
    "max_body_bytes": 1 << 20,
    "send": "",
    "record_type": "A",
    "name_server": "",
    "expected_status": [],
    "expected_url": "",
    "keyword": [],
    "keyword_absent": [],
    "regex": [],
    "regex_absent": [],
    "json": [],
    "header": [],
    "min_body_bytes": None,
    "expect": "",
    "record_values": [],
    "max_latency_ms": None,
    "max_latency_outcome": "degraded",
    "cert_min_days": 14,
    "interval_s": 60,
    "rotate": False,
    "down_after": 3,
    "up_after": 2,
    "quorum": None,
    "grace_s": 300,
    "cron": "",
    "timezone": "UTC",
}
HEARTBEAT_INTERVAL_S: Final = 3_600
"""How often a heartbeat is expected when nobody says."""

_PROBED: Final = frozenset(("name", *POLICY_FIELDS))
FIELDS_OF: Final[Mapping[Kind, frozenset[str]]] = {
    **{
        Kind(kind.value): (names - {"check_id", "slot"}) | _PROBED
        for kind, names in contracts.FIELDS_OF.items()
    },
    Kind.HEARTBEAT: frozenset(("name", "kind", *SCHEDULE_FIELDS)),
}
"""The fields that mean something to each kind of check."""


def is_default(name: str, value: Any) -> bool:
    """Does the value say nothing? A field of another kind may be given like that."""
    usual = DEFAULTS.get(name)
    value = list(value) if isinstance(value, tuple) else value
    return type(value) is type(usual) and bool(value == usual)

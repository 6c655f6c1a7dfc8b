"""The given fields of a check, cleaned one by one and then judged together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from django.core.exceptions import ValidationError

from checks.models.check import Kind
from checks.targets import target_url
from checks.validation import contract, policy
from checks.validation.fields import DEFAULTS, FIELDS, FIELDS_OF, is_default
from checks.validation.joint import judge
from clients.texts import clean_line
from fanout_lambdas.shared.netguard import Guard


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
    A field of another kind is refused, unless it says no more than its default.
    """
    kind = _kind(given.get("kind", base.get("kind", Kind.HTTP)))
    errors: dict[str, ValidationError] = {}
    cleaned: dict[str, Any] = {}
    for name, value in given.items():
        try:
            if _is_of(kind, name, value):
                cleaned[name] = _clean(kind, name, value, bounds)
        except ValidationError as error:
            errors[name] = error
    whole = {**DEFAULTS, **base, **cleaned}
    for name in {"url", "regions"} & FIELDS_OF[kind]:
        if name not in base and name not in given:
            errors[name] = ValidationError(f"{name} is missing.", code="required")
    judge(kind, whole, given, errors, bounds.guard)
    if errors:
        raise ValidationError(errors)
    return cleaned


def default_timeout_ms(interval_s: int) -> int:
    """The usual timeout, or less where the interval is short."""
    return int(min(DEFAULTS["timeout_ms"], (interval_s - 1) * 1000))


def _kind(value: Any) -> Kind:
    try:
        return Kind(value)
    except ValueError:
        words = f"kind must be one of {', '.join(Kind.values)}."
        raise ValidationError({"kind": ValidationError(words, code="choice")}) from None


def _is_of(kind: Kind, name: str, value: Any) -> bool:
    if name in FIELDS_OF[kind]:
        return True
    if name not in FIELDS:
        raise ValidationError(f"{name[:40]} is not a field of a check.", code="unknown")
    if not is_default(name, value):
        raise ValidationError(f"{name} is not a field of a {kind} check.", code="kind")
    return False


def _clean(kind: Kind, name: str, value: Any, bounds: Bounds) -> Any:
    if isinstance(value, Enum):
        value = value.value
    match name:
        case "kind":
            return kind.value
        case "name":
            return clean_line(value, label="The name", longest=100)
        case "url":
            text = target_url(kind, value) if isinstance(value, str) else value
            return contract.judged(kind, name, text)
        case "interval_s" if kind is Kind.HEARTBEAT:
            return policy.period(value)
        case "interval_s":
            return policy.interval(value, bounds.minimum_interval_s)
        case "grace_s":
            return policy.grace(value)
        case "cron" | "timezone":
            return policy.schedule_text(name, value)
        case "regions":
            return policy.regions(value, bounds.region_ids)
        case "down_after" | "up_after":
            return policy.threshold(name, value)
        case "quorum":
            return policy.quorum(value)
        case "rotate":
            return policy.flag(name, value)
    return contract.judged(kind, name, value)

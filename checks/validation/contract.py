"""The worker's own judgement of one field: its contract, and its engines for patterns."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from django.core.exceptions import ValidationError

from checks.models.check import Kind
from fanout_lambdas.patterns import check_patterns
from fanout_lambdas.shared.contracts import ContractError, HeaderRule, JsonRule, Probe
from fanout_lambdas.shared.netguard import Blocked, parse_url

LONGEST_KEYWORD = 500
# The worker names the target itself; another Host would turn one tenant's check against a neighbour.
OWN_HEADERS = frozenset({"host"})
_EMPTY: dict[str, tuple[Any, ...]] = {
    "expected_status": ([],),
    "expected_url": ("", None),
    "name_server": ("", None),
}
"""Fields that may be empty, which stands for the contract's default; the first form is the stored one."""


def judged(kind: Kind, name: str, value: Any) -> Any:
    """The field as it is stored, or ValidationError with the contract's rule and sentence."""
    if isinstance(value, tuple):
        value = list(value)
    if value in _EMPTY.get(name, ()):
        return _EMPTY[name][0]
    document = {"check_id": 0, "slot": 0, "kind": kind.value, "url": "-", name: value}
    try:
        probe = Probe.from_json(document)
        check_patterns(probe)
    except ContractError as error:
        raise ValidationError(error.message, code=error.rule) from None
    found = getattr(probe, name)
    _judge_further(name, found)
    return _stored(found)


def _judge_further(name: str, found: Any) -> None:
    """What the contract leaves open and a saved check does not."""
    if name == "headers":
        for header in found:
            if header.lower() in OWN_HEADERS:
                raise ValidationError(f"{header} is set by the prober.", code="reserved")
    elif name in {"keyword", "keyword_absent"}:
        if any(len(word) > LONGEST_KEYWORD for word in found):
            words = f"A text to search for is longer than {LONGEST_KEYWORD} characters."
            raise ValidationError(words, code="length")
    elif name == "expected_url":
        try:
            parse_url(found)
        except Blocked as blocked:
            raise ValidationError(blocked.message, code=blocked.rule) from None


def _stored(found: Any) -> Any:
    if isinstance(found, Enum):
        return found.value
    if isinstance(found, tuple):
        return [
            each.to_json() if isinstance(each, JsonRule | HeaderRule) else each for each in found
        ]
    if isinstance(found, Mapping):
        return dict(found)
    if hasattr(found, "to_json"):
        return found.to_json()
    return found

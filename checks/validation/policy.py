"""The rules of a check's timing and policy."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.core.exceptions import ValidationError

from checks.models.check import GRACE_S, HEARTBEAT_S, INTERVALS_S

THRESHOLD = (1, 10)
MOST_REGIONS = 20
_LONGEST = {"cron": 100, "timezone": 64}


def interval(value: Any, minimum_s: int) -> int:
    """How often a check is probed."""
    if type(value) is not int or value not in INTERVALS_S:
        listed = ", ".join(str(each) for each in INTERVALS_S)
        raise ValidationError(f"The interval must be one of {listed} seconds.", code="choice")
    if value < minimum_s:
        raise ValidationError(
            f"Your plan allows intervals of {minimum_s} seconds or more.", code="plan"
        )
    return value


def period(value: Any) -> int:
    """How often a heartbeat's job calls."""
    return _within("interval_s", value, HEARTBEAT_S, "from 60 seconds to 366 days")


def grace(value: Any) -> int:
    """How late a heartbeat may be."""
    return _within("grace_s", value, GRACE_S, "from 10 seconds to 31 days")


def schedule_text(name: str, value: Any) -> str:
    """Cron and zone as text; whether they mean anything is judged together."""
    longest = _LONGEST[name]
    if not isinstance(value, str):
        raise ValidationError(f"{name} must be a text.", code="type")
    if len(value) > longest:
        raise ValidationError(f"{name} is longer than {longest} characters.", code="length")
    return " ".join(value.split())


def regions(value: Any, known: Collection[int]) -> list[int]:
    if not isinstance(value, list | tuple) or not all(type(each) is int for each in value):
        raise ValidationError("regions must be a list.", code="type")
    if not value:
        raise ValidationError("Choose at least one region.", code="empty")
    if len(set(value)) != len(value) or len(value) > MOST_REGIONS:
        raise ValidationError("A region is named twice, or there are too many.", code="length")
    if not set(value) <= set(known):
        raise ValidationError("One of the regions does not exist.", code="choice")
    return list(value)


def threshold(name: str, value: Any) -> int:
    return _within(name, value, THRESHOLD, f"between {THRESHOLD[0]} and {THRESHOLD[1]}")


def quorum(value: Any) -> int | None:
    bounds = (1, MOST_REGIONS)
    return None if value is None else _within("quorum", value, bounds, f"between 1 and {bounds[1]}")


def flag(name: str, value: Any) -> bool:
    if type(value) is not bool:
        raise ValidationError(f"{name} must be true or false.", code="type")
    return value


def _within(name: str, value: Any, bounds: tuple[int, int], words: str) -> int:
    if type(value) is not int:
        raise ValidationError(f"{name} must be a whole number.", code="type")
    if not bounds[0] <= value <= bounds[1]:
        raise ValidationError(f"{name} must be {words}.", code="range")
    return value

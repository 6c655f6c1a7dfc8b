"""Script: the file format of `manage.py replay`, read strictly. Pure.

Each complaint names the field and the rule that it breaks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from checks.belief import Region, Window
from fanout_lambdas.shared.contracts import Outcome

LETTERS = {
    "U": Outcome.UP,
    "D": Outcome.DEGRADED,
    "F": Outcome.DOWN,
    "T": Outcome.DOWN,
    "M": Outcome.MISSED,
    "X": Outcome.VOID,
}
"""Up, degraded, failed, timed out, missed, prober unfit."""

Verb = Literal["pause", "resume", "delete"]
_VERBS: dict[str, Verb] = {"pause": "pause", "resume": "resume", "delete": "delete"}
_RULES = ("interval", "down_after", "up_after", "quorum")


class ScriptError(ValueError):
    """A field of the file breaks a rule."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}" if field else rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The rules and the configuration in force; a config event replaces its keys from then on."""

    interval: int = 60
    down_after: int = 3
    up_after: int = 2
    quorum: int = 1
    maintenance: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A result or marker arrives."""

    at: int
    region: Region
    slot: int
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Somebody pauses, resumes or deletes the check."""

    at: int
    verb: Verb


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The settings in force from now on."""

    at: int
    settings: Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One check's rules and what happened to it, in order."""

    settings: Settings
    events: tuple[Arrival | Act | Change, ...]

    @property
    def regions(self) -> tuple[Region, ...]:
        """The regions are those named."""
        named = (event.region for event in self.events if isinstance(event, Arrival))
        return tuple(dict.fromkeys(named))

    @property
    def begins(self) -> int:
        """The check is there from its first event on, or from the slot that this event is about."""
        if not self.events:
            return 0
        first = self.events[0]
        return min(first.at, first.slot) if isinstance(first, Arrival) else first.at


def read_script(document: object) -> Script:
    """The checked form of a parsed JSON document."""
    fields = _object("", document)
    _known("", fields, ("rules", "config", "events"))
    rules = _object("rules", fields.get("rules", {}))
    _known("rules", rules, _RULES)
    config = _object("config", fields.get("config", {}))
    settings = _settings("config", config, _settings("rules", rules, Settings()))
    if "events" not in fields:
        raise ScriptError("events", "is required")
    events: list[Arrival | Act | Change] = []
    in_force = settings
    for index, item in enumerate(_list("events", fields["events"])):
        event = _event(f"events[{index}]", item, in_force)
        if isinstance(event, Change):
            in_force = event.settings
        events.append(event)
    return Script(settings=settings, events=tuple(events))


def _event(field: str, item: object, in_force: Settings) -> Arrival | Act | Change:
    parts = _list(field, item)
    if len(parts) == 4:
        at, region, slot, letter = parts
        return Arrival(
            at=_whole(f"{field}[0]", at),
            region=_region(f"{field}[1]", region),
            slot=_whole(f"{field}[2]", slot),
            outcome=_outcome(f"{field}[3]", letter),
        )
    if len(parts) == 2 and isinstance(parts[1], str) and parts[1] in _VERBS:
        return Act(at=_whole(f"{field}[0]", parts[0]), verb=_VERBS[parts[1]])
    if len(parts) == 3 and parts[1] == "config":
        keys = _object(f"{field}[2]", parts[2])
        return Change(
            at=_whole(f"{field}[0]", parts[0]), settings=_settings(f"{field}[2]", keys, in_force)
        )
    raise ScriptError(
        field,
        'must be [arrived, region, slot, outcome], [at, "pause" | "resume" | "delete"] '
        'or [at, "config", {...}]',
    )


def _settings(field: str, keys: Mapping[str, Any], base: Settings) -> Settings:
    _known(field, keys, (*_RULES, "maintenance"))
    changes: dict[str, Any] = {
        name: _whole(f"{field}.{name}", keys[name], least=1) for name in _RULES if name in keys
    }
    if "maintenance" in keys:
        windows = enumerate(_list(f"{field}.maintenance", keys["maintenance"]))
        changes["maintenance"] = tuple(
            _window(f"{field}.maintenance[{index}]", item) for index, item in windows
        )
    return replace(base, **changes)


def _window(field: str, item: object) -> Window:
    parts = _list(field, item)
    if len(parts) != 2:
        raise ScriptError(field, "must be [from, to]")
    start, end = _whole(f"{field}[0]", parts[0]), _whole(f"{field}[1]", parts[1])
    if end < start:
        raise ScriptError(field, "must not end before it starts")
    return start, end


def _region(field: str, value: object) -> Region:
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise ScriptError(field, "must be the name or number of a region")
    return value


def _outcome(field: str, value: object) -> Outcome:
    if not isinstance(value, str) or value not in LETTERS:
        raise ScriptError(field, f"must be one of {', '.join(LETTERS)}")
    return LETTERS[value]


def _whole(field: str, value: object, *, least: int | None = None) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ScriptError(field, "must be a whole number")
    if least is not None and value < least:
        raise ScriptError(field, f"must be at least {least}")
    return value


def _list(field: str, value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ScriptError(field, "must be a list")
    return value


def _object(field: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ScriptError(field, "must be an object" if field else "the file must hold an object")
    return value


def _known(field: str, keys: Mapping[str, Any], allowed: tuple[str, ...]) -> None:
    for key in keys:
        if key not in allowed:
            name = f"{field}.{key}" if field else key
            raise ScriptError(name, f"is not known here; known are {', '.join(allowed)}")

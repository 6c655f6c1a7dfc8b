"""Strict reading of JSON: every field typed and bounded, every fault a ContractError."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any, TypeVar

from fanout_lambdas.shared.contracts.words import MAX_TIME, ContractError

E = TypeVar("E", bound=StrEnum)
_ABSENT: Any = object()


class Twice(dict[str, Any]):
    """An object in which a name stood twice: whoever reads it refuses it, its neighbours live."""


def decode(data: bytes) -> Any:
    """JSON from UTF-8 bytes; refuses NaN, infinities, byte order marks and runaway nesting."""
    try:
        return json.loads(
            data.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_constant
        )
    except UnicodeDecodeError:
        raise ContractError("", "encoding", "The document is not UTF-8.") from None
    except RecursionError:
        raise ContractError("", "depth", "The document is nested too deeply.") from None
    except ValueError as error:  # also an integer of thousands of digits
        raise ContractError("", "json", f"The document is not valid JSON: {error}"[:200]) from None


def encode(value: Any) -> bytes:
    """Compact ASCII JSON: one character is one byte on the wire."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else Twice(pairs)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def require(condition: bool, field: str, rule: str, message: str) -> None:
    if not condition:
        raise ContractError(field, rule, message)


def check_text(value: Any, field: str, *, longest: int, empty: bool = True) -> str:
    """A string that can be stored and sent on: no NUL, no lone surrogate, not too long."""
    if type(value) is not str:
        raise ContractError(field, "type", f"{field} must be a string.")
    if len(value) > longest:
        raise ContractError(field, "length", f"{field} is longer than {longest} characters.")
    if not empty and not value:
        raise ContractError(field, "empty", f"{field} must not be empty.")
    if "\0" in value:
        raise ContractError(field, "nul", f"{field} must not contain the NUL character.")
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise ContractError(
                field, "unicode", f"{field} contains half of a surrogate pair."
            ) from None
    return value


def check_whole(value: Any, field: str, *, least: int, most: int) -> int:
    """A JSON integer within bounds; true and 1.0 are not integers."""
    if type(value) is not int:
        raise ContractError(field, "type", f"{field} must be a whole number.")
    if not least <= value <= most:
        raise ContractError(field, "range", f"{field} must be between {least} and {most}.")
    return value


def check_scalar(value: Any, field: str, *, longest: int) -> str | int | float | bool | None:
    """Null, a boolean, a finite number below 2**63 or a string."""
    if value is None or type(value) is bool:
        return value
    if type(value) is int:
        return check_whole(value, field, least=-(2**63), most=2**63 - 1)
    if type(value) is float:
        require(math.isfinite(value), field, "range", f"{field} must be a finite number.")
        return value
    return check_text(value, field, longest=longest)


class Fields:
    """One JSON object under a path; each method reads one field as one type.

    A field without default must be present. An absent field, and null where the default is
    None, give the default.
    """

    __slots__ = ("path", "raw")

    def __init__(self, raw: Any, path: str = "") -> None:
        where = path or "document"
        if not isinstance(raw, dict):
            raise ContractError(path, "type", f"{where} must be an object.")
        if type(raw) is Twice:
            raise ContractError(path, "duplicate", f"{where} names a field twice.")
        self.raw: dict[str, Any] = raw
        self.path = path

    def only(self, known: Collection[str]) -> None:
        """Refuse names that the contract does not know: a typing error must not pass unseen."""
        for name in self.raw:
            if name not in known:
                shown = name[:40].encode("ascii", "replace").decode("ascii")
                raise ContractError(
                    self.name(shown), "unknown", f"{shown} is not a field of this contract."
                )

    def name(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def _get(self, key: str, default: Any) -> Any:
        value = self.raw.get(key, _ABSENT)
        if value is _ABSENT:
            if default is _ABSENT:
                raise ContractError(self.name(key), "required", f"{self.name(key)} is missing.")
            return _ABSENT
        if value is None and default is None:
            return _ABSENT
        return value

    def whole(self, key: str, least: int, most: int, default: Any = _ABSENT) -> Any:
        value = self._get(key, default)
        if value is _ABSENT:
            return default
        if type(value) is int and least <= value <= most:
            return value
        return check_whole(value, self.name(key), least=least, most=most)

    def time(self, key: str, default: Any = _ABSENT) -> Any:
        return self.whole(key, 0, MAX_TIME, default)

    def text(self, key: str, longest: int, default: Any = _ABSENT, *, empty: bool = True) -> Any:
        value = self._get(key, default)
        if value is _ABSENT:
            return default
        return check_text(value, self.name(key), longest=longest, empty=empty)

    def flag(self, key: str, default: Any = _ABSENT) -> Any:
        value = self._get(key, default)
        if value is _ABSENT:
            return default
        require(
            type(value) is bool, self.name(key), "type", f"{self.name(key)} must be true or false."
        )
        return value

    def choice(self, key: str, kind: type[E], default: Any = _ABSENT) -> E:
        value = self._get(key, default)
        if value is _ABSENT:
            return default  # type: ignore[no-any-return]
        try:
            return kind(check_text(value, self.name(key), longest=64))
        except ValueError:
            raise ContractError(
                self.name(key), "choice", f"{self.name(key)} must be one of {', '.join(kind)}."
            ) from None

    def one_of(self, key: str, choices: Collection[str], default: Any = _ABSENT) -> str:
        value = self.text(key, 64, default)
        require(
            value in choices,
            self.name(key),
            "choice",
            f"{self.name(key)} must be one of {', '.join(choices)}.",
        )
        return str(value)

    def items(self, key: str, most: int, default: Any = _ABSENT) -> list[Any]:
        value = self._get(key, default)
        if value is _ABSENT:
            return list(default or ())
        name = self.name(key)
        require(type(value) is list, name, "type", f"{name} must be a list.")
        require(len(value) <= most, name, "length", f"{name} has more than {most} entries.")
        return value  # type: ignore[no-any-return]

    def texts(
        self, key: str, *, most: int, longest: int, default: Any = _ABSENT, empty: bool = False
    ) -> tuple[str, ...]:
        return tuple(
            check_text(value, f"{self.name(key)}.{at}", longest=longest, empty=empty)
            for at, value in enumerate(self.items(key, most, default))
        )

    def text_map(self, key: str, *, most: int, longest: int) -> dict[str, str]:
        child = self.child(key)
        if child is None:
            return {}
        require(
            len(child.raw) <= most, child.path, "length", f"{key} has more than {most} entries."
        )
        return {
            check_text(name, child.path, longest=256, empty=False): check_text(
                value, child.name(name[:40]), longest=longest
            )
            for name, value in child.raw.items()
        }

    def child(self, key: str) -> Fields | None:
        """The object under `key`, None when it is absent or null."""
        value = self.raw.get(key)
        return None if value is None else Fields(value, self.name(key))

    def version(self, expected: int) -> None:
        value = self.whole("version", 1, 1_000_000)
        require(
            value == expected,
            self.name("version"),
            "version",
            f"version {value} is not spoken here, {expected} is.",
        )


def compact(pairs: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """`pairs` without what equals its default: absent means the default."""
    return {
        key: list(value) if type(value) is tuple else value
        for key, value in pairs.items()
        if key not in defaults or value != defaults[key]
    }

"""What a probe's answer must be like: the assertions, each read strictly.

A regular expression or a JSON path is read as text here; `fanout_lambdas.patterns` compiles it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from fanout_lambdas.shared.contracts.reading import Fields, check_scalar, require
from fanout_lambdas.shared.contracts.request import HEADER_NAME
from fanout_lambdas.shared.contracts.words import MAX_TERM, MAX_TERMS, ContractError

DEFAULT_STATUS = ("200-299",)
JSON_OPS = ("==", "!=", "<", "<=", ">", ">=", "exists", "absent", "contains", "length")
HEADER_OPS = ("==", "!=", "matches", "exists", "absent")
BARE_OPS = frozenset({"exists", "absent"})  # they compare with nothing
ORDER_OPS = frozenset({"<", "<=", ">", ">="})

_STATUS = re.compile(r"([1-9][0-9]{2})(?:-([1-9][0-9]{2}))?")

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonRule:
    """What the JSON body must hold at `path` (RFC 9535)."""

    path: str
    op: str
    value: Scalar = None

    @classmethod
    def read(cls, source: Fields) -> JsonRule:
        source.only(("path", "op", "value"))
        path = source.text("path", MAX_TERM, empty=False)
        op = source.one_of("op", JSON_OPS)
        name = source.name("value")
        if op in BARE_OPS:
            require(source.raw.get("value") is None, name, "unused", f"{op} takes no value.")
            return cls(path=path, op=op)
        require("value" in source.raw, name, "required", f"{name} is missing.")
        value = check_scalar(source.raw["value"], name, longest=MAX_TERM)
        number = type(value) in (int, float)
        if op in ORDER_OPS:
            require(number, name, "type", f"{op} compares with a number.")
        if op == "length":
            whole = type(value) is int and value >= 0
            require(whole, name, "type", "length compares with a whole number from 0 on.")
        return cls(path=path, op=op, value=value)

    def to_json(self) -> dict[str, Scalar]:
        if self.op in BARE_OPS:
            return {"path": self.path, "op": self.op}
        return {"path": self.path, "op": self.op, "value": self.value}

    def __str__(self) -> str:
        if self.op in BARE_OPS:
            return f"{self.path} {self.op}"
        return f"{self.path} {self.op} {json.dumps(self.value, ensure_ascii=False)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderRule:
    """What a header of the last answer must be; `value` is a regular expression for `matches`."""

    name: str
    op: str
    value: str = ""

    @classmethod
    def read(cls, source: Fields) -> HeaderRule:
        source.only(("name", "op", "value"))
        name = source.text("name", 256, empty=False)
        require(
            HEADER_NAME.fullmatch(name) is not None,
            source.name("name"),
            "characters",
            f"{name[:40]!r} is not a header name.",
        )
        op = source.one_of("op", HEADER_OPS)
        if op in BARE_OPS:
            where = source.name("value")
            require(source.raw.get("value") in (None, ""), where, "unused", f"{op} takes no value.")
            return cls(name=name, op=op)
        return cls(name=name, op=op, value=source.text("value", MAX_TERM, empty=op != "matches"))

    def to_json(self) -> dict[str, str]:
        if self.op in BARE_OPS:
            return {"name": self.name, "op": self.op}
        return {"name": self.name, "op": self.op, "value": self.value}

    def __str__(self) -> str:
        return f"{self.name} {self.op}" + ("" if self.op in BARE_OPS else f" {self.value}")


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


def read_statuses(source: Fields) -> tuple[str, ...]:
    terms = source.texts("expected_status", most=MAX_TERMS, longest=7, default=DEFAULT_STATUS)
    name = source.name("expected_status")
    require(bool(terms), name, "empty", "expected_status needs at least one status.")
    try:
        status_ranges(terms)
    except ValueError as error:
        raise ContractError(name, "status", f"expected_status: {error}.") from None
    return terms


def read_json_rules(source: Fields) -> tuple[JsonRule, ...]:
    return tuple(JsonRule.read(each) for each in _objects(source, "json"))


def read_header_rules(source: Fields) -> tuple[HeaderRule, ...]:
    return tuple(HeaderRule.read(each) for each in _objects(source, "header"))


def _objects(source: Fields, key: str) -> list[Fields]:
    raw: list[Any] = source.items(key, MAX_TERMS, ())
    return [Fields(each, f"{source.name(key)}.{at}") for at, each in enumerate(raw)]

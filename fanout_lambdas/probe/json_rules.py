"""What JSON rules say of a document: each operator on the values found at its path.

All values at a path must hold. Where nothing is there, `absent` and `!=` hold (RFC 9535 2.3.5.2.2:
nothing equals nothing else) and every other operator fails. Nothing is converted: the text "5" is not
the number 5, true is not 1; 1 and 1.0 are one number. `contains` looks for a part of a text, an
element of an array or a name of an object; `length` counts characters, elements or members.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable
from typing import Any

from fanout_lambdas.patterns import compile_json_path
from fanout_lambdas.patterns.limits import Allowance, TooMuchWork
from fanout_lambdas.probe.content import Content, NotJson
from fanout_lambdas.shared.contracts import JsonRule

_SHOWN = 120
_CLEANED = 4_096  # a longer text is cut before its secrets are looked for
_written = json.JSONEncoder(ensure_ascii=False).encode
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def judge_json(
    rule: JsonRule, content: Content, allowance: Allowance, clean: Callable[[str], str]
) -> tuple[bool, str, str]:
    """Whether the rule holds, what was got, and the sentence for when it does not; `clean` makes
    the document's words fit to be shown."""
    if not content.raw:
        return False, "no body", "The body is empty."
    try:
        found = compile_json_path(rule.path).select(content.json(), allowance)
    except NotJson as error:
        return False, "not JSON", f"The body {error}."
    except TooMuchWork:
        message = f"The JSON path {rule.path} looks at too many values; make it more exact."
        return False, "too many values", message
    if not found:
        message = f"There is nothing at {rule.path} in the JSON body."
        return rule.op in ("absent", "!="), "nothing", message
    fault = None
    for value in found:
        fault = _fault(rule.op, value, rule.value)
        if fault is not None:
            break
    if isinstance(value, str):
        value = clean(value[:_CLEANED])
    if fault is None:
        return True, _literal(value), ""
    among = f", one of {len(found)} values" if len(found) > 1 else ""
    message = f"The JSON at {rule.path}{among}: got {_word(value)}{fault}."
    return False, _literal(value), message


def _fault(op: str, value: Any, expected: Any) -> str | None:
    """What is wrong with this value, as the end of a sentence; None when it holds."""
    match op:
        case "exists":
            return None
        case "absent":
            return ", expected nothing there"
        case "==":
            return None if _equal(value, expected) else f", expected {_word(expected)}"
        case "!=":
            return ", expected anything else" if _equal(value, expected) else None
        case "contains":
            part = f", expected it to contain {_word(expected)}"
            return None if _contains(value, expected) else part
        case "length":
            if not isinstance(value, (str, list, dict)):
                return f", expected something of length {expected}"
            length = len(value)
            return None if length == expected else f" of length {length}, expected {expected}"
    if type(value) not in (int, float):
        return f", expected a number {op} {_literal(expected)}"
    return None if _ORDERS[op](value, expected) else f", expected {op} {_literal(expected)}"


def _equal(one: Any, other: Any) -> bool:
    return _kind(one) is _kind(other) and bool(one == other)


def _contains(value: Any, part: Any) -> bool:
    if isinstance(value, list):
        return any(_equal(each, part) for each in value)
    return isinstance(value, (str, dict)) and isinstance(part, str) and part in value


def _kind(value: Any) -> type:
    return float if type(value) is int else type(value)


def _word(value: Any) -> str:
    match value:
        case str():
            return f"the text {_literal(value)}"
        case bool() | None:
            return _literal(value)
        case int() | float():
            return f"the number {_literal(value)}"
    return _literal(value)


def _literal(value: Any) -> str:
    """Short, and never the whole of a large value."""
    match value:
        case dict():
            return f"an object of {len(value)}"
        case list():
            return f"an array of {len(value)}"
        case str() if len(value) > _SHOWN:
            return _written(value[:_SHOWN])[:-1] + '…"'
    text = _written(value)
    return text if len(text) <= _SHOWN + 2 else text[:_SHOWN] + "…"

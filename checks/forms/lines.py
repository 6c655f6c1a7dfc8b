"""Fields of which each line is one entry: texts, patterns, rules. A fault names its line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError

from fanout_lambdas.patterns import compile_json_path, compile_regex
from fanout_lambdas.shared.contracts import ContractError, HeaderRule, JsonRule
from fanout_lambdas.shared.contracts.expectations import BARE_OPS, HEADER_OPS, JSON_OPS
from fanout_lambdas.shared.contracts.reading import Fields

_OPEN: Final = {"[": "]", "(": ")"}


class Lines(forms.CharField):
    """A list of texts, one on each line."""

    def __init__(self, *, rows: int = 2, **kwargs: Any) -> None:
        attributes = {"rows": rows, "spellcheck": "false", "autocapitalize": "none"}
        super().__init__(required=False, widget=forms.Textarea(attrs=attributes), **kwargs)

    def read(self, line: str) -> Any:
        """One line as its entry; ValueError or ContractError with a sentence."""
        return line

    def write(self, entry: Any) -> str:
        return str(entry)

    def clean(self, value: Any) -> list[Any]:
        text = super().clean(value)
        found, faults = [], []
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip():
                continue
            try:
                found.append(self.read(line.strip()))
            except ContractError as error:
                said = error.message.removeprefix(f"{error.field}: ")
                faults.append(ValidationError(f"Line {number}: {said}", code=error.rule))
            except ValueError as error:
                faults.append(ValidationError(f"Line {number}: {error}", code="line"))
        if faults:
            raise ValidationError(faults)
        return found

    def prepare_value(self, value: Any) -> Any:
        """A stored list as its lines; what was typed stays as it was."""
        return (
            value if isinstance(value, str) or value is None else "\n".join(map(self.write, value))
        )


class Patterns(Lines):
    """Regular expressions."""

    def read(self, line: str) -> str:
        compile_regex(line)
        return line


class JsonRules(Lines):
    """Rules such as `$.status == "ok"`, `$.items length 3`, `$.error absent`."""

    def read(self, line: str) -> dict[str, Any]:
        path, op, value = _parts(line, _end_of_path(line), JSON_OPS)
        document: dict[str, Any] = {"path": path, "op": op}
        if value:
            document["value"] = _json_value(value)
        rule = JsonRule.read(Fields(document))
        compile_json_path(rule.path)
        return rule.to_json()

    def write(self, entry: Mapping[str, Any]) -> str:
        return str(JsonRule.read(Fields(dict(entry))))


class HeaderRules(Lines):
    """Rules such as `Content-Type matches ^text/html`, `Server absent`."""

    def read(self, line: str) -> dict[str, Any]:
        name, op, value = _parts(line, len(line.split(maxsplit=1)[0]), HEADER_OPS)
        document = {"name": name, "op": op} | ({"value": value} if value else {})
        rule = HeaderRule.read(Fields(document))
        if rule.op == "matches":
            compile_regex(rule.value)
        return rule.to_json()

    def write(self, entry: Mapping[str, Any]) -> str:
        return str(HeaderRule.read(Fields(dict(entry))))


def _parts(line: str, end: int, ops: Sequence[str]) -> tuple[str, str, str]:
    """What is looked at, the operator, and the rest of the line."""
    operator, _, value = line[end:].strip().partition(" ")
    if operator not in ops:
        wrong = f"{operator[:20]} is no comparison" if operator else "the comparison is missing"
        raise ValueError(f"{wrong}; write one of {', '.join(ops)}.")
    if operator not in BARE_OPS and not value.strip():
        raise ValueError(f"{operator} needs something to compare with.")
    return line[:end], operator, value.strip()


def _end_of_path(line: str) -> int:
    """A path ends at the first space outside its brackets and quotes."""
    closing: list[str] = []
    quote, escaped = "", False
    for at, char in enumerate(line):
        if escaped:
            escaped = False
        elif quote:
            escaped = char == "\\"
            quote = "" if char == quote else quote
        elif char in "\"'" and closing:
            quote = char
        elif char in _OPEN:
            closing.append(_OPEN[char])
        elif closing and char == closing[-1]:
            closing.pop()
        elif char.isspace() and not closing:
            return at
    return len(line)


def _json_value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise ValueError(
            f'{text[:40]} is no value. Write a number, true, false, null or a text in quotes, such as "ok".'
        ) from None


def _no_constant(name: str) -> Any:
    raise ValueError(name)

"""Rules as people type them, one on each line; a fault names its line."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from checks.forms.lines import HeaderRules, JsonRules, Lines, Patterns

JSON, HEADER = JsonRules(), HeaderRules()


def faults(field: Lines, text: str) -> list[str]:
    with pytest.raises(ValidationError) as error:
        field.clean(text)
    return list(error.value.messages)


@pytest.mark.parametrize(
    ("line", "path", "op", "value"),
    [
        ('$.status == "ok"', "$.status", "==", "ok"),
        ('  $.status   ==   "two words == here"  ', "$.status", "==", "two words == here"),
        ("$.items length 3", "$.items", "length", 3),
        ("$.lag <= 4.5", "$.lag", "<=", 4.5),
        ("$.ready == true", "$.ready", "==", True),
        ("$.error == null", "$.error", "==", None),
        ('$["a key"]["]"] != "x"', '$["a key"]["]"]', "!=", "x"),
        (r"$['it\'s == here'] == 1", r"$['it\'s == here']", "==", 1),
        ("$.items[?@.price > 10] length 0", "$.items[?@.price > 10]", "length", 0),
        ('$.text contains "\\u00e9"', "$.text", "contains", "é"),
    ],
)
def test_a_json_rule_is_path_comparison_and_value(
    line: str, path: str, op: str, value: Any
) -> None:
    assert JSON.clean(line) == [{"path": path, "op": op, "value": value}]


def test_what_is_stored_is_written_as_it_may_be_typed() -> None:
    text = '$.status == "ok"\n$.items length 3\n$.error absent\n$.ready == true\n$.lag < 4.5'
    assert JSON.prepare_value(JSON.clean(text)) == text
    text = "Content-Type matches ^text/html; ?charset\nServer absent\nX-Cache == HIT from a"
    assert HEADER.prepare_value(HEADER.clean(text)) == text


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("$.status == ok", "ok is no value"),
        ("$.status = 1", "= is no comparison"),
        ("$.status", "the comparison is missing"),
        ("$.status ==", "== needs something to compare with"),
        ('$.status < "5"', "compares with a number"),
        ("$.status length 1.5", "whole number"),
        ("$.status exists 1", "takes no value"),
        ("$.status == [1]", "must be a string"),
        ("$.status == NaN", "NaN is no value"),
        ("$.status == 1e999", "finite"),
        ("$.status[ == 1", "comparison is missing"),
        ("status == 1", "3: a JSON path begins with $"),
        ("$..[ == 1", "comparison is missing"),
    ],
)
def test_a_wrong_json_rule_is_refused_with_its_line(line: str, said: str) -> None:
    (message,) = faults(JSON, f"$.fine exists\n\n{line}\n")
    assert message.startswith("Line 3: ")
    assert said in message


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Content-Type: text/html", "text/html is no comparison"),
        ("Content-Type: == text/html", "is not a header name"),
        ("Content-Type", "the comparison is missing"),
        ("Content-Type contains x", "contains is no comparison"),
        ("Content-Type matches (", "1: the regular expression lacks a closing )"),
        ("Server absent nginx", "takes no value"),
        ("Server ==", "needs something"),
    ],
)
def test_a_wrong_header_rule_is_refused_with_its_line(line: str, said: str) -> None:
    (message,) = faults(HEADER, line)
    assert message.startswith("Line 1: ")
    assert said in message


def test_each_wrong_line_is_named() -> None:
    assert [said[:7] for said in faults(Patterns(), "(\nfine\n[")] == ["Line 1:", "Line 3:"]
    assert Patterns().clean("a+\n\n b ") == ["a+", "b"]

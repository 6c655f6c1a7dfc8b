"""JSON rules: every operator on right, wrong and odd values, and bodies that are no JSON."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from fanout_lambdas.patterns.limits import Allowance
from fanout_lambdas.probe.content import Content
from fanout_lambdas.probe.json_rules import judge_json
from fanout_lambdas.shared.contracts import JsonRule

ABSENT = object()


def judged(
    body: bytes, path: str, op: str, value: Any = None, charset: str = "utf-8"
) -> tuple[bool, str, str]:
    rule = JsonRule(path=path, op=op, value=value)
    return judge_json(rule, Content(body, charset), Allowance(), lambda text: text)


def holds(got: Any, op: str, value: Any = None) -> bool:
    document = {} if got is ABSENT else {"a": got}
    return judged(json.dumps(document).encode(), "$.a", op, value)[0]


EQUALITY = [
    (5, 5, True),
    (5, 6, False),
    (1, 1.0, True),
    (1.0, 1, True),
    (0.1, 0.1, True),
    (2**53 + 1, 2**53, False),
    (2**63 - 1, 2**63 - 1, True),
    (10**30, 2**62, False),
    (-0.0, 0, True),
    ("5", 5, False),
    (5, "5", False),
    (True, 1, False),
    (1, True, False),
    (False, 0, False),
    (True, True, True),
    (True, False, False),
    ("true", True, False),
    (None, None, True),
    (None, False, False),
    (None, 0, False),
    (None, "", False),
    ("", "", True),
    ("", None, False),
    ("OK", "ok", False),
    ("é", "é", True),
    ("e\u0301", "é", False),
    ([], "", False),
    ({}, None, False),
    ([5], 5, False),
]


@pytest.mark.parametrize(("got", "value", "equal"), EQUALITY)
def test_equality_converts_nothing(got: Any, value: Any, equal: bool) -> None:
    assert holds(got, "==", value) is equal
    assert holds(got, "!=", value) is not equal


@pytest.mark.parametrize(
    ("got", "op", "value", "ok"),
    [
        (4, "<", 5, True),
        (5, "<", 5, False),
        (5, "<=", 5, True),
        (5.01, "<=", 5, False),
        (6, ">", 5, True),
        (5, ">", 5, False),
        (5, ">=", 5.0, True),
        (4.99, ">=", 5, False),
        (10**40, ">", 2**62, True),
        (-1, "<", 0, True),
        ("4", "<", 5, False),
        ("6", ">", 5, False),
        (True, ">", 0, False),
        (None, "<", 5, False),
        ([4], "<", 5, False),
        ({}, ">=", 0, False),
    ],
)
def test_orders_are_of_numbers(got: Any, op: str, value: float, ok: bool) -> None:
    assert holds(got, op, value) is ok


@pytest.mark.parametrize(
    ("got", "value", "ok"),
    [
        ("all is well", "is", True),
        ("all is well", "", True),
        ("all is well", "IS", False),
        ("v5", 5, False),
        (["a", "b"], "b", True),
        (["ab"], "b", False),
        ([1, 2], 2, True),
        ([1, 2], 2.0, True),
        ([True], 1, False),
        ([1], True, False),
        ([None], None, True),
        ([[1]], 1, False),
        ([], "a", False),
        ({"a": 1}, "a", True),
        ({"b": "a"}, "a", False),
        ({"1": 1}, 1, False),
        (55, 5, False),
        (None, "n", False),
    ],
)
def test_contains(got: Any, value: Any, ok: bool) -> None:
    assert holds(got, "contains", value) is ok


@pytest.mark.parametrize(
    ("got", "value", "ok"),
    [
        ("größe", 5, True),
        ("", 0, True),
        ([1, 2], 2, True),
        ([], 1, False),
        ({"a": 1}, 1, True),
        (12, 2, False),
        (None, 0, False),
        (True, 4, False),
    ],
)
def test_length(got: Any, value: int, ok: bool) -> None:
    assert holds(got, "length", value) is ok


@pytest.mark.parametrize(
    ("op", "value", "with_null", "with_nothing"),
    [
        ("exists", None, True, False),
        ("absent", None, False, True),
        ("==", None, True, False),
        ("!=", "x", True, True),
        ("!=", None, False, True),
        ("<", 5, False, False),
        ("contains", "x", False, False),
        ("length", 0, False, False),
    ],
)
def test_null_is_something(op: str, value: Any, with_null: bool, with_nothing: bool) -> None:
    assert holds(None, op, value) is with_null
    assert holds(ABSENT, op, value) is with_nothing


@pytest.mark.parametrize(
    ("path", "op", "value", "ok"),
    [
        ("$[*].up", "==", True, False),
        ("$[:2].up", "==", True, True),
        ("$[*].up", "!=", None, True),
        ("$[*].ms", "<", 100, True),
        ("$[*].ms", "<", 30, False),
        ("$[?@.up==false]", "absent", None, False),
        ("$[?@.ms>100]", "absent", None, True),
        ("$..up", "exists", None, True),
        ("$", "length", 3, True),
        ("$", "contains", 1, False),
    ],
)
def test_all_values_at_a_path_must_hold(path: str, op: str, value: Any, ok: bool) -> None:
    body = b'[{"up": true, "ms": 10}, {"up": true, "ms": 20}, {"up": false, "ms": 30}]'
    assert judged(body, path, op, value)[0] is ok


@pytest.mark.parametrize(
    ("body", "op", "value", "got", "message"),
    [
        ({"a": "5"}, "==", 5, '"5"', 'The JSON at $.a: got the text "5", expected the number 5.'),
        ({"a": 5}, "==", "5", "5", 'The JSON at $.a: got the number 5, expected the text "5".'),
        ({"a": True}, "==", 1, "true", "The JSON at $.a: got true, expected the number 1."),
        ({"a": None}, "==", "x", "null", 'The JSON at $.a: got null, expected the text "x".'),
        (
            {"a": [1, 2]},
            "==",
            1,
            "an array of 2",
            "The JSON at $.a: got an array of 2, expected the number 1.",
        ),
        ({"a": 7}, "<", 5, "7", "The JSON at $.a: got the number 7, expected < 5."),
        ({"a": "7"}, "<", 8, '"7"', 'The JSON at $.a: got the text "7", expected a number < 8.'),
        ({"a": 5}, "!=", 5, "5", "The JSON at $.a: got the number 5, expected anything else."),
        (
            {"a": "xyz"},
            "contains",
            "q",
            '"xyz"',
            'The JSON at $.a: got the text "xyz", expected it to contain the text "q".',
        ),
        (
            {"a": "xyz"},
            "length",
            2,
            '"xyz"',
            'The JSON at $.a: got the text "xyz" of length 3, expected 2.',
        ),
        (
            {"a": 5},
            "length",
            2,
            "5",
            "The JSON at $.a: got the number 5, expected something of length 2.",
        ),
        ({"b": 5}, "==", 5, "nothing", "There is nothing at $.a in the JSON body."),
        (
            {"a": {"x": 1}},
            "absent",
            None,
            "an object of 1",
            "The JSON at $.a: got an object of 1, expected nothing there.",
        ),
    ],
)
def test_messages(body: Any, op: str, value: Any, got: str, message: str) -> None:
    assert judged(json.dumps(body).encode(), "$.a", op, value) == (False, got, message)


def test_the_failing_value_is_the_one_shown() -> None:
    ok, got, message = judged(b'{"a": [1, 2, 9, 3]}', "$.a[*]", "<", 5)
    assert (ok, got) == (False, "9")
    assert message == "The JSON at $.a[*], one of 4 values: got the number 9, expected < 5."


def test_large_values_are_shown_short() -> None:
    body = json.dumps({"a": "x" * 5_000, "b": 10**4_000}).encode()
    for path in ("$.a", "$.b"):
        _, got, message = judged(body, path, "==", 1)
        assert len(got) < 130
        assert len(message) < 300


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        ('{"a": "größe"}'.encode(), "utf-8"),
        ('{"a": "größe"}'.encode("utf-8-sig"), "utf-8"),
        ('{"a": "größe"}'.encode("utf-16"), "utf-16"),
        ('{"a": "größe"}'.encode("utf-16-le"), "utf-8"),
        ('{"a": "größe"}'.encode("utf-32-be"), "utf-8"),
        ('{"a": "größe"}'.encode("latin-1"), "iso-8859-1"),
        (b' \n{"a": "gr\\u00f6\\u00dfe"}\r\n', "ascii"),
        ('{"a": 1, "a": "größe"}'.encode(), "utf-8"),
    ],
)
def test_encodings_and_the_last_of_a_name_counts(body: bytes, charset: str) -> None:
    assert judged(body, "$.a", "==", "größe", charset)[0]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>", "is not valid JSON at character 1: expecting value"),
        (b'{"a": 1} x', "is not valid JSON at character 10: extra data"),
        (b'{"a": 1', "is not valid JSON at character 8"),
        (b"{'a': 1}", "is not valid JSON at character 2"),
        (b'{"a": NaN}', "has a number that is none"),
        (b"[-Infinity]", "has a number that is none"),
        (b"[" + b"9" * 5_000 + b"]", "has a number that is none"),
        (b"[" * 50_000 + b"]" * 50_000, "is nested too deeply"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "is nested too deeply"),
        (b"[" * 600_000, "holds more than 100,000 objects and arrays"),
        (b"\xff\xff", "is not valid JSON"),
        (b"\xef\xbb\xbf", "is not valid JSON"),
        (b"\0", "is not valid JSON"),
        (b"null x", "extra data"),
        (b"1" + b" " * 1_000_000 + b"1", "extra data"),
    ],
)
def test_what_is_no_json(body: bytes, words: str) -> None:
    began = time.thread_time()
    for op in ("exists", "absent", "!="):
        ok, got, message = judged(body, "$.a", op, 1)
        assert (ok, got) == (False, "not JSON")
        assert words in message
        assert message.startswith("The body ")
    assert time.thread_time() - began < 1


def test_scalars_are_documents() -> None:
    assert judged(b"5", "$", "==", 5)[0]
    assert judged(b'"ok"', "$", "contains", "ok")[0]
    assert judged(b"null", "$", "exists")[0]
    assert judged(b"null", "$.a", "absent")[0]
    assert judged(b"1e999", "$", ">", 5)[0]
    assert not judged(b"", "$", "absent")[0]


def test_too_many_values_have_a_sentence() -> None:
    ok, got, message = judged(b"[" + b"[]," * 99_000 + b"[]]", "$..*..*", "exists")
    assert (ok, got) == (False, "too many values")
    assert message == "The JSON path $..*..* looks at too many values; make it more exact."

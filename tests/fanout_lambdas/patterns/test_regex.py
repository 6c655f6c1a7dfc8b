"""Regular expressions: what they mean, what is refused, and what the worst of them cost."""

from __future__ import annotations

import random
import subprocess
import sys
import time

import pytest

from fanout_lambdas.patterns import check_patterns, compile_regex
from fanout_lambdas.patterns.limits import Allowance, OutOfTime
from fanout_lambdas.shared.contracts import ContractError, Probe

MIB = 1024 * 1024
SLACK = 2.5  # CPU time grows too when others use the same core


def found(pattern: str, text: str | bytes) -> bool:
    raw = text.encode() if isinstance(text, str) else text
    return compile_regex(pattern).search(raw, Allowance())


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("ok", "all is ok.", True),
        ("ok", "all is OK.", False),
        ("(?i)ok", "all is OK.", True),
        ("^ok$", "ok", True),
        ("^ok$", "ok\n", False),
        ("(?m)^ok$", "not\nok\nyet", True),
        ("^ok", "not ok", False),
        ("a.c", "a\nc", False),
        ("(?s)a.c", "a\nc", True),
        (r"\bcat\b", "a cat.", True),
        (r"\bcat\b", "concat", False),
        (r"v\d+\.\d+", "v12.5", True),
        ("(?P<name>x)(y|z)", "xz", True),
        ("", "", True),
        ("^$", "", True),
        ("naïve|ünïcödé", "so ünïcödé", True),
        ("^.$", "漢", True),
        ("(?i)ÄRGER", "ärger", True),
        (r"^\p{L}+$", "größe", True),
        (r"^\w+$", "größe", False),
        ("a.b", b"a\xffb", False),
        ("z", b"\xff\xfe\0z", True),
        (r"\x00", b"a\0b", True),
    ],
)
def test_search(pattern: str, text: str | bytes, expected: bool) -> None:
    assert found(pattern, text) is expected


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(ab", "lacks a closing )"),
        ("ab)", "unexpected )"),
        ("[ab", "lacks a closing ]"),
        ("xa**", "(character 3: **)"),
        ("*a", "(character 1: *)"),
        ("[z-a]", "(character 2: z-a)"),
        ("a(?=b)", "look-ahead and look-behind are not supported (character 2)"),
        ("(?<!a)b", "look-ahead and look-behind are not supported (character 1)"),
        (r"(a)\1", "back-references are not supported (character 4)"),
        ("(?P<n>a)(?P=n)", "back-references are not supported (character 9)"),
        (r"a\Z", r"\Z is not supported"),
        (r"\p{Foo}", "not valid"),
        ("a{1001}", "too large"),
        (r"\p{L}{50}", "too large"),
        ("((((a{1,99}){1,99}){1,99}){1,99})", "too large"),
    ],
)
def test_refused_with_the_place(pattern: str, words: str) -> None:
    with pytest.raises(ContractError) as caught:
        compile_regex(pattern, "regex.3")
    assert (caught.value.field, caught.value.rule) == ("regex.3", "regex")
    assert words in caught.value.message
    assert caught.value.message.startswith("regex.3: ")
    assert caught.value.message.endswith(".")


TEXTS = {
    "one letter": b"a" * MIB,
    "two letters": bytes(random.Random(1).choices(b"ab", k=MIB)),
    "words": bytes(random.Random(2).choices(b"abcdefgh 0123456789<>=", k=MIB)),
    "umlauts": ("äöü漢" * MIB).encode()[:MIB],
}


@pytest.mark.parametrize(
    ("pattern", "answers"),
    [
        ("(a+)+$", True),
        ("(a|a)*b", True),
        (".*.*.*x", True),
        ("(.*a){30}Z", True),
        (r"(\w+\s?)+$!", True),
        ("(?i)hello.*world", True),
        # In these RE2's automaton outgrows its memory, on some text at least.
        ("[ab]*a[ab]{20}c", False),
        ("a[ab]{400}c", False),
        ("(a?){300}a{300}b", False),
        ("((a{1,30}){1,30})b", False),
        ("a.{0,100}b.{0,100}Q", False),
        ("[^b]{390}b", False),
        ("(.?){390}Q", False),
    ],
)
def test_the_worst_patterns_are_cheap(pattern: str, answers: bool) -> None:
    regex = compile_regex(pattern)
    for name, text in TEXTS.items():
        began, known = time.thread_time(), True
        try:
            regex.search(text, Allowance())
        except OutOfTime:
            known = False
        assert time.thread_time() - began < 0.1 * SLACK, name
        assert known or not answers, name


def test_all_searches_of_one_answer_share_their_time() -> None:
    allowance, gave_up = Allowance(), 0
    began = time.thread_time()
    for repeat in range(300, 320):
        try:
            compile_regex(f"a[ab]{{{repeat}}}c").search(TEXTS["two letters"], allowance)
        except OutOfTime:
            gave_up += 1
    assert gave_up == 20
    assert time.thread_time() - began < 0.1 * SLACK


@pytest.mark.parametrize("at", [0, 100, 107_140, 500_000, MIB - 9])
def test_a_match_anywhere_in_a_large_text(at: int) -> None:
    text = bytearray(b".") * MIB
    text[at : at + 9] = b"status=ok"
    assert found("status.ok", bytes(text))
    assert found("é" * 1_024, b"." * 1_500 + "é".encode() * 1_024 + b"." * MIB)


def test_a_match_across_the_end_of_a_window() -> None:
    pattern = "x{900}y|status=ok"  # large, so that its windows are small
    for at in range(2_000, 4_200):
        text = b"." * at + b"status=ok" + b"." * 8_000
        assert found(pattern, text), at


def test_windows_do_not_move_the_anchors() -> None:
    text = b"ab" * (MIB // 2)
    assert not found("^b", text)
    assert not found("a$", text)
    assert not found(r"\ba.{1,100}\b", text)
    assert found("b$", text)


def test_engines_are_loaded_with_the_first_pattern() -> None:
    code = (
        "import sys; from fanout_lambdas.patterns import compile_regex, compile_json_path\n"
        "import fanout_lambdas.probe.assertions\n"
        "loaded = lambda: [name for name in ('re2', 'jsonpath') if name in sys.modules]\n"
        "print(loaded()); compile_regex('a'); print(loaded()); compile_json_path('$'); print(loaded())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split("\n")[:3] == ["[]", "['re2']", "['re2', 'jsonpath']"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"regex": ["ok", "(x"]}, "regex.1"),
        ({"regex_absent": ["(?!x)"]}, "regex_absent.0"),
        ({"header": [{"name": "X", "op": "matches", "value": "["}]}, "header.0.value"),
        ({"header": [{"name": "X", "op": "==", "value": "["}]}, None),
        ({"json": [{"path": "$.a", "op": "exists"}, {"path": "a", "op": "exists"}]}, "json.1.path"),
        ({"regex": ["ok"], "json": [{"path": "$..a", "op": "exists"}]}, None),
        ({}, None),
    ],
)
def test_check_patterns_names_the_field(fields: dict[str, object], field: str | None) -> None:
    probe = Probe.from_json({"check_id": 1, "slot": 0, "url": "http://example.com"} | fields)
    if field is None:
        check_patterns(probe)
        return
    with pytest.raises(ContractError) as caught:
        check_patterns(probe)
    assert caught.value.field == field

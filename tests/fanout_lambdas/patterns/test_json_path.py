"""JSON paths: the standard's examples, what is refused, and what the worst of them cost."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import pytest

from fanout_lambdas.patterns import compile_json_path
from fanout_lambdas.patterns.limits import Allowance, TooMuchWork
from fanout_lambdas.shared.contracts import ContractError

SLACK = 2.5  # CPU time grows too when others use the same core

# RFC 9535 figure 1.
STORE = json.loads(
    """{"store": {"book": [
    {"category": "reference", "author": "Nigel Rees", "title": "Sayings", "price": 8.95},
    {"category": "fiction", "author": "Evelyn Waugh", "title": "Sword of Honour", "price": 12.99},
    {"category": "fiction", "author": "Herman Melville", "title": "Moby Dick",
     "isbn": "0-553-21311-3", "price": 8.99},
    {"category": "fiction", "author": "J. R. R. Tolkien", "title": "The Lord of the Rings",
     "isbn": "0-395-19395-8", "price": 22.99}],
    "bicycle": {"color": "red", "price": 399}}}"""
)
BOOKS = STORE["store"]["book"]


def select(path: str, document: Any) -> list[Any]:
    return compile_json_path(path).select(document, Allowance())


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$", [STORE]),
        ("$.store.book[*].author", [book["author"] for book in BOOKS]),
        ("$..author", [book["author"] for book in BOOKS]),
        ("$.store.*", [BOOKS, STORE["store"]["bicycle"]]),
        ("$.store..price", [8.95, 12.99, 8.99, 22.99, 399]),
        ("$..book[2]", [BOOKS[2]]),
        ("$..book[2].publisher", []),
        ("$..book[-1]", [BOOKS[-1]]),
        ("$..book[0,1]", BOOKS[:2]),
        ("$..book[:2]", BOOKS[:2]),
        ("$..book[::-1]", BOOKS[::-1]),
        ("$..book[::0]", []),
        ("$..book[?@.isbn]", BOOKS[2:]),
        ("$..book[?@.price<10]", [BOOKS[0], BOOKS[2]]),
        ("$..book[?@.price<10 && !@.isbn].title", ["Sayings"]),
        ("$..book[?length(@.title)==9].title", ["Moby Dick"]),
        ("$['store']['bicycle', \"book\"][?@=='red']", ["red"]),
        ("$.store.book[99]", []),
        ("$.store.book[-5]", []),
        ("$.store[0]", []),
        ("$.store.book.author", []),
        ("$.store.bicycle.color[0]", []),
        ("$.store.bicycle.color.x", []),
    ],
)
def test_select(path: str, expected: list[Any]) -> None:
    assert select(path, STORE) == expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("@ == 1", [1, 1.0]),
        ("@ < 5", [1, 1.0]),
        ("@ <= 1", [1, 1.0]),
        ("@ >= 1", [1, 1.0, 7]),
        ("@ > 5", [7]),
        ("5 > @", [1, 1.0]),
        ("@ == true", [True]),
        ("@ <= true", [True]),
        ("@ < true", []),
        ("@ == '1'", ["1"]),
        ("@ > '0'", ["1"]),
        ("@ == null", [None]),
        ("@ != 1", [True, False, "1", None, 7, [1], {"a": 1}]),
        ("@.a == 1", [{"a": 1}]),
        ("@[0]", [[1]]),
        ("@.x == @.y", [1, True, False, 1.0, "1", None, 7, [1], {"a": 1}]),
    ],
)
def test_filters_convert_nothing(condition: str, expected: list[Any]) -> None:
    found = select(f"$[?{condition}]", [1, True, False, 1.0, "1", None, 7, [1], {"a": 1}])
    assert json.dumps(found) == json.dumps(expected)


def test_select_all_values_in_order() -> None:
    assert select("$..*", {"a": [1, {"b": 2}], "c": 3}) == [[1, {"b": 2}], 3, 1, {"b": 2}, 2]
    assert select("$..[*]", []) == []
    assert select("$", 5) == [5]
    assert select("$..a", 5) == []
    assert select("$.ключ['\\u00e9']", {"ключ": {"é": 1}}) == [1]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("a.b", "begins with $"),
        (".a", "begins with $"),
        ("$.", "at its end"),
        ("$[", "at its end"),
        ("$.a b", "at character 5"),
        ("$.a|$.b", "at character 4"),
        ("$[01]", "at character 3"),
        ("$['a'", "at its end"),
        ("$[99999999999999999999]", "out of range"),
        ("$[?@.a =~ /x/]", "at character 8"),
        ("$[?match(@.a, 'x')]", "'match' is not defined"),
        ("$[?search(@.a, 'x')]", "'search' is not defined"),
        ("$[?@..a]", "must name one value"),
        ("$[?@.*]", "must name one value"),
        ("$[?@[?@.a]]", "must name one value"),
        ("$[?@.a == $.b]", "must begin with @"),
        ("$[?" + "!" * 400 + "@.a]", "nested too deeply"),
        ("$[?" + "(" * 900 + "@.a", "not valid"),
        ("$[?@.a == 1e999]", "number too large"),
        ("$~", "not valid"),
    ],
)
def test_refused_with_the_place(path: str, words: str) -> None:
    with pytest.raises(ContractError) as caught:
        compile_json_path(path, "json.0.path")
    assert (caught.value.field, caught.value.rule) == ("json.0.path", "json_path")
    assert words in caught.value.message
    assert len(caught.value.message) < 300


LARGE = {
    "empty arrays": [[] for _ in range(99_999)],
    "numbers": [1] * 500_000,
    "objects": [{"a": 1} for _ in range(99_999)],
    "deep": json.loads('{"a":' * 400 + "1" + "}" * 400),
    "deep and wide": [json.loads('{"a":' * 90 + "1" + "}" * 90) for _ in range(1_100)],
}


@pytest.mark.parametrize(
    "path",
    [
        "$..a",
        "$..a..b..c",
        "$" + "..*" * 300,
        "$" + "..a" * 300,
        "$..[?@.a>0 && @.a<5 || length(@.a)==3]",
        "$[" + ",".join(["0:"] * 300) + "]",
        "$" + "[*,*]" * 150,
    ],
)
def test_the_worst_paths_are_cheap(path: str) -> None:
    compiled = compile_json_path(path)
    for name, document in LARGE.items():
        began = time.thread_time()
        with contextlib.suppress(TooMuchWork):
            compiled.select(document, Allowance())
        assert time.thread_time() - began < 0.12 * SLACK, name


def test_usual_paths_have_work_enough() -> None:
    document = {"items": [{"id": at, "tags": ["a", "b"]} for at in range(10_000)]}
    assert len(select("$..id", document)) == 10_000
    assert select("$.items[?@.id==9999].id", {"items": document["items"][-5_000:]}) == [9_999]


def test_paths_of_one_answer_share_their_work() -> None:
    path, allowance = compile_json_path("$..a"), Allowance()
    path.select(LARGE["numbers"], allowance)
    with pytest.raises(TooMuchWork):
        path.select(LARGE["objects"], allowance)

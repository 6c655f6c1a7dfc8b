"""Assertions in words: one label for each kind, units beside numbers."""

from __future__ import annotations

import pytest

from checks.validation import ASSERTION_FIELDS
from dashboard.changes import changes_in, field_word
from dashboard.verdicts import assertion_word, expected_words, got_words


def test_every_assertion_has_a_label_of_its_own() -> None:
    kinds = [name for name in ASSERTION_FIELDS if name != "max_latency_outcome"]
    words = {assertion_word(kind) for kind in kinds}
    assert len(words) == len(kinds)
    assert not any("_" in word for word in words)
    assert assertion_word("some_new_kind") == "Some new kind"


@pytest.mark.parametrize(
    ("kind", "expected", "got", "words"),
    [
        ("max_latency_ms", "800", "1203", ("at most 800 ms", "1.20 s")),
        ("min_body_bytes", "2000", "33", ("at least 2.0 kB", "33 B")),
        ("expected_status", "200-299", "503", ("200-299", "503")),
        ("keyword", "800", "", ("800", "nothing")),
        ("json", '$.status == "ok"', '"bad"', ('$.status == "ok"', '"bad"')),
    ],
)
def test_numbers_have_their_unit(
    kind: str, expected: str, got: str, words: tuple[str, str]
) -> None:
    assert (expected_words(kind, expected), got_words(kind, got)) == words


def test_changed_rules_are_written_as_they_are_typed() -> None:
    rule = {"op": "==", "path": "$.status", "value": "ok"}  # the order in which PostgreSQL keeps it
    header = {"op": "absent", "name": "Server"}
    detail = {
        "changes": {
            "json": [[], [rule]],
            "header": [[header], []],
            "grace_s": [300, 1_800],
            "auth": ["(hidden)", "(hidden)"],
            "min_body_bytes": [None, 2_000],
        }
    }
    found = {change.word: (change.old, change.new) for change in changes_in(detail, regions={})}
    assert found == {
        "JSON rules": ("none", '$.status == "ok"'),
        "Header rules": ("Server absent", "none"),
        "Grace": ("5 min", "30 min"),
        "Credentials": ("", ""),
        "Least size": ("none", "2.0 kB"),
    }
    assert not any("_" in field_word(name) for name in ASSERTION_FIELDS)

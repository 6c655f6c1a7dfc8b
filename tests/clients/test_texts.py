"""One line of text: what may stand in a name."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from clients.texts import clean_line


def rule_of(text: object) -> str:
    with pytest.raises(ValidationError) as error:
        clean_line(text, label="The name", longest=20)
    return error.value.code or ""


@pytest.mark.parametrize("text", ["Größe", "株式会社", "مراقبة", "Café ☕", "a & b <c>"])
def test_names_of_all_languages_are_welcome(text: str) -> None:
    assert clean_line(f"  {text} ", label="The name", longest=20) == text


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (None, "type"),
        (" ", "empty"),
        ("x" * 21, "length"),
        ("a\r\nBcc: x", "characters"),
        ("a\0b", "characters"),
        ("a\ud800", "characters"),
        ("pay\u202egnp.exe", "invisible"),  # turns the rest of the line round
        ("\u2066a\u2069", "invisible"),
        ("Shop\u200b", "invisible"),  # looks like Shop and is not
        ("\ufeffShop", "invisible"),
        ("a\u00adb", "invisible"),
    ],
)
def test_what_breaks_or_disguises_a_line_is_refused(text: object, rule: str) -> None:
    assert rule_of(text) == rule

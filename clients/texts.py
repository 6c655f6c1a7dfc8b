"""One line of text as people type it: trimmed, bounded, without what breaks or disguises it in mails and lists."""

from __future__ import annotations

import unicodedata
from typing import Any

from django.core.exceptions import ValidationError


def clean_line(value: Any, *, label: str, longest: int) -> str:
    """The text without outer spaces, or ValidationError whose code names the rule."""
    if not isinstance(value, str):
        raise ValidationError(f"{label} must be a text.", code="type")
    text = str(value).strip()
    if not text:
        raise ValidationError(f"{label} must not be empty.", code="empty")
    if len(text) > longest:
        raise ValidationError(f"{label} is longer than {longest} characters.", code="length")
    # Cc: CR, LF, NUL and their like; Cs: half of a surrogate pair, which UTF-8 cannot hold.
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in text):
        raise ValidationError(
            f"{label} contains a line break or a control character.", code="characters"
        )
    # Cf: marks that nobody sees; they turn the direction of a line round or make two names look alike.
    if any(unicodedata.category(char) == "Cf" for char in text):
        raise ValidationError(
            f"{label} contains an invisible character, such as a mark of direction or of zero width. "
            "Type it anew instead of pasting it.",
            code="invisible",
        )
    return text

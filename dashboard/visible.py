"""PURE: texts of strangers in which no character hides, or turns what stands beside it (hop 10)."""

from __future__ import annotations

from typing import Final
from unicodedata import category

_HIDDEN_KINDS: Final = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
_BLANK_LETTERS: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
_LAYOUT: Final = frozenset("\t\n\r")


def visible(text: str) -> str:
    r"""A right-to-left override as \u202e; line ends and tabs stay."""
    return "".join(_escaped(char) if _hides(char) else char for char in text)


def _hides(char: str) -> bool:
    if " " <= char <= "~" or char in _LAYOUT:
        return False
    return category(char) in _HIDDEN_KINDS or char in _BLANK_LETTERS


def _escaped(char: str) -> str:
    code = ord(char)
    if code > 0xFFFF:
        return f"\\U{code:08x}"
    return f"\\u{code:04x}" if code > 0xFF else f"\\x{code:02x}"

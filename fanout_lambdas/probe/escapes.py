"""The backslash escapes of a TCP check's texts."""

from __future__ import annotations

import re

_ESCAPE = re.compile(r"\\(?:([rnt\\])|x([0-9A-Fa-f]{2}))")
_ESCAPED = {"r": b"\r", "n": b"\n", "t": b"\t", "\\": b"\\"}


def unescaped(text: str) -> bytes:
    r"""What a check sends or expects, as bytes: UTF-8, and \r \n \t \\ \xHH for single bytes.
    Any other backslash stands for itself."""
    found, end = bytearray(), 0
    for match in _ESCAPE.finditer(text):
        found += text[end : match.start()].encode()
        found += _ESCAPED[match[1]] if match[1] else bytes.fromhex(match[2])
        end = match.end()
    return bytes(found + text[end:].encode())

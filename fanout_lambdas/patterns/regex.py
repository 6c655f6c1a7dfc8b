"""Regular expressions in RE2, which never backtracks, with a bound on its own slow case.

RE2 reads a text once while its automaton stays small. Where it does not (`a[ab]{400}c` on a text of
a and b), it falls back to a matcher whose time is text x program: seconds for 1 MiB. A text is
therefore searched in windows short enough for that matcher too, with a look at the clock in between.
"""

from __future__ import annotations

import re
from functools import lru_cache

import re2

from fanout_lambdas.patterns.limits import Allowance
from fanout_lambdas.shared.contracts import ContractError

_MAX_MEMORY = 512 * 1024  # bytes of one pattern's program and automaton
_MAX_PROGRAM = 4_000  # instructions
_WINDOW_WORK = 3_000_000  # bytes x instructions: at most about 40 ms in the slow matcher
_LEAST_WINDOW = 4_096  # bytes: the longest literal has 2,048
_KEPT = 128  # compiled patterns in a process

_LOOK_AROUND = re.compile(r"\(\?<?[=!]")
_BACK_REFERENCE = re.compile(r"\\[1-9]|\\g<|\\k<|\(\?P=")
_UNCLOSED = re.compile(r"missing (?P<what>[)\]])")


class Regex:
    """One compiled pattern. `\\d`, `\\w`, `\\s` and `\\b` are about ASCII, `\\p{L}` is any letter,
    `$` is the very end of the text, or of a line with `(?m)`."""

    __slots__ = ("_compiled", "_window")

    def __init__(self, pattern: str) -> None:
        options = re2.Options()
        options.max_mem = _MAX_MEMORY
        options.never_capture = True
        options.log_errors = False
        self._compiled = re2.compile(pattern, options)
        size = self._compiled.programsize
        if size > _MAX_PROGRAM:
            raise re2.error(b"pattern too large - compile failed")
        self._window = max(_LEAST_WINDOW, _WINDOW_WORK // size)

    def search(self, text: bytes, allowance: Allowance) -> bool:
        """Whether the UTF-8 text has a match anywhere. In a text larger than one window (107 kB
        for a usual pattern, 4 kB for the largest allowed) a match of more than half a window
        is not looked for. Raises OutOfTime; the last window may take 40 ms more than allowed."""
        search, window, end = self._compiled.search, self._window, len(text)
        start = 0
        while True:
            began = allowance.begin()
            # The engine sees the text around the window: ^, $ and \b mean what they mean.
            found = search(text, start, start + window)
            allowance.end(began)
            if found is not None:
                return True
            if start + window >= end:
                return False
            start += window // 2


def compiled(pattern: str, field: str) -> Regex:
    try:
        return _compiled(pattern)
    except re2.error as error:
        raise ContractError(field, "regex", f"{field}: {_explained(error, pattern)}") from None


@lru_cache(maxsize=_KEPT)
def _compiled(pattern: str) -> Regex:
    return Regex(pattern)


def _explained(error: Exception, pattern: str) -> str:
    raw = error.args[0] if error.args else b""
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
    kind, _, part = text.partition(": ")
    if "too large" in kind or "repetition size" in kind:
        return "the regular expression is too large: repeat less, or use smaller classes."
    if found := _LOOK_AROUND.search(pattern):
        return f"look-ahead and look-behind are not supported ({_place(found.start())})."
    if found := _BACK_REFERENCE.search(pattern):
        return f"back-references are not supported ({_place(found.start())})."
    if found := _UNCLOSED.match(kind):
        return f"the regular expression lacks a closing {found['what']}."
    if pattern.endswith("\\Z") or part == "\\Z":
        return "\\Z is not supported; the end of the text is \\z or $."
    at = pattern.find(part) if part and part != pattern else -1
    where = f" ({_place(at)}: {part[:40]})" if at >= 0 else ""
    return f"the regular expression is not valid: {kind}{where}."


def _place(index: int) -> str:
    return f"character {index + 1}"

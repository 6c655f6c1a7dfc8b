"""The body of an answer as assertions see it: bytes, UTF-8, words or JSON, each made when asked for."""

from __future__ import annotations

import codecs
import json
from functools import lru_cache
from typing import Any, NoReturn

# A server names the charset. Python also knows codecs that are no charsets (zip, hex) and some that
# take quadratic time (punycode), so only what stands on the web is followed.
_FAMILIES = ("iso8859-", "cp125", "koi8-", "mac-")
_CHARSETS = frozenset(
    ("utf-8", "ascii", "latin-1", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le")
) | {"utf-32-be", "gb2312", "gbk", "gb18030", "big5", "big5hkscs", "euc_jp", "euc_kr", "shift_jis"}
_CHARSETS |= {"iso2022_jp", "tis-620", "cp437", "cp850", "cp866", "cp874", "cp932", "cp949"}
# In these a word's bytes depend on what stands before it, or on a mark at the very beginning.
_NEEDS_TEXT = frozenset({"utf-16", "utf-32", "iso2022_jp"})
_AS_IT_IS = frozenset({"utf-8", "ascii"})
_BOM = codecs.BOM_UTF8
_UNREAD: Any = object()

MAX_CONTAINERS = 100_000  # objects and arrays; as Python objects they take some 25 MB


class NotJson(Exception):
    """The body is not JSON that can be judged; the message says why."""


@lru_cache(maxsize=256)
def charset_of(label: str) -> str:
    """Python's name for a charset that is in use on the web; utf-8 for any other."""
    try:
        name = codecs.lookup(label).name
    except (LookupError, ValueError):
        return "utf-8"
    return name if name in _CHARSETS or name.startswith(_FAMILIES) else "utf-8"


class Content:
    """One body; each view is made at most once."""

    __slots__ = ("_charset", "_json", "_text", "_utf8", "raw")

    def __init__(self, raw: bytes | bytearray, charset: str) -> None:
        self.raw = raw
        self._charset = charset_of(charset)
        self._text: str | None = None
        self._utf8: bytes | None = None
        self._json: Any = _UNREAD

    def holds(self, word: str) -> bool:
        """Whether the word stands anywhere, letter by letter."""
        if self._charset in _NEEDS_TEXT:
            return word in self.text()
        return _encoded(word, self._charset) in self.raw

    def text(self) -> str:
        if self._text is None:
            self._text = bytes(self.raw).decode(self._charset, "replace")
        return self._text

    def utf8(self) -> bytes:
        """Without a byte order mark, so that ^ is where the text begins."""
        if self._utf8 is None:
            if self._charset in _AS_IT_IS:
                self._utf8 = bytes(self.raw).removeprefix(_BOM)
            else:
                self._utf8 = self.text().removeprefix("\ufeff").encode("utf-8", "replace")
        return self._utf8

    def json(self) -> Any:
        """The JSON document; of a name that stands twice in an object the last counts. Raises NotJson."""
        if self._json is _UNREAD:
            self._json = self._parsed()
        if isinstance(self._json, NotJson):
            raise NotJson(*self._json.args)  # its own: one that was raised knows this object
        return self._json

    def _parsed(self) -> Any:
        raw = self.raw
        if raw.count(b"{") + raw.count(b"[") > MAX_CONTAINERS:
            return NotJson(f"holds more than {MAX_CONTAINERS:,} objects and arrays")
        try:
            try:
                # JSON is UTF-8; UTF-16 and UTF-32 are known by their zero bytes.
                text = raw.decode(json.detect_encoding(raw))
            except UnicodeDecodeError:
                text = self.text().removeprefix("\ufeff")
            return _DECODER.decode(text)
        except json.JSONDecodeError as error:
            return NotJson(f"is not valid JSON at character {error.pos + 1}: {_plain(error.msg)}")
        except ValueError:  # NaN, or a number of thousands of digits
            return NotJson("is not valid JSON: it has a number that is none")
        except RecursionError:
            return NotJson("is nested too deeply to be read as JSON")


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_constant=_no_number)


def _plain(message: str) -> str:
    return message[:1].lower() + message[1:].partition(":")[0]


@lru_cache(maxsize=1_024)
def _encoded(word: str, charset: str) -> bytes:
    try:
        return word.encode(charset)
    except UnicodeEncodeError:
        return word.encode("utf-8")

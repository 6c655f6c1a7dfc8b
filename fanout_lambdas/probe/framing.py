"""HTTP/1.x on the wire, without I/O: the request as bytes, the answer's head, where its body ends.

RFC 9112, read as browsers read it: what they put up with is up here too, so a header line that is
none is skipped; what leaves the message's end in doubt is an error. Parsers that are stricter would
wake people about sites that everybody can see.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

MAX_HEAD_BYTES = 100 * 1024  # status line and headers; also the trailers, and one chunk's size line
MAX_FIELDS = 5_000  # header lines of one answer, as curl has it
MAX_CHUNKS = 65_536  # of one body: each costs as much CPU as a kilobyte in one piece

_START = b"HTTP/"
_BLANK = re.compile(rb"\n\r?\n")
_STATUS = re.compile(rb"HTTP/([0-9](?:\.[0-9])?)[ \t]+([1-9][0-9]{2})(?:[ \t].*)?")
_FOLD = re.compile(rb"\n[ \t]+")
_FIELD = re.compile(rb"^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*)$", re.MULTILINE)
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;.*)?")
_LENGTH = re.compile(rb"0*[0-9]{1,18}")


class BadAnswer(Exception):
    """The answer breaks HTTP; the text is a whole sentence for people."""


class Malformed(BadAnswer):
    def __init__(self, what: str) -> None:
        super().__init__(f"The answer is not valid HTTP: {what}.")


class Cut(BadAnswer):
    def __init__(self) -> None:
        super().__init__("The server closed the connection before its answer was complete.")


class TooLong(BadAnswer):
    def __init__(self, what: str) -> None:
        super().__init__(f"The answer's {what} larger than {MAX_HEAD_BYTES // 1024} kB.")


class Head(NamedTuple):
    """Status line and headers of one answer, an informational one or the last."""

    http_status: int
    version: str  # "1.1"
    headers: list[tuple[bytes, bytes]]  # names in lower case
    is_ascii: bool


def request_head(
    method: str, path: bytes, headers: Iterable[tuple[bytes, bytes]], body: bytes
) -> bytes:
    """The request as it goes out. ValueError where a part would end its line."""
    lines = [b"%s %s HTTP/1.1" % (method.encode("ascii"), path)]
    lines += [name + b": " + value for name, value in headers]
    head = b"\r\n".join(lines)
    if head.count(b"\n") != len(lines) - 1 or head.count(b"\r") != len(lines) - 1:
        raise ValueError("a line break inside a header")
    return head + b"\r\n\r\n" + body


class HeadReader:
    """Collects bytes until a head is whole."""

    __slots__ = ("_data", "_seen")

    def __init__(self) -> None:
        self._data = b""
        self._seen = 0

    def feed(self, data: bytes) -> Head | None:
        """The next head, once it is there; `rest` then holds what came behind it."""
        data = self._data + data
        if data[:1] in b"\r\n":
            data = data.lstrip(b"\r\n")
        if data[:5] != _START[: len(data)]:
            raise Malformed("it does not begin with HTTP/")
        self._data = data
        blank = _BLANK.search(data, self._seen)
        if blank is None:
            if len(data) > MAX_HEAD_BYTES:
                raise TooLong("headers are")
            self._seen = max(0, len(data) - 2)
            return None
        if blank.start() > MAX_HEAD_BYTES:
            raise TooLong("headers are")
        self._data, self._seen = data[blank.end() :], 0
        return read_head(data[: blank.start()])

    @property
    def rest(self) -> bytes:
        return self._data


def read_head(block: bytes) -> Head:
    """The head that `block` is, without its blank line."""
    block = block.replace(b"\r\n", b"\n").removesuffix(b"\r")
    if b"\r" in block or b"\0" in block:
        raise Malformed("its headers contain a control character")
    first, _, rest = block.partition(b"\n")
    status = _STATUS.fullmatch(first)
    if status is None:
        raise Malformed("its first line is not a status line")
    if rest[:1] in (b" ", b"\t"):
        raise Malformed("its headers begin with a continued line")
    if b"\n " in rest or b"\n\t" in rest:
        rest = _FOLD.sub(b" ", rest)
    if rest.count(b"\n") >= MAX_FIELDS:
        raise BadAnswer(f"The answer has more than {MAX_FIELDS:,} header lines.")
    headers = [(name.lower(), value.rstrip(b" \t")) for name, value in _FIELD.findall(rest)]
    return Head(int(status[2]), status[1].decode("ascii"), headers, rest.isascii())


class Body:
    """Finds the end of one body. `done` when it is there."""

    __slots__ = ("done",)

    def __init__(self) -> None:
        self.done = False

    def feed(self, data: bytes) -> bytes:
        """The part of the body that `data` holds; what comes after the end is nobody's."""
        return b""

    def close(self) -> None:
        """The connection ended; raises Cut if the body had not."""
        raise Cut


class NoBody(Body):
    __slots__ = ()

    def __init__(self) -> None:
        self.done = True


class UntilClose(Body):
    __slots__ = ()

    def feed(self, data: bytes) -> bytes:
        return data

    def close(self) -> None:
        self.done = True


class Counted(Body):
    __slots__ = ("_left",)

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = not length

    def feed(self, data: bytes) -> bytes:
        part = data[: self._left]
        self._left -= len(part)
        self.done = not self._left
        return part


class Chunked(Body):
    """RFC 9112, section 7.1; extensions and trailers are read over."""

    __slots__ = ("_chunks", "_data", "_inside", "_left", "_trailing", "_trailing_bytes")

    def __init__(self) -> None:
        self.done = False
        self._chunks = 0
        self._data = b""
        self._left = 0  # of the chunk under way
        self._inside = False  # a chunk, or its closing line end
        self._trailing = False
        self._trailing_bytes = 0

    def feed(self, data: bytes) -> bytes:
        data, at, parts = self._data + data, 0, []
        while not self.done:
            if self._inside:
                if self._left:
                    part = data[at : at + self._left]
                    parts.append(part)
                    at += len(part)
                    self._left -= len(part)
                    if self._left:
                        break
                if data[at : at + 2] == b"\r\n":
                    at += 2
                elif data[at : at + 1] == b"\n":
                    at += 1
                elif data[at : at + 2] in (b"", b"\r"):
                    break
                else:
                    raise Malformed("a chunk is longer than its size")
                self._inside = False
            end = data.find(b"\n", at)
            if end < 0:
                break
            self._line(data[at:end].removesuffix(b"\r"))
            at = end + 1
        self._data = data[at:]
        if len(self._data) + self._trailing_bytes > MAX_HEAD_BYTES:
            raise TooLong("trailers are" if self._trailing else "chunk extension is")
        return b"".join(parts)

    def _line(self, line: bytes) -> None:
        if self._trailing:
            self._trailing_bytes += len(line) + 1
            self.done = not line
            return
        size = _SIZE.fullmatch(line)
        if size is None:
            raise Malformed("the size of a chunk is not a hexadecimal number")
        self._chunks += 1
        if self._chunks > MAX_CHUNKS:
            raise BadAnswer(f"The answer is cut into more than {MAX_CHUNKS:,} chunks.")
        self._left = int(size[1], 16)
        self._inside = self._left > 0
        self._trailing = not self._inside


def body_of(head: Head, method: str) -> Body:
    """How the body of this answer ends (RFC 9112, section 6.3)."""
    codings: list[bytes] = []
    lengths: list[bytes] = []
    for name, value in head.headers:
        if name == b"content-length":
            lengths += value.split(b",")
        elif name == b"transfer-encoding":
            codings += value.lower().split(b",")
    if method == "HEAD" or head.http_status in (101, 204, 304):
        return NoBody()
    codings = [each for each in map(bytes.strip, codings) if each not in (b"", b"identity")]
    if codings:
        if codings != [b"chunked"]:
            raise BadAnswer("The answer has a Transfer-Encoding that was not asked for.")
        return Chunked()
    if not lengths:
        return UntilClose()
    found = {_length(each.strip()) for each in lengths}
    if len(found) > 1:
        raise Malformed("it has two different Content-Lengths")
    return Counted(found.pop())


def _length(text: bytes) -> int:
    if not _LENGTH.fullmatch(text):
        raise Malformed("its Content-Length is not a number")
    return int(text.lstrip(b"0") or b"0")

"""Content codings with a hard limit on decoded bytes: a bomb costs no more than the limit."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Protocol

import brotli
from backports import zstd

MAX_CODINGS = 3
MAX_MEMBERS = 1_000  # of one gzip or zstd body; parallel compressors write one for some 100 kB
_MAX_WINDOW_LOG = 23  # RFC 9659: a zstd window of 8 MiB
_SLACK = 64 * 1024

_GZIP = 0x1F  # the first byte of a member
_DAMAGED = "its compressed body is damaged"
_CUT_SHORT = "its compressed body is cut short"


class Undecodable(Exception):
    """The body is not what its Content-Encoding says."""


class TooLarge(Exception):
    """The body is larger than the limit."""


class Decoder(Protocol):
    def feed(self, data: bytes, room: int) -> bytes:
        """Decoded bytes, at most one more than `room`; raises Undecodable."""

    def finish(self) -> None:
        """Raises Undecodable when the body was cut short."""


class _Inflate:
    """gzip (also several members) and deflate (with or without its header). What follows the last
    member or the deflated data is no part of it and is left out, as browsers do."""

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._unpacker: zlib._Decompress | None = None
        self._members = 0
        self._ended = False

    def feed(self, data: bytes, room: int) -> bytes:
        out = b""
        while data:
            if self._unpacker is None or self._unpacker.eof:
                if self._members and not (self._gzip and data[0] == _GZIP):
                    self._ended = True
                if self._ended:
                    break
                raw = not self._gzip and data[0] & 0x0F != 8
                self._unpacker = zlib.decompressobj(31 if self._gzip else -15 if raw else 15)
                self._members = _counted(self._members)
            try:
                out += self._unpacker.decompress(data, room + 1 - len(out))
            except zlib.error:
                raise Undecodable(_DAMAGED) from None
            if len(out) > room:
                break
            data = self._unpacker.unused_data
        return out

    def finish(self) -> None:
        if self._unpacker is not None and not self._unpacker.eof:
            raise Undecodable(_CUT_SHORT)


class _Brotli:
    def __init__(self) -> None:
        self._unpacker = brotli.Decompressor()
        self._fed = False

    def feed(self, data: bytes, room: int) -> bytes:
        self._fed = self._fed or bool(data)
        try:
            out: bytes = self._unpacker.process(data, output_buffer_limit=room + 1)
            while len(out) <= room and not self._unpacker.can_accept_more_data():
                out += self._unpacker.process(b"", output_buffer_limit=room + 1 - len(out))
        except brotli.error:
            raise Undecodable(_DAMAGED) from None
        return out

    def finish(self) -> None:
        if self._fed and not self._unpacker.is_finished():
            raise Undecodable(_CUT_SHORT)


class _Zstd:
    """zstd, also several frames; a window above 8 MiB is refused as browsers do."""

    def __init__(self) -> None:
        self._unpacker: zstd.ZstdDecompressor | None = None
        self._frames = 0

    def feed(self, data: bytes, room: int) -> bytes:
        out = b""
        while True:
            if self._unpacker is None or self._unpacker.eof:
                if not data:
                    return out
                limit: dict[int, int] = {
                    zstd.DecompressionParameter.window_log_max: _MAX_WINDOW_LOG
                }
                self._unpacker = zstd.ZstdDecompressor(options=limit)
                self._frames = _counted(self._frames)
            try:
                out += self._unpacker.decompress(data, room + 1 - len(out))
            except zstd.ZstdError:
                raise Undecodable(_DAMAGED) from None
            if len(out) > room:
                return out
            if self._unpacker.eof:
                data = self._unpacker.unused_data
            elif self._unpacker.needs_input:
                return out
            else:
                data = b""

    def finish(self) -> None:
        if self._unpacker is not None and not self._unpacker.eof:
            raise Undecodable(_CUT_SHORT)


def _counted(members: int) -> int:
    if members == MAX_MEMBERS:
        raise Undecodable(f"{_DAMAGED}: it has more than {MAX_MEMBERS} parts")
    return members + 1


_CODINGS: dict[str, Callable[[], Decoder]] = {
    "gzip": lambda: _Inflate(gzip=True),
    "x-gzip": lambda: _Inflate(gzip=True),
    "deflate": lambda: _Inflate(gzip=False),
    "br": _Brotli,
    "zstd": _Zstd,
}
ACCEPTED = ", ".join(name for name in _CODINGS if not name.startswith("x-"))


class BodyReader:
    """Collects one body through its codings, never holding more than `limit` decoded bytes."""

    __slots__ = ("_between", "_decoders", "_limit", "body")

    def __init__(self, content_encoding: str, limit: int) -> None:
        self._decoders = _decoders(content_encoding) if content_encoding else ()
        self._limit = limit
        # What may come out of the network and of each coding but the last. A useful coding does not make
        # a body longer; one that goes on for ever without yielding anything ends here.
        self._between = [limit + limit // 8 + _SLACK] * len(self._decoders)
        self.body = bytearray()

    def feed(self, data: bytes) -> None:
        """Raises TooLarge, with the body filled to its limit, and Undecodable."""
        for position, decoder in enumerate(self._decoders):
            self._between[position] -= len(data)
            if self._between[position] < 0:
                raise TooLarge
            last = position + 1 == len(self._decoders)
            room = self._limit - len(self.body) if last else self._between[position + 1]
            data = decoder.feed(data, room)
        room = self._limit - len(self.body)
        if len(data) > room:
            self.body += data[:room]
            raise TooLarge
        self.body += data

    def finish(self) -> None:
        """The whole body has been fed. Raises Undecodable when a coding does not end there."""
        for decoder in self._decoders:
            decoder.finish()


def _decoders(content_encoding: str) -> tuple[Decoder, ...]:
    """In the order in which they undo what the server did."""
    names = [name.strip().lower() for name in content_encoding.split(",")]
    names = [name for name in names if name not in ("", "identity")]
    if len(names) > MAX_CODINGS:
        raise Undecodable(f"it is compressed {len(names)} times over")
    if names.count("br") > 1:  # each fills a window of 16 MiB before it yields a byte
        raise Undecodable("it is compressed with br twice over")
    for name in names:
        if name not in _CODINGS:
            shown = name[:20].encode("ascii", "replace").decode("ascii")
            raise Undecodable(f"its Content-Encoding {shown!r} is not supported")
    return tuple(_CODINGS[name]() for name in reversed(names))

"""Content codings with a hard limit on decoded bytes: a bomb costs no more than the limit."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable
from typing import Any, Protocol

MAX_CODINGS = 3


class Undecodable(Exception):
    """The body is not what its Content-Encoding says."""


class TooLarge(Exception):
    """The body is larger than the limit."""


class Decoder(Protocol):
    def feed(self, data: bytes, room: int) -> bytes:
        """Decoded bytes; raises TooLarge when there are more than `room`."""

    def finish(self) -> None:
        """Raises Undecodable when the body was cut short."""


class _Inflate:
    """gzip (also several members) and deflate (with or without its header)."""

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._unpacker: Any = None
        self._fed = False

    def feed(self, data: bytes, room: int) -> bytes:
        out = bytearray()
        while data:
            if self._unpacker is None:
                raw = not self._gzip and data[0] & 0x0F != 8
                self._unpacker = zlib.decompressobj(31 if self._gzip else -15 if raw else 15)
                self._fed = True
            try:
                out += self._unpacker.decompress(data, room + 1 - len(out))
            except zlib.error:
                raise Undecodable("its compressed body is damaged") from None
            if len(out) > room:
                raise TooLarge
            data = self._unpacker.unconsumed_tail
            if self._unpacker.eof:
                data = self._unpacker.unused_data if self._gzip else b""
                # Padding after the last member is common and harmless.
                if not data.strip(b"\0"):
                    break
                self._unpacker = None
        return bytes(out)

    def finish(self) -> None:
        if self._fed and not self._unpacker.eof:
            raise Undecodable("its compressed body is cut short")


class _Brotli:
    def __init__(self, module: Any) -> None:
        self._module = module
        self._unpacker = module.Decompressor()
        self._fed = False

    def feed(self, data: bytes, room: int) -> bytes:
        self._fed = self._fed or bool(data)
        try:
            out: bytes = self._unpacker.process(data, output_buffer_limit=room + 1)
            while len(out) <= room and not self._unpacker.can_accept_more_data():
                out += self._unpacker.process(b"", output_buffer_limit=room + 1 - len(out))
        except self._module.error:
            raise Undecodable("its compressed body is damaged") from None
        if len(out) > room:
            raise TooLarge
        return out

    def finish(self) -> None:
        if self._fed and not self._unpacker.is_finished():
            raise Undecodable("its compressed body is cut short")


def _table() -> dict[str, Callable[[], Decoder]]:
    """What this machine can decode with a limit; nothing else is asked for."""
    table: dict[str, Callable[[], Decoder]] = {
        "gzip": lambda: _Inflate(gzip=True),
        "x-gzip": lambda: _Inflate(gzip=True),
        "deflate": lambda: _Inflate(gzip=False),
    }
    try:
        brotli = importlib.import_module("brotli")
    except ImportError:
        return table
    if hasattr(brotli.Decompressor, "can_accept_more_data"):  # has the limit
        table["br"] = lambda: _Brotli(brotli)
    return table


_CODINGS = _table()
ACCEPTED = ", ".join(name for name in _CODINGS if not name.startswith("x-"))


class BodyReader:
    """Collects one body through its codings, never holding more than `limit` decoded bytes."""

    __slots__ = ("_decoders", "_limit", "body")

    def __init__(self, content_encoding: str, limit: int) -> None:
        names = [name.strip().lower() for name in content_encoding.split(",")]
        names = [name for name in names if name not in ("", "identity")]
        if len(names) > MAX_CODINGS:
            raise Undecodable(f"it is compressed {len(names)} times over")
        for name in names:
            if name not in _CODINGS:
                shown = name[:20].encode("ascii", "replace").decode("ascii")
                raise Undecodable(f"its Content-Encoding {shown!r} is not supported")
        self._decoders = [_CODINGS[name]() for name in reversed(names)]
        self._limit = limit
        self.body = bytearray()

    def feed(self, data: bytes) -> None:
        room = self._limit - len(self.body)
        for position, decoder in enumerate(self._decoders):
            last = position == len(self._decoders) - 1
            # An inner coding may shrink again, but never needs more than this to fill the limit.
            data = decoder.feed(data, room if last else max(room, self._limit))
        if len(data) > room:
            raise TooLarge
        self.body += data

    def finish(self) -> None:
        for decoder in self._decoders:
            decoder.finish()

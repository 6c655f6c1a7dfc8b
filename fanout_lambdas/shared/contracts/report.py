"""What travels back (hops 4 and 5): a batch of results, on the wire and in the spool."""

from __future__ import annotations

import base64
import binascii
import zlib
from dataclasses import dataclass
from typing import Any

from fanout_lambdas.shared.contracts.reading import Fields, decode, encode, require
from fanout_lambdas.shared.contracts.result import MAX_US, Refusal, Result
from fanout_lambdas.shared.contracts.words import (
    MAX_DECODED_BYTES,
    MAX_TIME,
    MAX_WIRE_BYTES,
    VERSION,
    ContractError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFigures:
    """How fit the worker was: operators see it, and it tells honest timings from starved ones."""

    started_ms: int = 0
    duration_ms: int = 0
    in_flight: int = 0
    lag_p50_us: int = 0
    lag_p99_us: int = 0
    cold_start: bool = False
    canaries: int = 0
    canaries_failed: int = 0

    @classmethod
    def read(cls, source: Fields | None) -> WorkerFigures:
        if source is None:
            return cls()
        return cls(
            started_ms=source.whole("started_ms", 0, MAX_TIME * 1_000, 0),
            duration_ms=source.whole("duration_ms", 0, 86_400_000, 0),
            in_flight=source.whole("in_flight", 0, 100_000, 0),
            lag_p50_us=source.whole("lag_p50_us", 0, MAX_US, 0),
            lag_p99_us=source.whole("lag_p99_us", 0, MAX_US, 0),
            cold_start=source.flag("cold_start", False),
            canaries=source.whole("canaries", 0, 1_000, 0),
            canaries_failed=source.whole("canaries_failed", 0, 1_000, 0),
        )

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in WorkerFigures.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultBatch:
    """In JSON the refusals stand among the results."""

    minute: int
    number: int
    region: str
    results: tuple[Result, ...]
    attempt: int = 1
    worker: WorkerFigures = WorkerFigures()
    refusals: tuple[Refusal, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "minute": self.minute,
            "batch": self.number,
            "attempt": self.attempt,
            "region": self.region,
            "worker": self.worker.to_json(),
            "results": [result.to_json() for result in self.results]
            + [refusal.to_json() for refusal in self.refusals],
        }


def pack(document: Any) -> bytes:
    """Compact JSON, gzipped; the same document always gives the same bytes."""
    # The higher levels take three to five times as long, for some 5 bytes of a result.
    packer = zlib.compressobj(zlib.Z_BEST_SPEED, zlib.DEFLATED, 31)
    return packer.compress(encode(document)) + packer.flush()


def unpack(body: bytes, encoding: str = "gzip", *, limit: int = MAX_DECODED_BYTES) -> bytes:
    """The decoded body of a request; stops a decompression bomb at `limit` bytes."""
    if encoding in ("", "identity"):
        require(len(body) <= limit, "", "too_large", f"The body is larger than {limit} bytes.")
        return body
    if encoding not in ("gzip", "x-gzip"):
        raise ContractError("", "encoding", "The body's Content-Encoding must be gzip or identity.")
    unpacker = zlib.decompressobj(31)
    try:
        data = unpacker.decompress(body, limit + 1)
    except zlib.error:
        raise ContractError("", "gzip", "The body is not valid gzip.") from None
    require(len(data) <= limit, "", "too_large", f"The body decodes to more than {limit} bytes.")
    require(unpacker.eof, "", "gzip", "The gzip body is cut short.")
    require(not unpacker.unused_data, "", "gzip", "Something follows the end of the gzip body.")
    return data


@dataclass(frozen=True, slots=True, kw_only=True)
class Spooled:
    """A report that ingest did not take: the gzipped body and the headers that prove it."""

    headers: dict[str, str]
    body: bytes

    def to_bytes(self) -> bytes:
        return encode(
            {
                "version": VERSION,
                "headers": self.headers,
                "body": base64.b64encode(self.body).decode("ascii"),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Spooled:
        source = Fields(decode(data))
        source.version(VERSION)
        try:
            body = base64.b64decode(source.text("body", 2 * MAX_WIRE_BYTES), validate=True)
        except (binascii.Error, ValueError):
            raise ContractError("body", "base64", "body is not base64.") from None
        return cls(headers=source.text_map("headers", most=10, longest=200), body=body)

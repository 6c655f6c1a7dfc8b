"""How a minute's invocations went (hops 1 and 2): what dispatcher and triggerers leave for the watch."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from typing import Any

from fanout_lambdas.shared.contracts.batch import MAX_BATCH_NUMBER
from fanout_lambdas.shared.contracts.reading import Fields, check_whole, decode
from fanout_lambdas.shared.contracts.report import pack, unpack
from fanout_lambdas.shared.contracts.words import MAX_ID, MAX_REGION, VERSION

MAX_FAILED = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchReport:
    """What the dispatcher did for one minute in one region.

    `invoked` counts the batches handed on, `triggerers` the invocations that carried them where there were triggerers
    (0: the workers were started at once); `retried` and `throttled` count tries beyond the first and refusals with 429,
    `failed` names the batches that nobody accepted.
    """

    minute: int
    region: str
    snapshot_minute: int
    snapshot_age_s: int
    planned: int
    batches: int
    invoked: int
    started_ms: int
    finished_ms: int
    triggerers: int = 0
    retried: int = 0
    throttled: int = 0
    failed: tuple[int, ...] = ()

    def to_bytes(self) -> bytes:
        return pack(self.to_json())

    def to_json(self) -> dict[str, Any]:
        return _to_json(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> DispatchReport:
        return cls(**_read(cls, data))


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerReport:
    """One triggerer's trouble: a triggerer that had none leaves no report. Fields as in DispatchReport."""

    minute: int
    region: str
    started: int
    retried: int = 0
    throttled: int = 0
    failed: tuple[int, ...] = ()

    def to_bytes(self) -> bytes:
        return pack(self.to_json())

    def to_json(self) -> dict[str, Any]:
        return _to_json(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> TriggerReport:
        return cls(**_read(cls, data))


def _to_json(report: DispatchReport | TriggerReport) -> dict[str, Any]:
    names = (field.name for field in fields(report))
    return {"version": VERSION} | {name: getattr(report, name) for name in names}


def _read(kind: type[DispatchReport | TriggerReport], data: bytes) -> dict[str, Any]:
    """The fields of a report; what has a default may be absent: an older release did not write it."""
    source = Fields(decode(unpack(data)))
    source.version(VERSION)
    read: dict[str, Any] = {"region": source.text("region", MAX_REGION, empty=False)}
    read["failed"] = tuple(
        check_whole(number, f"failed.{at}", least=0, most=MAX_BATCH_NUMBER)
        for at, number in enumerate(source.items("failed", MAX_FAILED, ()))
    )
    for field in fields(kind):
        if field.name not in read:
            default = () if field.default is MISSING else (field.default,)
            read[field.name] = source.whole(field.name, 0, MAX_ID, *default)
    return read

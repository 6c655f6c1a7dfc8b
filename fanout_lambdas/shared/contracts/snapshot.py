"""The immutable document of all active checks (hop 0)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fanout_lambdas.shared.contracts.reading import Fields, decode
from fanout_lambdas.shared.contracts.report import pack, unpack
from fanout_lambdas.shared.contracts.words import (
    MAX_ID,
    MAX_REGION,
    MAX_REGIONS,
    VERSION,
)

MAX_SNAPSHOT_BYTES = 1024 * 1024 * 1024
MAX_CHECKS = 5_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPlan:
    """One check as the planner sees it.

    `request` holds the Probe contract's fields without check_id, slot and secrets (absent means
    the default); `sealed` holds per region the sealed text of headers, body and auth; `slow` says
    that the check timed out lately and rides in the slow lane.
    """

    check_id: int
    interval_s: int
    phase_s: int
    regions: tuple[str, ...]
    request: Mapping[str, Any]
    rotate: bool = False
    expected_ms: int = 0
    slow: bool = False
    sealed: Mapping[str, str] | None = None

    def to_json(self) -> dict[str, Any]:
        document = {
            "id": self.check_id,
            "interval": self.interval_s,
            "phase": self.phase_s,
            "regions": self.regions,
            "request": self.request,
        }
        if self.rotate:
            document["rotate"] = True
        if self.expected_ms:
            document["expected_ms"] = self.expected_ms
        if self.slow:
            document["slow"] = True
        if self.sealed:
            document["sealed"] = self.sealed
        return document

    @classmethod
    def from_json(cls, raw: Any) -> CheckPlan:
        source = Fields(raw)
        request, sealed = source.child("request"), source.child("sealed")
        return cls(
            check_id=source.whole("id", 0, MAX_ID),
            interval_s=source.whole("interval", 1, 86_400),
            phase_s=source.whole("phase", 0, 86_399),
            regions=source.texts("regions", most=MAX_REGIONS, longest=MAX_REGION),
            rotate=source.flag("rotate", False),
            expected_ms=source.whole("expected_ms", 0, 3_600_000, 0),
            slow=source.flag("slow", False),
            # The worker reads the request field by field; here it only passes through.
            request=request.raw if request else {},
            sealed=sealed.raw if sealed else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """`minute` is the first minute this snapshot is meant for; `canaries` are requests to the
    operator's own targets, in the form of a probe without check_id and slot."""

    minute: int
    taken_at: int
    checks: tuple[CheckPlan, ...]
    canaries: tuple[Mapping[str, Any], ...] = ()

    def to_bytes(self) -> bytes:
        return pack(
            {
                "version": VERSION,
                "minute": self.minute,
                "taken_at": self.taken_at,
                "canaries": list(self.canaries),
                "checks": [check.to_json() for check in self.checks],
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Snapshot:
        source = Fields(decode(unpack(data, limit=MAX_SNAPSHOT_BYTES)))
        source.version(VERSION)
        return cls(
            minute=source.time("minute"),
            taken_at=source.time("taken_at"),
            canaries=tuple(source.items("canaries", 10, ())),
            checks=tuple(map(CheckPlan.from_json, source.items("checks", MAX_CHECKS))),
        )

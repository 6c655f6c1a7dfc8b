"""FreshResult: one result or marker that has just taken its slot; what ingest hands on to evaluation (hops 5 > 6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fanout_lambdas.shared.contracts import Outcome, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshResult:
    """A row of `result` written in this very transaction. Markers (void, missed) come along: they
    answer a recheck round and move nothing else (rule 3)."""

    check_id: int
    client_id: int
    region_id: int
    slot: int
    """Epoch seconds."""
    outcome: Outcome
    reason: Reason = Reason.NONE
    message: str = ""
    http_status: int | None = None
    total_us: int = 0
    certificate_not_after: int | None = None
    """Epoch seconds; None when the probe saw no certificate."""
    document: Mapping[str, Any] = field(default_factory=dict)
    """The evidence document as stored: remote_address, http_version, hops, certificate, assertions, evidence;
    empty for a result that is plainly up."""
    resent_after_s: int = 0
    """How long after its slot a lost batch was probed once more; 0 for a batch that was not lost."""
    extra: bool = False
    """A recheck or first probe, outside the regular schedule."""

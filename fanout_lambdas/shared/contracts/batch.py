"""What a worker is handed (hop 3): a batch of probes with its own time window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fanout_lambdas.shared.contracts.reading import Fields, require
from fanout_lambdas.shared.contracts.words import MAX_REGION, MAX_RESULTS, VERSION

EXTRA_BATCHES_FROM = 100_000  # numbers of recheck and other extra batches
MAX_BATCH_NUMBER = 2**31 - 1
MAX_ATTEMPT = 1_000
MAX_CANARIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Probes stay in their JSON form here: the worker reads each alone, so that one bad probe is
    answered with its error and the others run. A probe's `sealed` text holds the tenant's secrets.

    `paced`: each probe starts at its slot's second; else all start as soon as the worker does.
    """

    minute: int
    number: int
    region: str
    not_before: int
    deadline: int
    probes: tuple[Mapping[str, Any], ...]
    attempt: int = 1
    paced: bool = True
    canaries: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def from_json(cls, raw: Any) -> Batch:
        source = Fields(raw)
        source.version(VERSION)
        batch = cls(
            minute=source.time("minute"),
            number=source.whole("batch", 0, MAX_BATCH_NUMBER),
            attempt=source.whole("attempt", 1, MAX_ATTEMPT, 1),
            region=source.text("region", MAX_REGION, empty=False),
            not_before=source.time("not_before"),
            deadline=source.time("deadline"),
            paced=source.flag("paced", True),
            canaries=tuple(source.items("canaries", MAX_CANARIES, ())),
            probes=tuple(source.items("probes", MAX_RESULTS)),
        )
        require(
            batch.deadline >= batch.not_before, "deadline", "order", "deadline precedes not_before."
        )
        return batch

    def to_json(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "minute": self.minute,
            "batch": self.number,
            "attempt": self.attempt,
            "region": self.region,
            "not_before": self.not_before,
            "deadline": self.deadline,
            "paced": self.paced,
            "canaries": list(self.canaries),
            "probes": list(self.probes),
        }

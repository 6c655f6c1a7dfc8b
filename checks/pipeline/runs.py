"""The run of one minute in one region: what the plan holds, and the counters that must add up to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection

from fanout_lambdas.planning import ANSWER_WITHIN_S
from fanout_lambdas.shared.contracts import Batch

GRACE_S = 5
"""Between the last probe's own deadline and the moment at which its batch is taken for lost."""
BILLED_GRACE_S = 15
"""The same on Lambda, where worker and ingest may start cold and a small share of CPU spaces the probes by seconds."""
DEFAULT_TIMEOUT_MS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCounts:
    """What one batch of results changes in a run. `replaced_*` are among answered and late: a marker gave way."""

    answered: int = 0
    late: int = 0
    void: int = 0
    rechecks: int = 0
    duplicates: int = 0
    replaced_answered: int = 0
    replaced_late: int = 0
    replaced_void: int = 0


# While a run is open everything is counted as it comes. Once the watch has accounted for every slot, only a slot
# that changes hands moves the counters, so that their sum stays what was planned.
_COUNT = """
    update checks_minuterun set
      answered = answered + case when closed_at is null then %(answered)s else %(replaced_answered)s end,
      late = late + case when closed_at is null then %(late)s else %(replaced_late)s end,
      void = greatest(void + case when closed_at is null then %(void)s else 0 end - %(replaced_void)s, 0),
      missed = greatest(
        missed + case when closed_at is null then %(void)s else 0 end - %(replaced)s, 0),
      rechecks = rechecks + %(rechecks)s,
      duplicates = duplicates + %(duplicates)s
    where minute = to_timestamp(%(minute)s) and region_id = %(region)s
"""


def count_results(counts: Mapping[int, RunCounts], *, region_id: int) -> None:
    """Add to the runs of these minutes; a minute without a run is counted from its rows when the watch makes one."""
    with connection.cursor() as cursor:
        for minute in sorted(counts):
            change = counts[minute]
            cursor.execute(
                _COUNT,
                {
                    "minute": minute,
                    "region": region_id,
                    "replaced": change.replaced_answered + change.replaced_late,
                    **{name: getattr(change, name) for name in RunCounts.__slots__},
                },
            )


def outline(batches: Sequence[Batch], *, grace_s: int = GRACE_S) -> list[list[int]]:
    """The plan as a run keeps it: [number, not_before, deadline, size, expected_by] for each batch."""
    return [
        [
            batch.number,
            batch.not_before,
            batch.deadline,
            len(batch.probes),
            _expected_by(batch, grace_s),
        ]
        for batch in batches
    ]


def _expected_by(batch: Batch, grace_s: int) -> int:
    """When a batch must have reported, unless it is lost."""
    longest = max((_timeout_ms(probe) for probe in batch.probes), default=0)
    return batch.deadline - ANSWER_WITHIN_S + -(-longest // 1000) + grace_s


def _timeout_ms(probe: Mapping[str, Any]) -> int:
    return int(probe.get("timeout_ms", DEFAULT_TIMEOUT_MS))


def as_time(epoch_s: int) -> datetime:
    return datetime.fromtimestamp(epoch_s, UTC)

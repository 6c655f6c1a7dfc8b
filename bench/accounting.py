"""What became of every slot, worked out by the benchmark itself from the checks and the rows, minute by minute."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg

from bench.report import percentile

MINUTE_S = 60
ANSWERED_WITHIN_MS = 60_000
ANSWERS = (1, 2, 3)  # up, degraded, down; the rest are markers
_GOLDEN = 0x9E3779B97F4A7C15

Key = tuple[int, int, int]
"""(slot, check, region)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One stored result; times in milliseconds. `committed_ms`: from the slot to the commit of its last writer."""

    outcome: int
    lag_ms: int
    stored_ms: int
    total_ms: float
    committed_ms: float | None
    extra: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Minute:
    """The account of one minute. planned = answered_in_minute + late + missed + unaccounted."""

    minute: int
    planned: int
    answered_in_minute: int
    late: int
    missed: int
    """Slots with a marker instead of an answer."""
    unaccounted: int
    """Slots with neither."""
    unplanned: int
    """Rows in the regular schedule that the plan does not know."""
    rechecks: int
    duplicates: int
    lag_p50_ms: float
    lag_p99_ms: float
    slot_to_state_p50_ms: float
    slot_to_state_p99_ms: float
    beyond_probe_p50_ms: float
    """The same, less the probe's own time."""
    beyond_probe_p99_ms: float
    counters: Mapping[str, int] = field(default_factory=dict)
    """The product's own counters of this minute."""

    @property
    def agrees(self) -> bool:
        """Whether the product counted as we did."""
        names = {"planned": self.planned, "answered": self.answered_in_minute}
        names |= {"late": self.late, "missed": self.missed}
        return all(self.counters.get(name) == count for name, count in names.items())

    def to_json(self) -> dict[str, Any]:
        names = [name for name in self.__slots__ if name != "counters"]
        return {name: getattr(self, name) for name in names} | {
            "counters": dict(self.counters),
            "counters_agree": self.agrees,
        }


def planned_slots(checks: Iterable[tuple[int, int, list[int], bool]], minute: int) -> set[Key]:
    """Every slot due in the minute, from (id, interval, regions, rotate) of each active check."""
    planned: set[Key] = set()
    for check_id, interval_s, regions, rotate in checks:
        phase = (((check_id * _GOLDEN) % (1 << 64)) * interval_s) >> 64
        for slot in range(minute + (phase - minute) % interval_s, minute + MINUTE_S, interval_s):
            chosen = [regions[(slot - phase) // interval_s % len(regions)]] if rotate else regions
            planned |= {(slot, check_id, region) for region in chosen}
    return planned


class Account:
    """Reads one installation's database."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._connection = connection

    def checks(self) -> list[tuple[int, int, list[int], bool]]:
        """The active checks."""
        return [
            (int(check_id), int(interval_s), list(regions), bool(rotate))
            for check_id, interval_s, regions, rotate in self._connection.execute(
                "select id, interval_s, regions, rotate from checks_check "
                "where deleted_at is null and paused_at is null"
            )
        ]

    def minute(self, minute: int, planned: set[Key]) -> Minute:
        """What became of these slots."""
        rows = self._rows(minute)
        held = {key: row for key, row in rows.items() if key in planned}
        answers = [row for row in held.values() if row.outcome in ANSWERS]
        committed = [row for row in answers if row.committed_ms is not None]
        to_state = [row.committed_ms or 0.0 for row in committed]
        beyond = [(row.committed_ms or 0.0) - row.total_ms for row in committed]
        lags = [row.lag_ms for row in answers]
        counters = self.counters(minute)
        return Minute(
            minute=minute,
            planned=len(planned),
            answered_in_minute=sum(row.stored_ms <= ANSWERED_WITHIN_MS for row in answers),
            late=sum(row.stored_ms > ANSWERED_WITHIN_MS for row in answers),
            missed=len(held) - len(answers),
            unaccounted=len(planned) - len(held),
            unplanned=sum(1 for key, row in rows.items() if key not in planned and not row.extra),
            rechecks=sum(row.extra and row.outcome in ANSWERS for row in rows.values()),
            duplicates=counters.get("duplicates", 0),
            lag_p50_ms=percentile(lags, 0.5),
            lag_p99_ms=percentile(lags, 0.99),
            slot_to_state_p50_ms=percentile(to_state, 0.5),
            slot_to_state_p99_ms=percentile(to_state, 0.99),
            beyond_probe_p50_ms=percentile(beyond, 0.5),
            beyond_probe_p99_ms=percentile(beyond, 0.99),
            counters=counters,
        )

    def bytes_per_result(self) -> float:
        """Table and index of the results, per row."""
        found = self._connection.execute(
            "select coalesce(sum(pg_total_relation_size(inhrelid)), 0), (select count(*) from result) "
            "from pg_inherits where inhparent = 'result'::regclass"
        ).fetchone()
        assert found is not None
        # Empty partitions (days to come) hold one page of index each; too little to matter.
        return float(found[0]) / max(1, int(found[1]))

    def incidents(self) -> dict[str, int]:
        """How many there are, and how many more than there should be."""
        found = self._connection.execute(
            "select count(*), count(*) filter (where resolved_at is null), "
            "  (select count(*) from checks_incident a join checks_incident b on a.subject_id = b.subject_id "
            "   and a.id < b.id and b.started_at < coalesce(a.ended_at, 'infinity') "
            "   and a.started_at < coalesce(b.ended_at, 'infinity')), "
            "  (select count(*) - count(distinct (incident_id, kind)) from checks_event "
            "   where kind in ('down', 'up')) "
            "from checks_incident"
        ).fetchone()
        assert found is not None
        names = ("opened", "still_open", "overlapping", "events_twice")
        return dict(zip(names, map(int, found), strict=True))

    def incidents_of(self, check_ids: Iterable[int]) -> dict[int, int]:
        """How many incidents each of these checks has."""
        found = self._connection.execute(
            "select subject_id, count(*) from checks_incident where subject_id = any(%s) group by 1",
            [list(check_ids)],
        )
        return {int(check_id): int(count) for check_id, count in found}

    def first_commit_after(self, moment: float) -> float | None:
        """When, after this moment, the first answer was committed."""
        found = self._connection.execute(
            "select extract(epoch from min(at)) from (select pg_xact_commit_timestamp(xmin) as at "
            "from result where at >= to_timestamp(%s - 120) and outcome = any(%s)) as commits "
            "where at > to_timestamp(%s)",
            [moment, list(ANSWERS), moment],
        ).fetchone()
        return float(found[0]) if found is not None and found[0] is not None else None

    def _rows(self, minute: int) -> dict[Key, Row]:
        found = self._connection.execute(
            "select extract(epoch from at)::bigint, check_id, region, outcome, lag_ms, stored_ms, "
            "  total_us / 1000.0::float8, extra, "
            "  extract(epoch from pg_xact_commit_timestamp(xmin) - at)::float8 * 1000 "
            "from result where at >= to_timestamp(%s) and at < to_timestamp(%s)",
            [minute, minute + MINUTE_S],
        )
        return {
            (int(slot), int(check_id), int(region)): Row(
                outcome=int(outcome),
                lag_ms=int(lag_ms),
                stored_ms=int(stored_ms),
                total_ms=float(total_ms),
                committed_ms=committed_ms,
                extra=bool(extra),
            )
            for slot, check_id, region, outcome, lag_ms, stored_ms, total_ms, extra, committed_ms in found
        }

    def counters(self, minute: int) -> dict[str, int]:
        """What the product itself counted."""
        names = ["planned", "dispatched", "answered", "late", "void", "missed", "excluded"]
        names += ["rechecks", "duplicates", "redispatched"]
        sums = ", ".join(f"coalesce(sum({name}), 0)" for name in names)
        found = self._connection.execute(
            f"select {sums} from checks_minuterun where minute = to_timestamp(%s)",
            [minute],
        ).fetchone()
        assert found is not None
        return dict(zip(names, map(int, found), strict=True))

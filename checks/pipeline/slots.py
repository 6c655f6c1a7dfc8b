"""Who holds a slot: the first real result takes it, a marker waits in it for a real one (rule 1)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from checks.models.result import OUTCOME_OF, OUTCOMES
from fanout_lambdas.shared.contracts import Outcome

Key = tuple[int, int]
"""(check id, slot) of one region."""

_MARKERS = (OUTCOMES[Outcome.VOID], OUTCOMES[Outcome.MISSED])


class SlotRow(NamedTuple):
    """One row of `result`, without its region; the order of the fields is that of `_COLUMNS`."""

    slot: int
    check_id: int
    client_id: int
    total_us: int
    dns_us: int | None
    connect_us: int | None
    tls_us: int | None
    send_us: int | None
    wait_us: int | None
    receive_us: int | None
    bytes: int | None
    lag_ms: int
    stored_ms: int
    outcome: int
    reason: int
    http_status: int | None
    extra: bool

    @property
    def key(self) -> Key:
        return self.check_id, self.slot


_COLUMNS = (
    ("slot", "bigint"),
    ("check_id", "int"),
    ("client_id", "bigint"),
    *((name, "int") for name in SlotRow._fields[3:13]),
    ("outcome", "smallint"),
    ("reason", "smallint"),
    ("http_status", "smallint"),
    ("extra", "boolean"),
)
_ARRAYS = ", ".join(f"%s::{kind}[]" for _, kind in _COLUMNS)
_NAMES = ", ".join(name for name, _ in _COLUMNS)
_REST = ", ".join(name for name, _ in _COLUMNS[1:])
# Everybody takes slots in the order of checks, so that nobody waits for somebody who waits for them.
_INSERT = f"""
    insert into result (at, region, {_REST})
    select to_timestamp(slot), %s, {_REST} from unnest({_ARRAYS}) as given({_NAMES})
    order by check_id, slot
    on conflict do nothing
    returning check_id, extract(epoch from at)::bigint
"""
_MARKERS_HELD = """
    select result.check_id, given.slot, result.outcome
    from result join unnest(%s::bigint[], %s::int[]) as given(slot, check_id)
      on result.at = to_timestamp(given.slot) and result.check_id = given.check_id
    where result.region = %s and result.outcome = any(%s)
    order by result.check_id, given.slot
    for update of result
"""
_REPLACED = ", ".join(f"{name} = given.{name}" for name, _ in _COLUMNS[3:])
_REPLACE = f"""
    update result set {_REPLACED}
    from unnest({_ARRAYS}) as given({_NAMES})
    where result.at = to_timestamp(given.slot) and result.check_id = given.check_id
      and result.region = %s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """`inserted`: free slots that were taken. `replaced`: slots in which a marker gave way, and which one."""

    inserted: Collection[Key]
    replaced: dict[Key, Outcome]


def take_slots(rows: Sequence[SlotRow], *, region_id: int) -> Taken:
    """Store each row whose slot is free or, for a real result, held by a marker. Slots differ among the rows."""
    if not rows:
        return Taken(inserted=(), replaced={})
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [region_id, *_arrays(rows)])
        inserted = set(cursor.fetchall())
        # Markers do not replace markers.
        waiting = {
            row.key: row for row in rows if row.key not in inserted and row.outcome not in _MARKERS
        }
        if not waiting:
            return Taken(inserted=inserted, replaced={})
        cursor.execute(
            _MARKERS_HELD,
            [
                [slot for _, slot in waiting],
                [check_id for check_id, _ in waiting],
                region_id,
                list(_MARKERS),
            ],
        )
        held = {
            (check_id, slot): OUTCOME_OF[outcome] for check_id, slot, outcome in cursor.fetchall()
        }
        if held:
            cursor.execute(_REPLACE, [*_arrays([waiting[key] for key in held]), region_id])
    return Taken(inserted=inserted, replaced=held)


def marker(*, slot: int, check_id: int, client_id: int, outcome: Outcome, now: datetime) -> SlotRow:
    """A row that says: nothing is known of this slot."""
    return SlotRow(
        slot=slot,
        check_id=check_id,
        client_id=client_id,
        total_us=0,
        dns_us=None,
        connect_us=None,
        tls_us=None,
        send_us=None,
        wait_us=None,
        receive_us=None,
        bytes=None,
        lag_ms=0,
        stored_ms=stored_ms(slot, now=now),
        outcome=OUTCOMES[outcome],
        reason=0,
        http_status=None,
        extra=False,
    )


def stored_ms(slot: int, *, now: datetime) -> int:
    """From the slot to its row; never negative, whatever the clocks say."""
    return min(max(round((now.timestamp() - slot) * 1000), 0), 2**31 - 1)


def _arrays(rows: Sequence[SlotRow]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]

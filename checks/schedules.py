"""Which slots a check had: its intervals, with when each was in force, and the results on them (hop 10).

Results lie under (at, check, region): a check's rows are found by asking for each of its slots, never by a range of
time, which would read the rows of every check. A changed interval moves the slots, so the old one is kept in mind.
A heartbeat's results lie on any second; they alone have an index by check.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import product
from typing import Any, Final

from django.db import connection

from checks.models import Check, Kind
from checks.models.result import NOT_PROBED
from clients.models import AuditEvent, Client
from fanout_lambdas.shared.slots import GRID_S, phase, slots_between

KEPT: Final = timedelta(days=2)
"""How long single results are kept."""
EVER: Final = 2**40
TAKEN_UP_S: Final = 180
"""Probes follow a change within this time; until then results lie on the old slots too."""

# `offset 0` keeps the planner at one key look-up a slot, whatever it believes about the sizes.
EACH_SLOT: Final = """
from unnest(%(ids)s::int[], %(firsts)s::bigint[], %(lasts)s::bigint[], %(every)s::int[])
    as c(id, first, last, every)
cross join lateral generate_series(c.first, c.last, c.every) as slot
cross join lateral (
    select * from result
    where at = to_timestamp(slot) and check_id = c.id and client_id = %(client)s offset 0) r
"""
"""The results on the slots that `slot_values` names, as `r`, with `c.every` beside them."""

_OF_HEARTBEAT: Final = f"""
select distinct extract(epoch from at)::bigint from result
where lag_ms = {NOT_PROBED} and check_id = %s and client_id = %s
  and at >= to_timestamp(%s) and at < to_timestamp(%s)
order by 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One check's interval, in force from one second up to, but without, another.

    A heartbeat's results come when its job calls: `anytime`, on seconds that only the database knows.
    """

    check_id: int
    interval_s: int
    since: int = 0
    until: int = EVER
    anytime: bool = False

    @property
    def phase_s(self) -> int:
        return phase(self.check_id, self.interval_s)

    def slots(self, start: int, end: int, *, rechecks: bool = False) -> range:
        """Its slots in [start, end); with rechecks every point of its 10-second grid."""
        every = GRID_S if rechecks else self.interval_s
        return slots_between(
            every, self.phase_s % every, max(start, self.since), min(end, self.until)
        )


def seconds_of(
    client: Client, schedules: Iterable[Schedule], *, start: int, end: int, rechecks: bool = False
) -> list[int]:
    """Where one check's results may lie in [start, end); of a heartbeat, where they do."""
    found: set[int] = set()
    for schedule in schedules:
        found.update(
            _of_heartbeat(client, schedule, start, end)
            if schedule.anytime
            else schedule.slots(start, end, rechecks=rechecks)
        )
    return sorted(found)


def _of_heartbeat(client: Client, schedule: Schedule, start: int, end: int) -> list[int]:
    first, last = max(start, schedule.since), min(end, schedule.until)
    with connection.cursor() as cursor:
        cursor.execute(_OF_HEARTBEAT, [schedule.check_id, client.pk, first, last])
        return [second for (second,) in cursor.fetchall()]


def schedules_of(
    client: Client, checks: Sequence[Check], *, since: datetime
) -> dict[int, list[Schedule]]:
    """For each check the schedules it had since then, oldest first; a query only where one was edited."""
    edited = [check.pk for check in checks if check.version > 1 and check.updated_at >= since]
    changes: dict[int, list[tuple[int, int]]] = {}
    if edited:
        rows = (
            AuditEvent.objects.for_client(client)
            .filter(subject_kind="check", subject_id__in=edited, action="check.updated")
            .filter(at__gte=since, detail__changes__has_key="interval_s")
            .order_by("at", "pk")
            .values_list("subject_id", "at", "detail__changes__interval_s")
        )
        for check_id, at, (before, _) in rows:
            if check_id is not None:
                changes.setdefault(check_id, []).append((int(at.timestamp()), before))
    return {check.pk: _schedules(check, changes.get(check.pk, [])) for check in checks}


def _schedules(check: Check, changes: Sequence[tuple[int, int]]) -> list[Schedule]:
    own = Schedule(
        check_id=check.pk, interval_s=check.interval_s, anytime=check.kind == Kind.HEARTBEAT
    )
    found, since = [], 0
    for at, before in changes:
        until = at + TAKEN_UP_S
        found.append(replace(own, interval_s=before, since=since, until=until))
        since = at
    return [*found, replace(own, since=since)]


def slot_values(
    client: Client,
    schedules: Iterable[Schedule],
    spans: Iterable[tuple[int, int]],
    *,
    rechecks: bool = False,
    reaching_in: bool = False,
) -> dict[str, Any]:
    """The parameters of `EACH_SLOT` for the slots in these spans, each without its last second.

    With `reaching_in` also the slot before each span, because its result stands for time inside it.
    """
    rows: list[tuple[int, range]] = []
    for schedule, (start, end) in product(schedules, spans):
        first = start - (schedule.interval_s - 1 if reaching_in else 0)
        if schedule.anytime:
            seconds = _of_heartbeat(client, schedule, first, end)
            rows += [(schedule.check_id, range(each, each + 1)) for each in seconds]
        elif slots := schedule.slots(first, end, rechecks=rechecks):
            rows.append((schedule.check_id, slots))
    return {
        "client": client.pk,
        "ids": [check_id for check_id, _ in rows],
        "firsts": [slots.start for _, slots in rows],
        "lasts": [slots[-1] for _, slots in rows],
        "every": [slots.step for _, slots in rows],
    }

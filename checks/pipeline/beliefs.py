"""Beliefs in the database: loaded under lock in the order of the checks, written back in bulk.

Locking protocol, for everybody who changes what is believed: lock the check's `region_state` rows first (here,
ordered by check and region), touch `checks_check` and incidents only after that. Rows are made when they are missing,
so there is always something to lock; and while one is missing none is locked, or who makes it would wait for another
maker with locks in hand that this other one needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import connection

from checks.models.result import OUTCOMES, REASONS
from checks.pipeline.fresh import FreshResult
from checks.state import Belief, OpenIncident, Policy, RegionState, State
from fanout_lambdas.shared.slots import phase

_LACKING = """
select from checks_check c cross join lateral unnest(c.regions) r(region)
where c.id = any(%(ids)s) and c.deleted_at is null and not exists (
  select from region_state s where s.check_id = c.id and s.region = r.region)
"""
LOCK = f"""
select check_id, region, memory from region_state
where check_id = any(%(ids)s) and not exists ({_LACKING}) order by check_id, region for update
"""
MAKE_MISSING = """
insert into region_state (check_id, region, client_id, memory)
select c.id, r.region, c.client_id, '{}'
from checks_check c cross join lateral unnest(c.regions) r(region)
where c.id = any(%(ids)s) order by 1, 2
on conflict do nothing
"""
READ = """
select c.id, c.client_id, c.interval_s, c.regions, c.rotate, c.down_after, c.up_after, c.quorum,
       c.kind = 'heartbeat', c.state, extract(epoch from c.state_since)::bigint, i.id,
       extract(epoch from i.started_at)::bigint, extract(epoch from i.opened_at)::bigint
from checks_check c
left join checks_incident i on i.subject_id = c.id and i.resolved_at is null
where c.id = any(%(ids)s) and c.deleted_at is null
"""
WRITE_REGIONS = """
update region_state s set
    memory = n.memory::bigint[],
    last_at = coalesce(to_timestamp(n.last_at), s.last_at),
    last_outcome = coalesce(n.last_outcome, s.last_outcome),
    last_reason = coalesce(n.last_reason, s.last_reason),
    last_http_status = case when n.last_at is null then s.last_http_status else n.last_http_status end,
    last_total_us = coalesce(n.last_total_us, s.last_total_us),
    cert_not_after = coalesce(to_timestamp(n.cert_not_after), s.cert_not_after)
from unnest(%s::int[], %s::smallint[], %s::text[], %s::bigint[], %s::smallint[], %s::smallint[],
            %s::smallint[], %s::int[], %s::bigint[])
    as n(check_id, region, memory, last_at, last_outcome, last_reason, last_http_status, last_total_us,
         cert_not_after)
where s.check_id = n.check_id and s.region = n.region
"""
WRITE_STATES = """
update checks_check c set state = n.state, state_since = to_timestamp(n.since)
from unnest(%s::int[], %s::text[], %s::bigint[]) as n(id, state, since) where c.id = n.id
"""


@dataclass(slots=True, kw_only=True)
class Loaded:
    """One check's belief under lock, and what it was when it was loaded."""

    check_id: int
    client_id: int
    policy: Policy
    belief: Belief
    before: Belief
    incident_id: int | None


def load_beliefs(check_ids: Iterable[int]) -> dict[int, Loaded]:
    """The beliefs of these checks, locked until the transaction ends; deleted and unknown checks are left out."""
    ids = {"ids": sorted(set(check_ids))}
    with connection.cursor() as cursor:
        cursor.execute(LOCK, ids)
        rows = cursor.fetchall()
        cursor.execute(READ, ids)
        checks = cursor.fetchall()
        while not rows and any(check[3] for check in checks):
            cursor.execute(MAKE_MISSING, ids)
            cursor.execute(LOCK, ids)
            rows = cursor.fetchall()
            cursor.execute(READ, ids)
            checks = cursor.fetchall()
    regions: dict[int, dict[int | str, RegionState]] = {}
    for check_id, region, memory in rows:
        regions.setdefault(check_id, {})[region] = (
            RegionState.from_row(memory) if memory else RegionState()
        )
    loaded: dict[int, Loaded] = {}
    for row in checks:
        check_id, client_id, interval_s, codes, rotate, down_after, up_after, quorum = row[:8]
        heartbeat, state, since, incident_id, started, opened = row[8:]
        belief = Belief(
            state=State(state),
            since=since,
            regions=regions.get(check_id, {}),
            incident=None if incident_id is None else OpenIncident(started=started, opened=opened),
        )
        loaded[check_id] = Loaded(
            check_id=check_id,
            client_id=client_id,
            policy=Policy(
                interval_s=interval_s,
                phase_s=phase(check_id, interval_s),
                regions=tuple(codes),
                rotate=rotate,
                down_after=down_after,
                up_after=up_after,
                quorum=quorum,
                heartbeat=heartbeat,
            ),
            belief=belief,
            before=belief,
            incident_id=incident_id,
        )
    return loaded


def write_beliefs(
    changed: Sequence[Loaded], *, newest: dict[tuple[int, int | str], FreshResult] | None = None
) -> None:
    """Write back what differs; `newest` holds each region's newest evaluated result, for lists and the snapshot."""
    newest = newest or {}
    columns: list[list[object]] = [[] for _ in range(9)]
    states: list[list[object]] = [[], [], []]
    for one in changed:
        for region, memory in one.belief.regions.items():
            result = newest.get((one.check_id, region))
            if result is None and one.before.regions.get(region) == memory:
                continue
            row = (
                one.check_id,
                region,
                _array(memory),
                result and result.slot,
                result and OUTCOMES[result.outcome],
                result and REASONS[result.reason],
                result and result.http_status,
                result and result.total_us,
                result and result.certificate_not_after,
            )
            for column, value in zip(columns, row, strict=True):
                column.append(value)
        if (one.belief.state, one.belief.since) != (one.before.state, one.before.since):
            for column, value in zip(
                states, (one.check_id, one.belief.state.value, one.belief.since), strict=True
            ):
                column.append(value)
    with connection.cursor() as cursor:
        if columns[0]:
            cursor.execute(WRITE_REGIONS, columns)
        if states[0]:
            cursor.execute(WRITE_STATES, states)


def _array(memory: RegionState) -> str:
    """The memory as PostgreSQL writes an array; arrays of arrays cannot be unnested row by row."""
    return "{" + ",".join("NULL" if each is None else str(each) for each in memory.row()) + "}"


def at(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)

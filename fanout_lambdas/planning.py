"""Which slots are due and how they are cut into batches (hop 1). Pure: the same snapshot, minute,
region and topology give the same batches, so the watch job can work out again what was lost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from fanout_lambdas.shared.contracts import EXTRA_BATCHES_FROM, Batch
from fanout_lambdas.shared.contracts.snapshot import CheckPlan, Snapshot
from fanout_lambdas.shared.slots import MINUTE_S, minute_of

ANSWER_WITHIN_S = 60  # a result stored later than this after its slot counts as late
BATCH_SPAN_S = 3  # slots of one batch lie within this window: a batch reports at its end, and people wait for that
SLOW_SPAN_S = 20  # of a billed batch of slow checks: each lasts a whole timeout, so few are cheap
DEALT_MS = 1_000  # a worker of 192 MB takes 1-2.5 s to start a hundred probes
MAX_PROBES_PAYLOAD = 900_000  # bytes; leaves room for the envelope below the limit of 1 MB
# An invocation takes 1.5 to 1.9 ms of CPU: so many a minute are two thirds of what a dispatcher of 256 MB can start.
TIER_FROM_BATCHES = 3_000

_measure = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """The shape of the fan-out: checks per worker, and workers per triggerer (0: no triggerers).

    Workers with one check each start at the minute's first second, as in the article; batches start at their time.
    `billed`: waiting costs money, as on Lambda. Then a batch starts at its last slot and no probe waits for its own,
    so that a probe starts up to the batch's span late and never early.
    """

    checks_per_worker: int
    workers_per_triggerer: int
    billed: bool = False

    @property
    def spread(self) -> bool:
        """Whether batches start at their time in the minute, not all at its first second."""
        return self.checks_per_worker > 1

    @property
    def paced(self) -> bool:
        """Whether a worker keeps each probe to its slot."""
        return self.spread and not self.billed


DIRECT = Topology(checks_per_worker=1, workers_per_triggerer=0)
FANOUT = Topology(checks_per_worker=1, workers_per_triggerer=100)
BATCHED = Topology(checks_per_worker=100, workers_per_triggerer=0)
TIERED = Topology(checks_per_worker=100, workers_per_triggerer=100)
PRESETS: Mapping[str, Topology] = {"direct": DIRECT, "fanout": FANOUT, "batched": BATCHED}


class PlannedSlot(NamedTuple):
    """One probe to be made; sorts by time, then by check."""

    slot: int
    check_id: int
    check: CheckPlan


Cut = Sequence[tuple[PlannedSlot, dict[str, Any]]]


def due_slots(snapshot: Snapshot, minute: int, region: str) -> list[PlannedSlot]:
    """All slots of `region` in the minute that starts at `minute`, in the order of time."""
    end = minute + MINUTE_S
    due: list[PlannedSlot] = []
    for check in snapshot.checks:
        regions, interval = check.regions, check.interval_s
        slot = minute + (check.phase_s - minute) % interval
        if slot >= end or region not in regions:
            continue
        count = len(regions)
        own = regions.index(region) if check.rotate and count > 1 else -1
        while slot < end:
            if own < 0 or (slot - check.phase_s) // interval % count == own:
                due.append(PlannedSlot(slot, check.check_id, check))
            slot += interval
    due.sort(key=_in_time)
    return due


def plan_batches(
    snapshot: Snapshot, minute: int, region: str, topology: Topology, *, attempt: int = 1
) -> list[Batch]:
    """The minute's batches, numbered from 0 in the order in which they start."""
    due = due_slots(snapshot, minute, region)
    quick = [planned for planned in due if not planned.check.slow]
    slow = [planned for planned in due if planned.check.slow]
    cuts = [
        *_cut_lane(quick, region, topology, BATCH_SPAN_S),
        *_cut_lane(slow, region, topology, SLOW_SPAN_S if topology.billed else BATCH_SPAN_S),
    ]
    # Stable: of two that start together the quick lane goes first.
    cuts.sort(key=lambda cut: _beginning(cut, topology))
    batches = [
        _batch(cut, minute, region, number, topology, attempt, snapshot.canaries)
        for number, cut in enumerate(cuts)
    ]
    if topology.spread:
        return batches
    return [replace(batch, not_before=minute) for batch in batches]


def plan_extra(
    slots: Iterable[PlannedSlot],
    *,
    region: str,
    first_number: int = EXTRA_BATCHES_FROM,
    topology: Topology = BATCHED,
    canaries: Sequence[Mapping[str, Any]] = (),
    attempt: int = 1,
) -> list[Batch]:
    """Batches for rechecks and other slots outside the plan, numbered from `first_number`.

    They keep to their time in every topology, and never straddle a minute. The caller gives each call in one minute
    a number of its own.
    """
    minutes: dict[int, list[PlannedSlot]] = {}
    for planned in sorted(slots, key=_in_time):
        minutes.setdefault(minute_of(planned.slot), []).append(planned)
    batches: list[Batch] = []
    for minute, due in minutes.items():
        for cut in _cut_lane(due, region, topology, BATCH_SPAN_S):
            number = first_number + len(batches)
            batches.append(_batch(cut, minute, region, number, topology, attempt, canaries))
    return batches


def renew(batch: Batch, *, now: int) -> Batch:
    """A lost batch once more: one attempt up, to be probed at once, with a new deadline."""
    return replace(
        batch,
        attempt=batch.attempt + 1,
        not_before=now,
        deadline=now + ANSWER_WITHIN_S,
        paced=False,
    )


def tiers(batches: Sequence[Batch], topology: Topology) -> list[list[Batch]]:
    """Groups of batches, one per triggerer, cut by number and payload; without triggerers each
    batch is a group of its own."""
    most = topology.workers_per_triggerer
    if not most:
        return [[batch] for batch in batches]
    groups: list[list[Batch]] = []
    size = 0
    for batch in batches:
        length = len(_measure(batch.to_json())) + 2
        if not groups or len(groups[-1]) >= most or size + length > MAX_PROBES_PAYLOAD:
            groups.append([])
            size = 0
        groups[-1].append(batch)
        size += length
    return groups


def with_tier(topology: Topology, batches: int) -> Topology:
    """`topology` with a triggerer tier when so many batches are more than one loop can start."""
    if topology.workers_per_triggerer or not topology.spread or batches < TIER_FROM_BATCHES:
        return topology
    return replace(topology, workers_per_triggerer=TIERED.workers_per_triggerer)


def _in_time(planned: PlannedSlot) -> tuple[int, int]:
    return planned[0], planned[1]


def _cut_lane(
    due: Sequence[PlannedSlot], region: str, topology: Topology, span_s: int
) -> Iterable[Cut]:
    """In the order of time; where a batch is billed until its last answer by expected duration, the longest first, in
    windows of time. No window is longer than its checks' interval: two slots of one check, probed together, would tell
    of one moment only."""
    if not topology.billed:
        yield from _cut(due, region, topology.checks_per_worker, span_s)
        return
    windows: dict[tuple[int, int], list[PlannedSlot]] = {}
    for planned in due:
        length = min(span_s, planned.check.interval_s)
        windows.setdefault((length, planned.slot % MINUTE_S // length), []).append(planned)
    for window in windows.values():
        window.sort(key=lambda planned: -planned.check.expected_ms)
        for hand in _dealt(window, topology.checks_per_worker):
            yield from _cut(hand, region, topology.checks_per_worker, span_s)


def _dealt(window: Sequence[PlannedSlot], most: int) -> Iterable[Sequence[PlannedSlot]]:
    """A window, the longest first, as hands of cards. What lasts longer than a worker needs to start a batch shares a
    batch, filled up with the shortest. The rest is dealt evenly, each hand the longest first: its last start is then
    its shortest, so that hardly anything is waited for."""
    long = sum(planned.check.expected_ms > DEALT_MS for planned in window)
    filled = min(-long % most, len(window) - long)
    short = window[long : len(window) - filled]
    if long:
        yield [*window[:long], *window[len(window) - filled :]]
    hands = -(-len(short) // most)
    for hand in range(hands):
        yield short[hand::hands]


def _beginning(cut: Cut, topology: Topology) -> int:
    slots = [planned.slot for planned, _ in cut]
    return max(slots) if topology.billed else min(slots)


def _cut(due: Sequence[PlannedSlot], region: str, most: int, span_s: int) -> Iterable[Cut]:
    """Cut in the given order by number of checks, span of time and payload."""
    cut: list[tuple[PlannedSlot, dict[str, Any]]] = []
    size = first = 0
    for planned in due:
        slot, check_id, check = planned
        probe = {"check_id": check_id, "slot": slot, **check.request}
        if check.sealed and region in check.sealed:
            probe["sealed"] = check.sealed[region]
        length = len(_measure(probe)) + 2
        if cut and (
            len(cut) >= most or slot - first >= span_s or size + length > MAX_PROBES_PAYLOAD
        ):
            yield cut
            cut, size = [], 0
        if not cut:
            first = slot
        cut.append((planned, probe))
        size += length
    if cut:
        yield cut


def _batch(
    cut: Cut,
    minute: int,
    region: str,
    number: int,
    topology: Topology,
    attempt: int,
    canaries: Sequence[Mapping[str, Any]],
) -> Batch:
    return Batch(
        minute=minute,
        number=number,
        attempt=attempt,
        region=region,
        not_before=_beginning(cut, topology),
        deadline=max(planned.slot for planned, _ in cut) + ANSWER_WITHIN_S,
        paced=topology.paced,
        canaries=tuple(canaries),
        probes=tuple(probe for _, probe in cut),
    )

"""The nouns of the state rules (hop 6): what is remembered, what comes in, what a decision says.

Pure: no Django, no I/O. All times are whole epoch seconds in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from fanout_lambdas.shared.contracts import Outcome

Region = int | str
"""A region's number in the database, its name in a replay file."""

Window = tuple[int, int]
"""Maintenance from its first second up to, but without, its last."""


class State(StrEnum):
    """What we believe about a check (rule 11)."""

    NEW = "new"
    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"
    PAUSED = "paused"


class Dropped(StrEnum):
    """Why an observation moved nothing."""

    DUPLICATE = "duplicate"
    LATE = "late"
    REFUSED = "refused"
    EXCLUDED = "excluded"
    """Stored, but never evaluated: in maintenance, in a pause, or from a region not asked."""


class Slowness(StrEnum):
    """Rule 12: a check became degraded, or recovered from it. Never an outage."""

    DEGRADED = "degraded"
    RECOVERED = "recovered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a check is probed and judged."""

    interval_s: int
    regions: tuple[Region, ...]
    phase_s: int = 0
    rotate: bool = False
    down_after: int = 3
    up_after: int = 2
    quorum: int | None = None
    """None means the majority of the regions."""
    heartbeat: bool = False
    """Between its calls a heartbeat is silent by right: silence is judged by its own rule (15)."""

    @property
    def needed(self) -> int:
        """How many regions must be down for the check to be down (rule 6)."""
        return len(self.regions) // 2 + 1 if self.quorum is None else self.quorum

    @property
    def cadence_s(self) -> int:
        """How often one region probes (rule 4)."""
        return self.interval_s * max(1, len(self.regions)) if self.rotate else self.interval_s

    @property
    def round_limit(self) -> int:
        """Recheck rounds that one episode may use (rule 7)."""
        return self.down_after + self.up_after


_OUTCOMES = (Outcome.UP, Outcome.DEGRADED, Outcome.DOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionState:
    """Everything remembered about one check in one region; small scalars, one row's `memory`."""

    floor: int | None = None
    """Slots before this second belong to a life before a pause and are never evaluated."""
    last_slot: int | None = None
    """The newest evaluated slot, also when it lies before a pause."""
    last_outcome: Outcome | None = None
    last_good: int | None = None
    slow: bool = False
    """The newest good result was degraded."""
    down: bool | None = None
    """The region's verdict; None until its first run is complete."""
    counts: bool = False
    """The down verdict counts towards opening; a gap takes that away (rule 4)."""
    run_bad: bool | None = None
    run_len: int = 0
    run_first: int | None = None
    down_first: int | None = None
    """First bad slot of the run that made the down verdict ..."""
    down_done: int | None = None
    """... the slot that completed it ..."""
    down_good: int | None = None
    """... and the newest good slot before it."""
    rounds: int = 0
    """Recheck rounds used in this region's episode."""
    awaits: int | None = None
    """The slot of the recheck round that this region has not answered yet."""

    @property
    def unfinished(self) -> bool:
        """A run is under way that has not become (or renewed) a verdict."""
        if self.run_len == 0:
            return False
        return self.run_bad is not self.down or (self.run_bad is True and not self.counts)

    @property
    def contrary(self) -> bool:
        """The run speaks against the verdict; before the first verdict only a bad one does."""
        return self.run_len > 0 and self.run_bad is not bool(self.down)

    def row(self) -> list[int | None]:
        """As a flat list of integers, in the order of the fields."""
        outcome = self.last_outcome
        return [
            self.floor,
            self.last_slot,
            None if outcome is None else _OUTCOMES.index(outcome),
            self.last_good,
            int(self.slow),
            None if self.down is None else int(self.down),
            int(self.counts),
            None if self.run_bad is None else int(self.run_bad),
            self.run_len,
            self.run_first,
            self.down_first,
            self.down_done,
            self.down_good,
            self.rounds,
            self.awaits,
        ]

    @classmethod
    def from_row(cls, row: Sequence[int | None]) -> RegionState:
        """The inverse of `row`."""
        floor, last_slot, outcome, last_good, slow, down, counts, run_bad, run_len, *rest = row
        run_first, down_first, down_done, down_good, rounds, awaits = rest
        return cls(
            floor=floor,
            last_slot=last_slot,
            last_outcome=None if outcome is None else _OUTCOMES[outcome],
            last_good=last_good,
            slow=bool(slow),
            down=None if down is None else bool(down),
            counts=bool(counts),
            run_bad=None if run_bad is None else bool(run_bad),
            run_len=run_len or 0,
            run_first=run_first,
            down_first=down_first,
            down_done=down_done,
            down_good=down_good,
            rounds=rounds or 0,
            awaits=awaits,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenIncident:
    """The incident that is open now."""

    started: int
    opened: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief:
    """What is believed about one check."""

    state: State = State.NEW
    since: int = 0
    """When the state began; for a check without results, when it was created or resumed."""
    regions: Mapping[Region, RegionState] = field(default_factory=dict)
    incident: OpenIncident | None = None

    def asked(self, policy: Policy) -> list[tuple[Region, RegionState]]:
        """The memories of the regions that have a vote, in the policy's order."""
        regions = self.regions
        return [(name, regions[name]) for name in policy.regions if name in regions]

    def is_degraded(self, policy: Policy) -> bool:
        """Rule 11: at least quorum regions' newest evaluated result is degraded."""
        newest = [memory.last_outcome for _, memory in self.asked(policy)]
        return newest.count(Outcome.DEGRADED) >= policy.needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One slot's result or marker."""

    region: Region
    slot: int
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedIncident:
    """Rule 8: an outage is confirmed."""

    started: int
    opened: int
    last_good: int | None
    """The newest good slot before it where it was seen first: the outage began after this ..."""
    first_bad: int
    """... and not after this."""
    region: Region
    """The region whose first bad slot is `started`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedIncident:
    """Rules 8 and 9: the open incident is over."""

    ended: int
    resolved: int
    region: Region | None
    """The region whose good run ended it; None when it was closed by pausing or deleting."""

    @property
    def silent(self) -> bool:
        """Nobody is told of a recovery."""
        return self.region is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What follows from one observation or one act."""

    belief: Belief
    dropped: Dropped | None = None
    opened: OpenedIncident | None = None
    closed: ClosedIncident | None = None
    slowness: Slowness | None = None
    recheck_round: int | None = None
    """The second at which each of the check's regions gets one extra slot."""

    @property
    def applied(self) -> bool:
        """The observation was taken; a marker is taken too, and changes no verdict."""
        return self.dropped is None

"""When a check is due: phases, slots, the 10-second grid and minutes (hops 0, 1, 6 and 11).

Pure integer arithmetic. All times are whole epoch seconds in UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

GRID_S = 10
MINUTE_S = 60

INTERVALS_S = (
    *(10, 20, 30),
    *(60, 120, 180, 300, 600, 900, 1800),
    *(3600, 7200, 10800, 21600, 43200, 86400),
)

_GOLDEN = 0x9E3779B97F4A7C15  # 2**64 / golden ratio
_MASK = (1 << 64) - 1


def phase(check_id: int, interval_s: int) -> int:
    """The check's stable second inside its interval, in [0, interval_s).

    Multiplying by the golden ratio spreads neighbouring ids more evenly than a random hash does:
    10,000 consecutive checks each minute give 166 or 167 to each second, and the ten checks of
    one client lie far apart.
    """
    return (((check_id * _GOLDEN) & _MASK) * interval_s) >> 64


def slots_between(interval_s: int, phase_s: int, start: int, end: int) -> range:
    """The slots t in [start, end) with (t - phase_s) divisible by interval_s."""
    return range(start + (phase_s - start) % interval_s, end, interval_s)


def next_grid(phase_s: int, after: int) -> int:
    """The first point of the check's 10-second grid strictly after `after`."""
    return after + 1 + (phase_s - after - 1) % GRID_S


def round_of_slot(slot: int, interval_s: int, phase_s: int) -> int:
    """The running number of the round that `slot` belongs to."""
    return (slot - phase_s) // interval_s


def region_of_slot(regions: Sequence[str], slot: int, interval_s: int, phase_s: int) -> str:
    """The one region that probes this slot when the rounds rotate through `regions`."""
    return regions[round_of_slot(slot, interval_s, phase_s) % len(regions)]


def minute_of(at: int) -> int:
    """The start of the minute that holds `at`."""
    return at - at % MINUTE_S


def minute_key(minute: int) -> str:
    """`20261123T0417`: sorts as text in the order of time."""
    return datetime.fromtimestamp(minute, UTC).strftime("%Y%m%dT%H%M")


def minute_from_key(key: str) -> int:
    """The inverse of `minute_key`; ValueError for anything else."""
    if len(key) != 13:
        raise ValueError(f"{key!r} is not a minute like 20261123T0417")
    return int(datetime.strptime(key, "%Y%m%dT%H%M").replace(tzinfo=UTC).timestamp())

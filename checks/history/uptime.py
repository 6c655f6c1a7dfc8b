"""Rule 13: uptime and its coverage from spans of time. Pure.

Uptime = 1 - incident time / measured time, rounded down, and never shown without its coverage.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Span = tuple[int, int]
"""From its first second up to, but without, its last; whole epoch seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uptime:
    """Seconds of one period; excluded time is in none of them."""

    period_s: int
    """What could have been measured."""
    measured_s: int
    incident_s: int

    def share(self, digits: int = 2) -> str | None:
        """Uptime in percent, rounded down: "99.95"; None when nothing was measured."""
        return _percent(self.measured_s - self.incident_s, self.measured_s, digits)

    def coverage(self, digits: int = 1) -> str | None:
        """Measured time in percent of the period, rounded down; None for an empty period."""
        return _percent(self.measured_s, self.period_s, digits)

    def __str__(self) -> str:
        share, coverage = self.share(), self.coverage()
        if share is None:
            return "no data"
        return f"{share} %, {coverage} % of slots measured"


def uptime(
    period: Span,
    *,
    measured: Iterable[Span],
    incidents: Iterable[Span],
    excluded: Iterable[Span] = (),
) -> Uptime:
    """The uptime of `period`.

    `measured` are the intervals that have a good or bad result, `incidents` run from started to
    ended (an open one to now), `excluded` is maintenance and pause. Spans may overlap.
    """
    left_out = union(excluded)
    outage = _without(union(_clip(incidents, period)), left_out)
    seen = _without(union([*_clip(measured, period), *outage]), left_out)
    return Uptime(
        period_s=_length(_without(union([period]), left_out)),
        measured_s=_length(seen),
        incident_s=_length(outage),
    )


def _clip(spans: Iterable[Span], period: Span) -> list[Span]:
    start, end = period
    return [(max(first, start), min(last, end)) for first, last in spans]


def union(spans: Iterable[Span]) -> list[Span]:
    """Sorted spans without overlaps and empty ones."""
    joined: list[Span] = []
    for first, last in sorted(spans):
        if first >= last:
            continue
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return joined


def _without(spans: list[Span], holes: list[Span]) -> list[Span]:
    """What of `spans` lies in none of `holes`; both as `_union` gives them."""
    kept: list[Span] = []
    hole = 0
    for first, last in spans:
        while hole < len(holes) and holes[hole][1] <= first:
            hole += 1
        at = hole
        while at < len(holes) and holes[at][0] < last:
            if first < holes[at][0]:
                kept.append((first, holes[at][0]))
            first = max(first, holes[at][1])
            at += 1
        if first < last:
            kept.append((first, last))
    return kept


def _length(spans: list[Span]) -> int:
    return sum(last - first for first, last in spans)


def _percent(part: int, whole: int, digits: int) -> str | None:
    """In integers, so that 99.999 is never printed as 100."""
    if whole <= 0:
        return None
    scale = 10**digits
    units, fraction = divmod(part * 100 * scale // whole, scale)
    return f"{units}.{fraction:0{digits}d}" if digits else str(units)

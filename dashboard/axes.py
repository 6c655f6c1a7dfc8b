"""PURE: the frame of a chart over time: where a moment and a value stand, and the labels of both axes (hop 10)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Final

from dashboard.figures import format_ms

WIDE: Final = 1_000.0
"""Plot units across; the browser stretches them to the frame."""
TOP: Final = 20
"""Room above the plot, for marks of outliers."""
TALL: Final = 220
FOOT: Final = 26
"""Room below the plot, for times."""
_TICK_STEPS: Final = tuple(
    timedelta(minutes=minutes) for minutes in (5, 10, 15, 30, 60, 120, 180, 240, 360, 720)
) + tuple(timedelta(days=days) for days in (1, 2, 5, 7, 10, 15, 30))


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    start: datetime
    end: datetime
    top_ms: float

    def share(self, at: datetime) -> float:
        return min(1.0, max(0.0, (at - self.start) / (self.end - self.start)))

    def percent(self, at: datetime) -> str:
        return f"{self.share(at) * 100:.2f}".rstrip("0").rstrip(".") + "%"

    def x(self, at: datetime) -> float:
        return self.share(at) * WIDE

    def y(self, ms: float) -> float:
        return TALL * (1 - min(ms, self.top_ms) / self.top_ms)


def _tick_values(top_ms: float) -> list[float]:
    """About four round steps of 1, 2 or 5."""
    rough = top_ms / 4
    magnitude = 10 ** math.floor(math.log10(rough))
    step = next(m * magnitude for m in (1, 2, 5, 10) if m * magnitude >= rough * 0.8)
    return [step * n for n in range(1, int(top_ms / step) + 1)]


def floor() -> str:
    y = TOP + TALL
    return f'<line class="axis-line" x1="0" x2="100%" y1="{y}" y2="{y}"/>'


def scale(frame: Frame) -> Iterator[str]:
    for value in _tick_values(frame.top_ms):
        y = TOP + frame.y(value)
        yield f'<line class="grid-line" x1="0" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="label-halo" x="2" y="{y - 4:.1f}">{format_ms(value)}</text>'


def times(frame: Frame, zone: tzinfo) -> Iterator[str]:
    span = frame.end - frame.start
    step = next((step for step in _TICK_STEPS if span / step <= 8), _TICK_STEPS[-1])
    by_day = step >= timedelta(days=1)
    at = frame.start.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    drawn = 0
    while at < frame.end:
        # Labels too near an edge would be cut, and every second one is left out where it is narrow.
        if 0.03 <= frame.share(at) <= 0.97 and at > frame.start:
            text = f"{at:%b} {at.day}" if by_day else f"{at:%H:%M}"
            css = ' class="tick-spare"' if drawn % 2 else ""
            x = frame.percent(at)
            yield f'<text{css} x="{x}" y="{TOP + TALL + 18}" text-anchor="middle">{text}</text>'
            drawn += 1
        at += step

"""PURE: small bars over time as SVG: the minute strip, the day bars and the sparkline (hop 10).

A strip is one path for each state, cut from fragments made once at import, so that a list of fifty checks costs little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from enum import StrEnum
from html import escape
from typing import Final

from dashboard.figures import format_count, format_duration, format_share


class Mark(StrEnum):
    """What one bar says. The word is the one people read."""

    UP = "up"
    SLOW = "slow"
    DOWN = "down"
    CHECKING = "checking"
    MAINTENANCE = "maintenance"
    NONE = "none"


WORDS: Final = {
    Mark.UP: "up",
    Mark.SLOW: "slow",
    Mark.DOWN: "down",
    Mark.CHECKING: "checking again",
    Mark.MAINTENANCE: "in maintenance",
    Mark.NONE: "without data",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One bar of a strip: the time it begins, and the worst that happened in it."""

    at: datetime
    mark: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """A drawing and its words; `label` is what a screen reader says in place of the drawing."""

    svg: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One day of a check: seconds measured, down and slow, out of `length_s`."""

    on: date
    measured_s: float
    down_s: float
    slow_s: float = 0.0
    length_s: float = 86_400.0


PITCH: Final = 4
HEIGHT: Final = 24
_LONGEST: Final = 120


def _bar(mark: Mark, left: int) -> str:
    """One bar, 3 wide, standing on the floor; height and form differ by state."""
    match mark:
        case Mark.UP:
            return f"M{left} 8h3v16h-3z"
        case Mark.SLOW:  # notched top
            return f"M{left} 4l1.5 3 1.5-3v20h-3z"
        case Mark.DOWN:
            return f"M{left} 0h3v24h-3z"
        case Mark.CHECKING:  # hollow: drawn as an outline
            return f"M{left + 0.5:g} 4.5h2v19h-2z"
        case Mark.MAINTENANCE:  # hatched
            return f"M{left} 14h3v2h-3zM{left} 18h3v2h-3zM{left} 22h3v2h-3z"
        case Mark.NONE:  # a stub
            return f"M{left} 20h3v4h-3z"


_FRAGMENTS: Final = {
    mark: tuple(_bar(mark, index * PITCH) for index in range(_LONGEST)) for mark in Mark
}


def minute_strip(
    cells: Sequence[Cell], *, zone: tzinfo = UTC, unit: str = "minutes", stretch: bool = False
) -> Strip:
    """Bars from old (left) to now (right). Narrow frames show the newest: the drawing is cut on the left.

    With `stretch` it fills the width of its frame instead.
    """
    if len(cells) > _LONGEST:
        raise ValueError(f"a strip holds at most {_LONGEST} bars, not {len(cells)}")
    paths: dict[Mark, list[str]] = {}
    for index, cell in enumerate(cells):
        paths.setdefault(cell.mark, []).append(_FRAGMENTS[cell.mark][index])
    drawn = "".join(
        f'<path class="m-{mark.value}" d="{"".join(paths[mark])}"/>'
        for mark in Mark
        if mark in paths
    )
    label = f"Last {len(cells)} {unit}: {_counts(cells, zone)}"
    css, fit = ("strip strip-wide", "none") if stretch else ("strip", "xMaxYMid slice")
    width = max(1, len(cells)) * PITCH - 1
    svg = (
        f'<svg class="{css}" viewBox="0 0 {width} {HEIGHT}" preserveAspectRatio="{fit}" role="img" '
        f'aria-label="{escape(label)}">{drawn}</svg>'
    )
    return Strip(svg=svg, label=label)


def _counts(cells: Sequence[Cell], zone: tzinfo) -> str:
    parts = []
    for mark in Mark:
        times = [cell.at for cell in cells if cell.mark is mark]
        if not times:
            continue
        words = f"{len(times)} {WORDS[mark]}"
        if mark in (Mark.DOWN, Mark.CHECKING):
            newest = times[-1].astimezone(zone).strftime("%H:%M")
            words += f" at {newest}" if len(times) == 1 else f", last at {newest}"
        parts.append(words)
    return "; ".join(parts) if any("," in part for part in parts) else ", ".join(parts) or "no data"


def day_bars(days: Sequence[Day]) -> Strip:
    """One column a day: red from the top for down time, amber under it, green below; a grey stub is no data."""
    tall, least = 40.0, 2.0
    paths: dict[Mark, list[str]] = {mark: [] for mark in (Mark.UP, Mark.SLOW, Mark.DOWN, Mark.NONE)}
    for index, day in enumerate(days):
        left = index * PITCH
        if day.measured_s <= 0:
            paths[Mark.NONE].append(f"M{left} 34h3v6h-3z")
            continue
        down = _share_of(tall, day.down_s, day.length_s, least)
        slow = min(tall - down, _share_of(tall, day.slow_s, day.length_s, least))
        top = 0.0
        for mark, height in ((Mark.DOWN, down), (Mark.SLOW, slow), (Mark.UP, tall - down - slow)):
            if height > 0:
                paths[mark].append(f"M{left} {top:g}h3v{height:g}h-3z")
                top = round(top + height, 2)
    drawn = "".join(
        f'<path class="m-{mark.value}" d="{"".join(parts)}"/>'
        for mark, parts in paths.items()
        if parts
    )
    measured = sum(1 for day in days if day.measured_s > 0)
    down_days = sum(1 for day in days if day.down_s > 0)
    down_total = sum(day.down_s for day in days)
    label = f"Last {format_count(len(days), 'day')}: {measured} with data"
    label += (
        f", down time on {down_days}, {format_duration(down_total)} in all"
        if down_days
        else ", no down time"
    )
    width = max(1, len(days)) * PITCH - 1
    svg = (
        f'<svg class="day-bars" viewBox="0 0 {width} 40" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label)}">{drawn}</svg>'
    )
    return Strip(svg=svg, label=label)


def _share_of(tall: float, part: float, whole: float, least: float) -> float:
    if part <= 0 or whole <= 0:
        return 0.0
    return round(min(tall, max(least, tall * part / whole)), 2)


def day_words(day: Day) -> str:
    """One day as a sentence, for the table under the bars."""
    if day.measured_s <= 0:
        return "no data"
    share = format_share(min(1.0, day.measured_s / day.length_s), 1)
    down = f"down {format_duration(day.down_s)}" if day.down_s > 0 else "no down time"
    return f"{down}, {share} measured"


def sparkline(values: Sequence[float | None], *, label: str = "") -> Strip:
    """A line without axes; its last value is printed beside it by the page. Gaps stay gaps; one value is no line."""
    known = [value for value in values if value is not None]
    if len(known) < 2:  # a lone dot says nothing that the number beside it does not
        return Strip(svg="", label=label)
    top, wide, tall = max(known, default=0.0), 58.0, 16.0
    step = wide / max(1, len(values) - 1)
    parts: list[str] = []
    pen_down = False
    last = ""
    for index, value in enumerate(values):
        if value is None:
            pen_down = False
            continue
        x, y = f"{1 + index * step:.1f}", f"{2 + tall * (1 - value / top if top > 0 else 1):.1f}"
        parts.append(f"{'L' if pen_down else 'M'}{x} {y}")
        last = f'<circle cx="{x}" cy="{y}" r="1.75"/>'
        pen_down = True
    role = f'role="img" aria-label="{escape(label)}"' if label else 'aria-hidden="true"'
    svg = f'<svg class="sparkline" viewBox="0 0 60 20" {role}><path d="{"".join(parts)}"/>{last}</svg>'
    return Strip(svg=svg, label=label)

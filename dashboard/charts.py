"""PURE: measurements to SVG: response time by phase, and the waterfall of one result (hop 10).

Drawings have no fixed width: positions across are per cent and text keeps its size, so one drawing serves phone
and desk. Colours are classes, because the pages' Content-Security-Policy allows no style attribute.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from html import escape

from dashboard.axes import FOOT, TALL, TOP, WIDE, Frame, floor, scale, times
from dashboard.figures import format_count, format_ms, format_uptime
from dashboard.phases import PHASES, Chart, Phases, taken, waterfall
from dashboard.strips import Cell, Day, Mark, Strip, day_bars, day_words, minute_strip, sparkline

__all__ = [
    "PHASES",
    "Band",
    "Bucket",
    "Cell",
    "Chart",
    "Day",
    "Mark",
    "Phases",
    "Strip",
    "day_bars",
    "day_words",
    "format_uptime",
    "minute_strip",
    "percentile",
    "phases_chart",
    "sparkline",
    "waterfall",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A stretch of time: means of its good results, 95th percentile and maximum of their total, failures among all."""

    start: datetime
    end: datetime
    mean: Phases | None = None
    p95_ms: float | None = None
    max_ms: float | None = None
    results: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A stretch of time to mark, such as maintenance."""

    start: datetime
    end: datetime


def phases_chart(
    buckets: Sequence[Bucket],
    *,
    start: datetime,
    end: datetime,
    limit_ms: float | None = None,
    maintenance: Sequence[Band] = (),
    edits: Sequence[datetime] = (),
    zone: tzinfo = UTC,
    name: str = "phases",
) -> Chart:
    """Stacked means of the phases, the 95th percentile of the total as a line, failures as hatched bands.

    Without any measurement there is no scale, but a sentence that says so.
    `name` makes the ids inside the drawing unique on a page with several.
    """
    if end <= start:
        raise ValueError("a chart ends after it starts")
    ident = escape(name)
    frame = Frame(start=start, end=end, top_ms=_top_of_scale(buckets, limit_ms))
    body = [
        f"<defs>{_hatch(f'{ident}-down', 'hatch-down')}{_hatch(f'{ident}-rest', 'hatch-maintenance')}</defs>",
        *_bands(
            frame, [(band.start, band.end) for band in maintenance], "maintenance", f"{ident}-rest"
        ),
        f'<svg x="0" y="{TOP}" width="100%" height="{TALL}" viewBox="0 0 {WIDE:g} {TALL}" '
        f'preserveAspectRatio="none">{"".join(_areas(frame, buckets))}{_line(frame, buckets)}</svg>',
        *_bands(frame, _failure_spans(buckets), "down", f"{ident}-down"),
        floor(),
        *times(frame, zone),
        *(_values(frame, buckets, limit_ms) if _measured(buckets) else [_nothing(buckets)]),
        *_edits(frame, edits),
    ]
    label = _chart_label(buckets, limit_ms)
    svg = (
        f'<svg class="chart" width="100%" height="{TOP + TALL + FOOT}" role="img" '
        f'aria-label="{escape(label)}">{"".join(body)}</svg>'
    )
    shown = phases_in(buckets)
    words = (PHASES[place][1] for place in shown)
    columns = ("Time", *words, "Mean", "p95", "Checked", "Failed")
    return Chart(svg=svg, label=label, columns=columns, rows=tuple(_rows(buckets, shown, zone)))


def phases_in(buckets: Sequence[Bucket]) -> list[int]:
    """The phases that took place, as places in `PHASES`."""
    return taken(bucket.mean for bucket in buckets if bucket.mean is not None)


def _measured(buckets: Sequence[Bucket]) -> bool:
    return any(bucket.mean is not None for bucket in buckets)


def _values(frame: Frame, buckets: Sequence[Bucket], limit_ms: float | None) -> Iterator[str]:
    yield from scale(frame)
    yield from _limit(frame, limit_ms)
    yield from _outliers(frame, buckets)


def _nothing(buckets: Sequence[Bucket]) -> str:
    words = (
        "No successful answers in this range"
        if any(bucket.failures for bucket in buckets)
        else "No measurements in this range"
    )
    return (
        f'<text class="chart-empty label-halo" x="50%" y="{TOP + TALL // 2}" '
        f'text-anchor="middle">{words}</text>'
    )


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _top_of_scale(buckets: Sequence[Bucket], limit_ms: float | None) -> float:
    """Rare outliers do not flatten all the rest: the scale ends at p99.5 x 1.2, on a round number."""
    peaks = [
        max(b.p95_ms or 0.0, b.mean.total if b.mean else 0.0) for b in buckets if b.mean or b.p95_ms
    ]
    wanted = percentile(peaks, 0.995) * 1.2 if peaks else 100.0
    if limit_ms is not None and limit_ms <= 3 * wanted:
        wanted = max(wanted, limit_ms * 1.1)
    return max(wanted, 1.0)


def _runs(buckets: Sequence[Bucket]) -> Iterator[list[Bucket]]:
    """Neighbouring buckets with measurements; a gap in the data ends a run and stays a gap in the drawing."""
    run: list[Bucket] = []
    for bucket in buckets:
        if bucket.mean is None or (run and bucket.start > run[-1].end):
            if run:
                yield run
            run = []
        if bucket.mean is not None:
            run.append(bucket)
    if run:
        yield run


def _steps(frame: Frame, run: Sequence[Bucket]) -> list[tuple[float, int]]:
    """Where each bucket's value stands: its middle, with the run's ends drawn to the edges of their buckets."""
    points = [(frame.x(run[0].start), 0)]
    points += [(frame.x(b.start + (b.end - b.start) / 2), i) for i, b in enumerate(run)]
    return [*points, (frame.x(run[-1].end), len(run) - 1)]


def _areas(frame: Frame, buckets: Sequence[Bucket]) -> Iterator[str]:
    """From the top of the stack down, so that the light line of each area parts it from the one above."""
    runs = list(_runs(buckets))
    for place in reversed(phases_in(buckets)):
        parts, count = [], place + 1
        for run in runs:
            heights = [sum(b.mean.values[:count]) if b.mean else 0.0 for b in run]
            points = [f"{x:.1f} {frame.y(heights[i]):.1f}" for x, i in _steps(frame, run)]
            left, right = frame.x(run[0].start), frame.x(run[-1].end)
            parts.append(f"M{left:.1f} {TALL}L{'L'.join(points)}L{right:.1f} {TALL}z")
        if parts:
            css = PHASES[place][0]
            yield f'<path class="area p-{css}" vector-effect="non-scaling-stroke" d="{"".join(parts)}"/>'


def _line(frame: Frame, buckets: Sequence[Bucket]) -> str:
    parts = []
    for run in _runs(buckets):
        known = [(x, run[i].p95_ms) for x, i in _steps(frame, run)]
        points = [f"{x:.1f} {frame.y(value):.1f}" for x, value in known if value is not None]
        if points:
            parts.append("M" + "L".join(points))
    if not parts:
        return ""
    path = f'vector-effect="non-scaling-stroke" d="{"".join(parts)}"'
    return f'<path class="p95-halo" {path}/><path class="p95-line" {path}/>'


def _failure_spans(buckets: Sequence[Bucket]) -> list[tuple[datetime, datetime]]:
    spans: list[tuple[datetime, datetime]] = []
    for bucket in buckets:
        if bucket.failures <= 0:
            continue
        if spans and spans[-1][1] == bucket.start:
            spans[-1] = (spans[-1][0], bucket.end)
        else:
            spans.append((bucket.start, bucket.end))
    return spans


def _bands(
    frame: Frame, spans: Sequence[tuple[datetime, datetime]], kind: str, hatch: str
) -> Iterator[str]:
    for start, end in spans:
        if end <= frame.start or start >= frame.end:
            continue
        width = f"{(frame.share(end) - frame.share(start)) * 100:.3f}%"
        box = f'x="{frame.percent(start)}" y="{TOP}" width="{width}" height="{TALL}"'
        yield f'<rect class="band-{kind}" {box}/><rect fill="url(#{hatch})" {box}/>'


def _hatch(ident: str, css: str) -> str:
    return (
        f'<pattern id="{ident}" width="6" height="6" patternUnits="userSpaceOnUse" '
        f'patternTransform="rotate(45)"><path class="{css}" d="M0 0v6"/></pattern>'
    )


def _limit(frame: Frame, limit_ms: float | None) -> Iterator[str]:
    if limit_ms is None:
        return
    label = f"Alert limit {format_ms(limit_ms)}"
    css = 'class="limit-label label-halo" x="100%" text-anchor="end"'
    if limit_ms > frame.top_ms:
        yield f'<text {css} y="14">{label}, above this range</text>'
        return
    y = TOP + frame.y(limit_ms)
    yield f'<line class="limit-line" x1="0" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>'
    yield f'<text {css} y="{y - 5:.1f}">{label}</text>'


def _outliers(frame: Frame, buckets: Sequence[Bucket]) -> Iterator[str]:
    """Values above the scale: a triangle each at the upper edge, the greatest with its number."""
    above = [b for b in buckets if max(b.max_ms or 0.0, b.p95_ms or 0.0) > frame.top_ms]
    if not above:
        return
    worst = max(above, key=lambda b: max(b.max_ms or 0.0, b.p95_ms or 0.0))
    for bucket in sorted(above, key=lambda b: -(b.max_ms or 0.0))[:12]:
        x = frame.percent(bucket.start + (bucket.end - bucket.start) / 2)
        yield f'<svg class="outlier" x="{x}" y="{TOP - 7}" overflow="visible"><path d="M-4 6h8L0 0z"/></svg>'
    at = frame.share(worst.start)
    anchor, shift = ("end", -8) if at > 0.5 else ("start", 8)
    words = f"max {format_ms(max(worst.max_ms or 0.0, worst.p95_ms or 0.0))}"
    yield (
        f'<text class="label-halo" x="{frame.percent(worst.start)}" dx="{shift}" y="{TOP - 1}" '
        f'text-anchor="{anchor}">{words}</text>'
    )


def _edits(frame: Frame, edits: Sequence[datetime]) -> Iterator[str]:
    for at in edits:
        if frame.start <= at <= frame.end:
            yield (
                f'<svg class="edit-flag" x="{frame.percent(at)}" y="{TOP + TALL - 12}" overflow="visible">'
                '<title>Check edited</title><path d="M0 0h9l-2.5 3L9 6H1.5v6H0z"/></svg>'
            )


def _chart_label(buckets: Sequence[Bucket], limit_ms: float | None) -> str:
    failures = sum(b.failures for b in buckets)
    means = [b.mean.total for b in buckets if b.mean is not None]
    if not means:
        if failures:
            return f"Response time: no successful answers in this range, {format_count(failures, 'failure')}"
        return "Response time: no measurements in this range"
    peaks = [b.p95_ms for b in buckets if b.p95_ms is not None]
    words = f"Response time by phase: mean {format_ms(sum(means) / len(means))}"
    if peaks:
        words += f", 95th percentile up to {format_ms(max(peaks))}"
    words += f", {format_count(failures, 'failure')}" if failures else ", no failures"
    return words + (f", alert limit {format_ms(limit_ms)}" if limit_ms is not None else "")


def _rows(
    buckets: Sequence[Bucket], shown: Sequence[int], zone: tzinfo
) -> Iterator[tuple[str, ...]]:
    for bucket in buckets:
        if not bucket.results and bucket.mean is None:
            continue
        mean = bucket.mean
        phases = (format_ms(mean.values[place] if mean else None) for place in shown)
        yield (
            f"{bucket.start.astimezone(zone):%Y-%m-%d %H:%M}",
            *phases,
            format_ms(mean.total if mean else None),
            format_ms(bucket.p95_ms),
            str(bucket.results),
            str(bucket.failures),
        )

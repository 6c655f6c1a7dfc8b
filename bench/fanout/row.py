"""One line of the table: measured, or computed from a measured one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bench.fanout.spending import Spent, alike, longer, many, usd_month
from fanout_lambdas.durations import LAMBDA_MB_A_CORE, MEASURED
from fanout_lambdas.invoke import DISPATCHER, TRIGGERER, WORKER
from fanout_lambdas.planning import FANOUT, TIER_FROM_BATCHES, TIERED
from fanout_lambdas.prices import ARTICLE, TODAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Counts of one minute. `started`, `finished`: slots whose worker began, and that were answered for;
    `seconds_to_start`: until the last worker began, from the dispatcher's start where all is fired at once,
    else from the minute's. `notes`: what else was found, by name."""

    topology: str
    how: str
    slots: int
    started: int
    finished: int
    throttled: int
    retried: int
    duplicates: int
    seconds_to_start: float
    gb_s: float
    parts: tuple[Spent, ...]
    times: int = 1
    computed: bool = False
    notes: dict[str, float] = field(default_factory=dict)

    @property
    def usd_month_article(self) -> float:
        return usd_month(self.parts, ARTICLE)

    @property
    def usd_month_today(self) -> float:
        return usd_month(self.parts, TODAY)

    def to_json(self) -> dict[str, Any]:
        return {
            "topology": self.topology,
            "times": self.times,
            "computed": self.computed,
            "how": self.how,
            "slots": self.slots,
            "started": self.started,
            "finished": self.finished,
            "throttled": self.throttled,
            "retried": self.retried,
            "duplicates": self.duplicates,
            "seconds_to_start": round(self.seconds_to_start, 2),
            "gb_s": round(self.gb_s, 3),
            "usd_month_article": round(self.usd_month_article, 2),
            "usd_month_today": round(self.usd_month_today, 2),
            **self.notes,
        }


def computed(row: Row, times: int, *, loop: Row) -> Row:
    """`times` as many checks, from the measured minute: what grows with them, and what a loop can start at most.
    `loop`: the measured minute of the article's one loop."""
    match row.topology:
        case "direct":
            grown = _direct(row, times)
        case "fanout":
            grown = _fanout(row, times, loop)
        case _:
            grown = _batched(row, times)
    return replace(
        grown,
        slots=row.slots * times,
        times=times,
        computed=True,
        how="computed",
        throttled=0,
        retried=0,
        duplicates=0,
        gb_s=sum(part.gb_s for part in grown.parts),
        notes={},
    )


def _direct(row: Row, times: int) -> Row:
    """The loop was full already, unless it had started all."""
    most = _a_loop(row, times)
    factor = most / row.started
    parts = _grown(row.parts, {WORKER: factor}, {DISPATCHER: factor})
    return replace(
        row,
        started=round(most),
        finished=round(row.finished * factor),
        seconds_to_start=row.seconds_to_start * factor,
        parts=parts,
    )


def _fanout(row: Row, times: int, loop: Row) -> Row:
    """The main function's loop starts triggerers, and no more than a loop can within its limit."""
    runs = {part.function: part for part in row.parts}
    triggerers = runs[TRIGGERER].runs
    a_start_s = loop.seconds_to_start / loop.started
    most = min(triggerers * times, _a_loop(loop, times))
    factor = most / triggerers
    parts = _grown(row.parts, {WORKER: factor, TRIGGERER: factor}, {})
    main_s = most * a_start_s
    parts = tuple(
        replace(part, seconds=(main_s,)) if part.function == DISPATCHER else part for part in parts
    )
    started = min(row.started * factor, row.slots * times)
    return replace(
        row,
        started=round(started),
        finished=round(started),
        seconds_to_start=main_s + FANOUT.workers_per_triggerer * a_start_s,
        parts=parts,
    )


def _batched(row: Row, times: int) -> Row:
    """One dispatcher, with the memory that a larger snapshot needs, and triggerers for thousands of workers."""
    parts = tuple(
        replace(part, memory_mb=max(part.memory_mb, _dispatcher_mb(row.slots * times)))
        if part.function == DISPATCHER
        else part
        for part in _grown(row.parts, {WORKER: times}, {})
    )
    batches = sum(part.runs for part in parts if part.function == WORKER)
    if batches >= TIER_FROM_BATCHES:
        fan, memory_mb = TIERED.workers_per_triggerer, int(row.notes["triggerer_mb"])
        cpu_s = fan * MEASURED.invoke_cpu_s / min(1.0, memory_mb / LAMBDA_MB_A_CORE)
        # It waits for the last of its batches too: the minute's share that a hundred of them take.
        waits = row.seconds_to_start * fan / batches
        parts = (
            *parts,
            alike(TRIGGERER, memory_mb=memory_mb, runs=batches / fan, seconds=cpu_s + waits),
        )
    return replace(row, started=row.started * times, finished=row.finished * times, parts=parts)


def _a_loop(row: Row, times: int) -> float:
    """Starts within the limit."""
    if row.started < row.slots:
        return row.started
    return min(row.slots * times, row.started * row.notes["limit_s"] / row.seconds_to_start)


def _dispatcher_mb(checks: int) -> int:
    """The next power of two over what was measured: 75 MB at 10,000 checks, 232 at 100,000."""
    return 1 << int(58 + 0.00175 * checks).bit_length()


def _grown(
    parts: Sequence[Spent], more: dict[str, float], last: dict[str, float]
) -> tuple[Spent, ...]:
    """Runs of `more` so many times, runs of `last` so many times as long."""
    return tuple(
        longer(many(part, more.get(part.function, 1.0)), last.get(part.function, 1.0))
        for part in parts
    )

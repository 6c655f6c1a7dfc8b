"""`python -m bench.probe`: CPU and memory of whole probes, beside stock clients and other probers, in one run.

Our rows take a batch in JSON and give a signed report: guard, phases, assertions (status, keyword, latency,
certificate), gzip and signature included. Peers do less: status and keyword, blackbox_exporter its page of
metrics, ab neither. So that the stated number is in flight, starts are not spaced; the rows "spaced" show what
spacing them, as a worker does, costs.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bench.ending import ending_on_signals
from bench.installation import temporary_folder
from bench.probe.imports import ImportTime, measure_import
from bench.probe.order import Cost
from bench.probe.peers import BLACKBOX, versions
from bench.probe.plan import (
    ENGINES,
    HOLDING,
    IN_FLIGHT,
    OURS,
    MeasurementFailed,
    Row,
    measure,
    missing,
    rows,
)
from bench.probe.target import Target, target
from bench.report import Bar, Report

HTTP_FACTOR = 2
"""Probes over HTTP are so much cheaper that a measurement takes more of them."""
MAX_HTTP_CPU_S, MAX_OF_BLACKBOX = 0.30, 0.6
MAX_RSS_MB, HELD = 72, 500
MAX_IMPORT_MS = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    repetitions: int
    probes: int
    engines: tuple[str, ...]
    in_flight: tuple[int, ...]
    as_json: bool


def read_options(argv: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(prog="python -m bench.probe", description=__doc__)
    parser.add_argument("--repetitions", type=_count, default=3, help="default: 3")
    parser.add_argument(
        "--probes", type=_count, default=1_000, help="a measurement, over HTTP twice as many"
    )
    parser.add_argument("--quick", action="store_true", help="1 repetition of 200 probes")
    parser.add_argument(
        "--engines",
        type=lambda text: tuple(text.split(",")),
        default=ENGINES,
        help=f"some of {', '.join(ENGINES)}",
    )
    parser.add_argument(
        "--in-flight",
        type=lambda text: tuple(_count(part) for part in text.split(",")),
        default=IN_FLIGHT,
        help="default: 100,500",
    )
    parser.add_argument("--json", action="store_true", dest="as_json", help="figures on stdout")
    given = parser.parse_args(argv)
    if unknown := set(given.engines) - set(ENGINES):
        parser.error(f"--engines: {', '.join(sorted(unknown))} is none of {', '.join(ENGINES)}")
    return Options(
        repetitions=1 if given.quick else given.repetitions,
        probes=200 if given.quick else given.probes,
        engines=given.engines,
        in_flight=given.in_flight,
        as_json=given.as_json,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What was measured; `held` is memory while all connections wait for their answers."""

    target: str
    probes: int
    costs: dict[Row, list[Cost]]
    held: dict[str, list[float]]
    imports: ImportTime


def run(options: Options, report: Report) -> Run:
    """All rows in turn, as often as asked: other load on the machine then hits all alike."""
    planned = rows(options.engines, options.in_flight)
    measured = {row.engine for row in planned if row.in_flight == HELD}
    holding = [engine for engine in HOLDING if engine in measured]
    costs: dict[Row, list[Cost]] = defaultdict(list)
    held: dict[str, list[float]] = defaultdict(list)
    columns = (TextColumn("{task.description:44}"), BarColumn(), TimeElapsedColumn())
    with temporary_folder() as folder, target(Path(folder)) as served:
        report.say(f"Target: {served.name}, 1,024 bytes, TLS 1.3 without session tickets")
        report.say("Each measurement has a process of its own and a tenth more probes to warm up.")
        with Progress(*columns, console=report.console, transient=True) as progress:
            steps = (len(planned) + len(holding)) * options.repetitions
            task = progress.add_task("", total=steps)
            for _ in range(options.repetitions):
                for row in planned:
                    said = f"{row.engine}, {row.scheme}, {row.in_flight} in flight"
                    progress.update(task, description=said)
                    costs[row].append(_measure(row, served, options.probes))
                    progress.advance(task)
                for engine in holding:
                    progress.update(task, description=f"{engine}, {HELD} waiting over TLS")
                    held[engine].append(_hold(engine, served))
                    progress.advance(task)
        report.say("Importing the worker")
        imports = measure_import(max(3, 3 * options.repetitions))
        return Run(
            target=served.name, probes=options.probes, costs=costs, held=held, imports=imports
        )


def _measure(row: Row, served: Target, probes: int) -> Cost:
    count = _probes(row, probes)
    return measure(row, served, probes=count, warm_up=max(row.in_flight, count // 10))


def _probes(row: Row, probes: int) -> int:
    """At least two rounds of what is in flight."""
    return max(2 * row.in_flight, probes * (HTTP_FACTOR if row.scheme == "http" else 1))


def _hold(engine: str, served: Target) -> float:
    row = Row(engine=engine, scheme="ecdsa", in_flight=HELD)
    return measure(row, served, probes=HELD, warm_up=0, slow=True).peak_rss_mb


def show(run: Run, report: Report) -> dict[str, Any]:
    """Tables for people, figures for programs."""
    found = [_row(row, costs, run.probes) for row, costs in run.costs.items()]
    report.table(
        f"CPU seconds per 1,000 probes against {run.target}",
        ("engine", "scheme", "in flight", "CPU s", "min", "max", "probes/s", "peak MB"),
        [
            (
                each["engine"],
                each["scheme"],
                each["in_flight"],
                *(f"{each[name]:.3f}" for name in ("cpu_s_per_1000", "min", "max")),
                each["rate_per_s"],
                float(each["peak_rss_mb"]),
            )
            for each in found
        ],
    )
    held = {engine: median(values) for engine, values in run.held.items()}
    if held:
        report.table(
            f"Peak memory with {HELD} TLS connections waiting at once",
            ("engine", "peak MB", "of blackbox_exporter's"),
            [
                (engine, mb, f"{mb / held[BLACKBOX]:.2f}" if held.get(BLACKBOX) else "-")
                for engine, mb in held.items()
            ],
        )
    imports = run.imports
    report.say(
        f"import fanout_lambdas.worker: {imports.import_ms:.0f} ms "
        f"({imports.low_ms:.0f}-{imports.high_ms:.0f}), {imports.given_ms:.0f} ms of it asyncio, ssl and httpx; "
        "a process that does it and ends "
        f"{imports.process_ms:.0f} ms, a bare interpreter {imports.bare_ms:.0f} ms"
    )
    bars = _bars(found, held, imports)
    met = report.bars(bars)
    return {
        "target": run.target,
        "rows": found,
        "held": [
            {"engine": engine, "in_flight": HELD, "peak_rss_mb": round(mb, 1)}
            for engine, mb in held.items()
        ],
        "import_ms": round(imports.import_ms, 1),
        "import_given_ms": round(imports.given_ms, 1),
        "import_process_ms": round(imports.process_ms, 1),
        "bare_interpreter_ms": round(imports.bare_ms, 1),
        "bars": {bar.name: {"got": round(bar.got, 3), "met": bar.met} for bar in bars},
        "bars_met": met,
    }


def _row(row: Row, costs: Sequence[Cost], probes: int) -> dict[str, Any]:
    count = _probes(row, probes)
    each = [cost.cpu_s * 1_000 / count for cost in costs]
    return {
        "engine": row.engine,
        "scheme": row.scheme,
        "in_flight": row.in_flight,
        "cpu_s_per_1000": round(median(each), 4),
        "min": round(min(each), 4),
        "max": round(max(each), 4),
        "rate_per_s": round(median(count / cost.wall_s for cost in costs)),
        "peak_rss_mb": round(median(cost.peak_rss_mb for cost in costs), 1),
    }


def _bars(
    found: Sequence[dict[str, Any]], held: dict[str, float], imports: ImportTime
) -> list[Bar]:
    cpu = {(each["engine"], each["scheme"], each["in_flight"]): each for each in found}
    bars = []
    for (engine, scheme, in_flight), each in cpu.items():
        if engine != OURS:
            continue
        name, got = f"{scheme}, {in_flight} in flight", each["cpu_s_per_1000"]
        peer = cpu.get((BLACKBOX, scheme, in_flight))
        if scheme == "http":
            bars.append(Bar(name=name, got=got, limit=MAX_HTTP_CPU_S, unit="s"))
        if peer is not None:
            share = got / peer["cpu_s_per_1000"]
            limit = MAX_OF_BLACKBOX if scheme == "http" else 1.0
            bars.append(Bar(name=f"{name}, of blackbox_exporter", got=share, limit=limit))
    peaks = [e["peak_rss_mb"] for e in found if e["engine"] == OURS and e["in_flight"] == HELD]
    if OURS in held:
        bars.append(
            Bar(
                name=f"memory, {HELD} TLS probes in flight",
                got=max([*peaks, held[OURS]]),
                limit=MAX_RSS_MB,
                unit="MB",
            )
        )
    bars.append(Bar(name="worker import", got=imports.import_ms, limit=MAX_IMPORT_MS, unit="ms"))
    return bars


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def main(argv: Sequence[str] | None = None) -> int:
    options = read_options(argv)
    report = Report(as_json=options.as_json)
    given = argv if argv is not None else sys.argv[1:]
    machine = report.machine(
        repetitions=f"{options.repetitions} of {options.probes:,} probes, medians",
        command=" ".join(("python -m bench.probe", *given)),
        versions={
            **{name: importlib.metadata.version(name) for name in ("h11", "aiohttp")},
            **versions(),
        },
    )
    for each in missing():
        report.say(f"Not installed, so not measured: {each}", style="yellow")
    try:
        with ending_on_signals():
            done = run(options, report)
    except KeyboardInterrupt:
        report.say("Stopped; everything that was started is gone.", style="yellow")
        return 130
    except MeasurementFailed as error:
        report.say(str(error), style="red")
        return 1
    report.figures(show(done, report), machine=machine)
    return 0


if __name__ == "__main__":
    sys.exit(main())

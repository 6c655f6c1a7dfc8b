"""`python -m bench.accuracy`: 100 probes at once of a target that takes 300 ms, with the CPU of a small Lambda.

What is compared with the truth is what users see: the total, name to last byte. It holds the connection, the
handshake and the transfer too, about 2 ms here, so the error is never quite zero. GB-seconds are what Lambda
would bill for the batch: its duration at the memory that gives this CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bench.accuracy.prober import Order
from bench.accuracy.share import Share, held_to
from bench.ending import ending_on_signals
from bench.installation import temporary_folder
from bench.report import Bar, Report, percentile
from bench.targets.serving import serving
from fanout_lambdas.probe.cores import LAMBDA_MB_A_CORE
from uptime.embedded.places import PROJECT

DEFAULT_MB = 512
TRUTH_MS = 300
PROBES = 100
UNLIMITED = 1_000
MAX_P50_ERROR_MS, MAX_P95_ERROR_MS = 10, 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One line of the table; in_flight 0 is the engine's default. `apart`: the engine spaces
    starts; `paced`: the batch's slots lie in one second and share it."""

    name: str
    scheme: str = "https"
    in_flight: int = 0
    held: bool = True
    apart: bool = True
    paced: bool = False


DEFAULT = Case(name="default limit, starts spaced")
CASES = (
    DEFAULT,
    Case(name="no limit, all at once", in_flight=UNLIMITED, apart=False),
    Case(name="default limit, over a second", paced=True),
    Case(name="default limit, plain HTTP", scheme="http"),
    Case(name="default limit, a whole core", held=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Medians over the batches, in ms; errors are distances from the truth."""

    in_flight: int
    p50_ms: float
    p50_error_ms: float
    p95_error_ms: float
    worst_p95_error_ms: float
    wait_p50_ms: float
    wait_p95_ms: float
    lag_p50_ms: float
    lag_p99_ms: float
    duration_ms: float
    cpu_ms: float
    """Of the process, for one probe."""


class MeasurementFailed(Exception):
    """The measured process ended badly; the text holds its last words."""


def measure(case: Case, *, addresses: Mapping[str, str], batches: int, share: Share) -> Found:
    """One process, several batches."""
    order = Order(
        url=addresses[case.scheme].replace("localhost", "127.0.0.1") + f"/ok/{TRUTH_MS}/1",
        ca=addresses["ca"],
        batches=batches,
        probes=PROBES,
        in_flight=case.in_flight,
        paced=case.paced,
        apart=case.apart,
    )
    environment = os.environ | (share.environment if case.held else {})
    with subprocess.Popen(
        [sys.executable, "-m", "bench.accuracy.prober", order.to_argument()],
        cwd=PROJECT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            if case.held:
                share.hold(process.pid)
            said, errors = process.communicate("go\n")
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise MeasurementFailed(f"{case.name}: {errors[-2_000:]}")
    return _summary([json.loads(line) for line in said.splitlines()])


def _summary(batches: Sequence[dict[str, Any]]) -> Found:
    def over(of: str, share: float) -> float:
        return median(percentile(batch[of], share) / 1_000 for batch in batches)

    truth = TRUTH_MS * 1_000
    p50 = [abs(percentile(batch["total_us"], 0.5) - truth) / 1_000 for batch in batches]
    p95 = [
        percentile([abs(us - truth) for us in batch["total_us"]], 0.95) / 1_000 for batch in batches
    ]
    return Found(
        in_flight=batches[0]["in_flight"],
        p50_ms=over("total_us", 0.5),
        p50_error_ms=median(p50),
        p95_error_ms=median(p95),
        worst_p95_error_ms=max(p95),
        wait_p50_ms=over("wait_us", 0.5),
        wait_p95_ms=over("wait_us", 0.95),
        lag_p50_ms=over("lag_us", 0.5),
        lag_p99_ms=over("lag_us", 0.99),
        duration_ms=median(batch["duration_ms"] for batch in batches),
        cpu_ms=median(batch["cpu_ms"] for batch in batches) / PROBES,
    )


def run(batches: int, limits: Sequence[int], memory_mb: int, report: Report) -> dict[Case, Found]:
    """All cases, one after the other, against one target."""
    cases = [*CASES, *(Case(name=f"limit {limit}", in_flight=limit) for limit in limits)]
    columns = (TextColumn("{task.description:32}"), BarColumn(), TimeElapsedColumn())
    with temporary_folder() as folder, serving(Path(folder)) as (_, addresses):
        cores = _cores(memory_mb)
        with (
            held_to(cores) as share,
            Progress(*columns, console=report.console, transient=True) as progress,
        ):
            report.say(
                f"CPU held to {cores} of a core ({memory_mb} MB) in periods of 100 ms by {share.how}"
            )
            task = progress.add_task("", total=len(cases))
            found = {}
            for case in cases:
                progress.update(task, description=case.name)
                found[case] = measure(case, addresses=addresses, batches=batches, share=share)
                progress.advance(task)
            return found


def show(found: dict[Case, Found], memory_mb: int, report: Report) -> dict[str, Any]:
    """A table for people, figures for programs."""
    report.table(
        f"Reported total of {PROBES} probes in one batch at {memory_mb} MB; truth {TRUTH_MS} ms (times in ms)",
        (
            *("case", "in flight", "p50", "p50 error", "p95 error", "worst p95"),
            *("wait p50", "wait p95", "start lag p50", "p99", "batch took"),
            *("CPU a probe", "GB-s"),
        ),
        [
            (
                case.name,
                each.in_flight,
                each.p50_ms,
                each.p50_error_ms,
                each.p95_error_ms,
                each.worst_p95_error_ms,
                each.wait_p50_ms,
                each.wait_p95_ms,
                each.lag_p50_ms,
                each.lag_p99_ms,
                each.duration_ms,
                each.cpu_ms,
                _gb_s(each, memory_mb) if case.held else "",
            )
            for case, each in found.items()
        ],
    )
    ours = found[DEFAULT]
    bars = [
        Bar(name="p50 error", got=ours.p50_error_ms, limit=MAX_P50_ERROR_MS, unit="ms"),
        Bar(name="p95 error", got=ours.p95_error_ms, limit=MAX_P95_ERROR_MS, unit="ms"),
    ]
    met = report.bars(bars)
    return {
        **_json(ours),
        "truth_ms": TRUTH_MS,
        "memory_mb": memory_mb,
        "cpu_cores": _cores(memory_mb),
        "gb_s": round(_gb_s(ours, memory_mb), 3),
        "cases": [
            {
                "name": case.name,
                "scheme": case.scheme,
                "held": case.held,
                "paced": case.paced,
                **_json(each),
            }
            for case, each in found.items()
        ],
        "bars": {bar.name: {"got": round(bar.got, 1), "met": bar.met} for bar in bars},
        "bars_met": met,
    }


def _cores(memory_mb: int) -> float:
    return min(1.0, round(memory_mb / LAMBDA_MB_A_CORE, 3))


def _gb_s(found: Found, memory_mb: int) -> float:
    return found.duration_ms / 1_000 * memory_mb / 1_024


def _json(found: Found) -> dict[str, float]:
    return {
        name: round(value, 2) if isinstance(value, float) else value
        for name in Found.__slots__
        for value in (getattr(found, name),)
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.accuracy", description=__doc__)
    parser.add_argument("--batches", type=_count, default=5, help="in each case; default: 5")
    parser.add_argument(
        "--limits",
        type=lambda text: [_count(part) for part in text.split(",")],
        default=[],
        help="other in-flight limits to compare, like 5,25,50",
    )
    parser.add_argument(
        "--memory",
        type=_memory,
        default=DEFAULT_MB,
        metavar="MB",
        help=f"of the Lambda whose CPU is given, 128 to 10240; default: {DEFAULT_MB}",
    )
    parser.add_argument("--json", action="store_true", dest="as_json", help="figures on stdout")
    options = parser.parse_args(argv)
    report = Report(as_json=options.as_json)
    given = argv if argv is not None else sys.argv[1:]
    machine = report.machine(
        repetitions=f"{options.batches} batches of {PROBES} probes in each case, medians",
        command=" ".join(("python -m bench.accuracy", *given)),
    )
    try:
        with ending_on_signals():
            found = run(options.batches, options.limits, options.memory, report)
    except KeyboardInterrupt:
        report.say("Stopped; everything that was started is gone.", style="yellow")
        return 130
    except MeasurementFailed as error:
        report.say(str(error), style="red")
        return 1
    report.figures(show(found, options.memory, report), machine=machine)
    return 0


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def _memory(text: str) -> int:
    mb = _count(text)
    if not 128 <= mb <= 10_240:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a memory size of Lambda, 128 to 10240 MB"
        )
    return mb


if __name__ == "__main__":
    sys.exit(main())

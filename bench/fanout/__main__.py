"""`python -m bench.fanout`: a minute of 10,000 checks through `direct`, `fanout` and `batched` in the Lambda emulator.

The first two are the article's: its 57 ms for each invoke, its limit of 60 s, its memory sizes. The third is ours, as
`fanout_lambdas/template.yaml` deploys it: real handlers probe real sites on loopback and report to a receiver that
verifies every signature. `--faults` runs a minute with faults instead, through a whole installation.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.accuracy.share import NoCgroup, held_in_cgroup
from bench.emulator import EmulatorError
from bench.ending import ending_on_signals
from bench.fanout.checks import DELAYS_MS, SILENT_EVERY, TIMEOUT_MS, TLS_EVERY, watched
from bench.fanout.deployment import KEY_ID, SECRET, Place
from bench.fanout.experiment import Experiment, ExperimentFailed, run
from bench.fanout.receiver import ANSWER_S, Receiver
from bench.fanout.row import Row, computed
from bench.fanout.stages import (
    ARTICLE_WORKER_S,
    Scale,
    batched,
    direct,
    direct_padded,
    fanout_padded,
)
from bench.installation import temporary_folder
from bench.report import Bar, Report
from bench.targets.serving import serving
from fanout_lambdas.designs import BEFORE_MINUTE_S
from fanout_lambdas.prices import ARTICLE, TODAY

CHECKS = 10_000
QUICK = Scale(checks=300, minute_s=4.0, timeout_ms=2_000, warm_workers=5)
TIMES = (10, 100)
MOST_USD_MONTH = 40.0
MOST_OFF = 10.0
MAX_P50_ERROR_MS, MAX_P95_ERROR_MS = 10, 25


def run_all(scale: Scale, *, tls_every: int, report: Report) -> list[Row]:
    """The measured rows, in the order of the table."""
    checks = watched(
        scale.checks,
        tls_every=tls_every,
        over_s=int(scale.minute_s),
        timeout_ms=scale.timeout_ms,
    )
    receiver = Receiver(key_id=KEY_ID, secret=SECRET)
    columns = (
        TextColumn("{task.description:40}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with (
        temporary_folder() as folder,
        serving(Path(folder)) as (_, addresses),
        receiver.listening(),
        Progress(*columns, console=report.console, transient=True) as progress,
    ):
        rows: list[Row] = []

        def measure(experiment: Experiment) -> Row:
            store = Path(folder) / f"store-{len(rows)}"
            task = progress.add_task(f"{experiment.topology}, {experiment.how}", total=None)
            row = run(
                experiment,
                checks,
                place=Place(store=store, ingest_url=receiver.url, ca=addresses["ca"]),
                addresses=addresses,
                receiver=receiver,
                progress=lambda done, of: progress.update(task, completed=done, total=of),
            )
            progress.remove_task(task)
            rows.append(row)
            return row

        own_s = measure(direct(scale)).notes["invoke_ms"] / 1_000
        measure(direct_padded(scale, own_s))
        measure(fanout_padded(scale, own_s))
        measure(batched(scale, held=_can_hold(report)))
        return rows


def _can_hold(report: Report) -> bool:
    try:
        with held_in_cgroup(0.5, name="trial"):
            return True
    except NoCgroup as error:
        report.say(f"{error} So `batched` runs on all of the CPU, and its seconds are too few.")
        return False


def show(rows: Sequence[Row], scale: Scale, *, tls_every: int, report: Report) -> dict[str, Any]:
    """Tables for people, figures for programs."""
    every = [*rows]
    loop = _last(rows)["direct"]
    for times in TIMES:
        every += [computed(row, times, loop=loop) for row in rows if "no latency" not in row.how]
    report.table(
        f"One minute of {scale.checks:,} checks, and of 10 and 100 times as many",
        (
            *("topology", "how", "checks", "started", "finished", "throttled", "retried"),
            *("duplicates", "s to start", "GB-s", "$/month, article", "$/month, today"),
        ),
        [
            (
                row.topology,
                row.how,
                row.slots,
                row.started,
                row.finished,
                row.throttled,
                row.retried,
                row.duplicates,
                row.seconds_to_start,
                row.gb_s,
                row.usd_month_article,
                row.usd_month_today,
            )
            for row in every
        ],
    )
    ours = rows[-1]
    report.table(
        "`batched`, measured",
        ("what", "value"),
        [(name.replace("_", " "), value) for name, value in ours.notes.items()],
    )
    for sentence in assumptions(tls_every):
        report.say(sentence)
    bars = _bars(rows, scale)
    met = report.bars(bars)
    return {
        "rows": [row.to_json() for row in every],
        "bars": {bar.name: {"got": round(bar.got, 2), "met": bar.met} for bar in bars},
        "bars_met": met,
    }


def _bars(rows: Sequence[Row], scale: Scale) -> list[Bar]:
    last = _last(rows)
    loop, fan, ours = last["direct"], last["fanout"], last["batched"]
    article = min(scale.article_direct, scale.checks)
    return [
        Bar(
            name=f"direct: off the article's {article:,.0f} started",
            got=abs(loop.started - article) / article * 100,
            limit=MOST_OFF,
            unit="%",
        ),
        Bar(
            name=f"fanout: started of {scale.checks:,}",
            got=fan.started,
            limit=scale.checks,
            least=True,
        ),
        Bar(
            name="fanout: until the last worker began",
            got=fan.seconds_to_start,
            limit=scale.minute_s,
            unit="s",
        ),
        Bar(
            name="batched: slots reported exactly once",
            got=ours.finished - ours.duplicates,
            limit=scale.checks,
            least=True,
        ),
        Bar(
            name="batched: until the last worker began",
            got=ours.seconds_to_start,
            limit=scale.minute_s,
            unit="s",
        ),
        Bar(
            name="batched: p50 error",
            got=ours.notes["p50_error_ms"],
            limit=MAX_P50_ERROR_MS,
            unit="ms",
        ),
        Bar(
            name="batched: p95 error",
            got=ours.notes["p95_error_ms"],
            limit=MAX_P95_ERROR_MS,
            unit="ms",
        ),
        Bar(
            name="batched: Lambda a month, arm64",
            got=ours.usd_month_today,
            limit=MOST_USD_MONTH * scale.checks / CHECKS / scale.part,
            unit="$",
        ),
    ]


def _last(rows: Sequence[Row]) -> Mapping[str, Row]:
    """By topology; of the two of `direct` the one with the article's latency."""
    return {row.topology: row for row in rows}


def assumptions(tls_every: int) -> list[str]:
    """One sentence each."""
    low, high = DELAYS_MS
    return [
        f"Targets answer in {low}-{high} ms, evenly spread, on average {(low + high) / 2:.0f}; 1 of {tls_every} over "
        f"TLS; 1 of {SILENT_EVERY} never answers, was slow the minute before and is given up after "
        f"{TIMEOUT_MS / 1_000:.0f} s.",
        f"A simulated worker takes {ARTICLE_WORKER_S * 1_000:.0f} ms, the article's mean: a thousand environments at "
        "45 MB each are too many for most machines. Dispatchers and triggerers are always real, "
        "and a hundred triggerers share this machine's cores.",
        f"The dispatcher of `batched` starts {BEFORE_MINUTE_S:.0f} s before the minute, the mean of a scheduler that "
        f"fires anywhere in it, and its waiting is counted. Ingest takes {ANSWER_S * 1_000:.0f} ms for a report.",
        "The loop of `direct` has its 60 s whole: its function may take the 2 s more in which it writes a report. "
        "Environments were warm, as in every minute but the first; INIT is charged for the model's share of cold "
        f"starts. Prices: {ARTICLE.name}; {TODAY.name} of {TODAY.as_of} on arm64, without the free tier.",
        "Computed rows take the seconds of the measured ones: `direct` starts no more than its loop can, `fanout` no "
        "more triggerers than its main loop can; `batched` gets triggerers from some thousands of workers on.",
        "Not in here: logs, S3, egress (python -m bench.cost). This is no Firecracker and no AWS network.",
    ]


def main(argv: Sequence[str] | None = None) -> int:
    given = list(argv if argv is not None else sys.argv[1:])
    if "--faults" in given:
        return _faults()([each for each in given if each != "--faults"])
    parser = argparse.ArgumentParser(prog="python -m bench.fanout", description=__doc__)
    parser.add_argument(
        "--checks", type=_count, default=CHECKS, metavar="N", help=f"default: {CHECKS:,}"
    )
    parser.add_argument(
        "--tls-every",
        type=_count,
        default=TLS_EVERY,
        metavar="N",
        help=f"one check in so many is over TLS; 1: all of them; default: {TLS_EVERY}",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"{QUICK.checks} checks in a minute of {QUICK.minute_s:.0f} s: shows that all runs, not what it costs",
    )
    parser.add_argument("--faults", action="store_true", help="a minute with faults instead")
    parser.add_argument("--json", action="store_true", dest="as_json", help="figures on stdout")
    options = parser.parse_args(given)
    scale = QUICK if options.quick else Scale(checks=options.checks)
    report = Report(as_json=options.as_json)
    machine = report.machine(
        repetitions="one minute for each measured row",
        command=" ".join(("python -m bench.fanout", *given)),
    )
    try:
        with ending_on_signals():
            rows = run_all(scale, tls_every=options.tls_every, report=report)
    except KeyboardInterrupt:
        report.say("Stopped; everything that was started is gone.", style="yellow")
        return 130
    except (ExperimentFailed, EmulatorError) as error:
        report.say(str(error), style="red")
        return 1
    report.figures(show(rows, scale, tls_every=options.tls_every, report=report), machine=machine)
    return 0


def _faults() -> Callable[[Sequence[str]], int]:
    from bench.fanout.faults import main as faults

    return faults


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())

"""`python -m bench.fanout --faults`: a minute with everything going wrong at once, and every slot accounted for."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.ending import ending_on_signals
from bench.fanout.faults_story import OUTAGE_S, Order, Story, play
from bench.installation import InstallationFailed
from bench.report import Bar, Report

SHOWN = (
    *(
        "accepted",
        "refused",
        "throttles",
        "invocations",
        "finished",
        "errors",
        "duplicates",
        "dead",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was asked for."""

    order: Order
    as_json: bool


def read_options(argv: Sequence[str] | None = None) -> Options:
    """From the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.fanout --faults",
        description="Probes every check through the emulated functions while 5 % of the events come twice, 2 % of the "
        "functions are killed in the middle, 5 % of the calls are refused, workers are throttled and ingest is away "
        f"for {OUTAGE_S} s. Starts and removes all it needs.",
    )
    parser.add_argument("--clients", type=_count, default=1_000, metavar="N", help="default 1,000")
    parser.add_argument(
        "--checks", type=_count, default=10, metavar="N", help="of each client, default 10"
    )
    parser.add_argument(
        "--workers",
        type=_count,
        default=16,
        metavar="N",
        help="that may run at once, default 16; the events beyond wait and are throttled",
    )
    parser.add_argument("--seed", type=int, default=1, help="of the faults, default 1")
    parser.add_argument(
        "--json", action="store_true", help='print {"figures": ...} as the last line of stdout'
    )
    found = parser.parse_args(argv)
    return Options(
        order=Order(
            clients=found.clients, checks=found.checks, workers=found.workers, seed=found.seed
        ),
        as_json=found.json,
    )


def show(story: Story, options: Options, report: Report) -> bool:
    """Tables for people, figures for programs; whether each bar is met."""
    report.table(
        "Slots of each minute, counted from the rows",
        ("UTC", "planned", "in time", "late", "missed", "unacc.", "unplanned", "twice", "counters"),
        [
            (
                time.strftime("%H:%M", time.gmtime(minute.minute)),
                minute.planned,
                minute.answered_in_minute,
                minute.late,
                minute.missed,
                minute.unaccounted,
                minute.unplanned,
                minute.duplicates,
                "agree" if minute.agrees else "DIFFER",
            )
            for minute in story.minutes
        ],
    )
    report.table(
        "The same as the product counted it (invocations: throttled to dead letters)",
        tuple(story.runs[0]),
        [tuple(run.values()) for run in story.runs],
    )
    report.table(
        "Functions in these minutes (errors: killed in the middle)",
        ("function", *SHOWN),
        [
            (name, *(getattr(ledger, count) for count in SHOWN))
            for name, ledger in story.ledger.items()
        ],
    )
    report.say(
        f"Ingest was away for {story.outage_s:.1f} s. {story.acknowledged:,} results were acknowledged, "
        f"{story.spooled:,} in {story.spooled_reports} reports were spooled, {story.moved_aside} reports moved aside."
    )
    met = report.bars(_bars(story))
    report.figures({"faults": _figures(story)})
    return met


def _bars(story: Story) -> list[Bar]:
    faults = story.ledger.values()
    return [
        Bar(name="slots unaccounted for", got=sum(m.unaccounted for m in story.minutes), limit=0),
        Bar(name="rows that nobody planned", got=sum(m.unplanned for m in story.minutes), limit=0),
        Bar(name="acknowledged results lost", got=len(story.lost), limit=0),
        Bar(name="spooled results lost", got=len(story.lost_from_spool), limit=0),
        Bar(name="left in the spool", got=story.left_in_spool + story.moved_aside, limit=0),
        Bar(
            name="minutes whose counters differ",
            got=sum(not minute.agrees for minute in story.minutes),
            limit=0,
        ),
        Bar(name="minutes left open", got=sum(run["open"] for run in story.runs), limit=0),
        Bar(
            name="dead letters not counted",
            got=abs(story.dead_letters - sum(run["dead_letters"] for run in story.runs)),
            limit=0,
        ),
        *(
            Bar(name=f"faults that came: {name}", got=count, limit=1, least=True)
            for name, count in (
                ("events twice", sum(each.duplicates for each in faults)),
                ("kills", sum(each.errors - each.timeouts for each in faults)),
                ("throttles", sum(each.throttles for each in faults)),
                ("spooled reports", story.spooled_reports),
            )
        ),
    ]


def _figures(story: Story) -> dict[str, Any]:
    return {
        "minutes": [minute.to_json() for minute in story.minutes],
        "runs": story.runs,
        "functions": {
            name: {count: getattr(ledger, count) for count in SHOWN}
            for name, ledger in story.ledger.items()
        },
        "outage_s": round(story.outage_s, 1),
        "acknowledged": story.acknowledged,
        "lost": len(story.lost) + len(story.lost_from_spool),
        "spooled_reports": story.spooled_reports,
        "spooled": story.spooled,
        "left_in_spool": story.left_in_spool,
        "moved_aside": story.moved_aside,
        "dead_letters": story.dead_letters,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """0 when each bar is met."""
    options = read_options(argv)
    report = Report(as_json=options.as_json)
    began = time.monotonic()
    with ending_on_signals():
        try:
            story = play(options.order, say=_timed(report, began))
        except (InstallationFailed, KeyboardInterrupt) as error:
            report.say(str(error) or "stopped", style="red")
            return 1
    report.machine(repetitions="1", command="python -m bench.fanout --faults")
    return 0 if show(story, options, report) else 1


def _timed(report: Report, began: float) -> Callable[[str], None]:
    return lambda text: report.say(f"{time.monotonic() - began:6.1f} s  {text}")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


if __name__ == "__main__":
    raise SystemExit(main())

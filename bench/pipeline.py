"""The main job on real parts: schedule, Celery, HTTP and HTTPS targets, ingest over HTTP, PostgreSQL.

Starts a whole installation of its own, loads it, watches some minutes and accounts for every slot.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bench.accounting import MINUTE_S, Account, Key, Minute, planned_slots
from bench.cpu import Meter, per_minute
from bench.ending import ending_on_signals
from bench.installation import InstallationFailed
from bench.kills import PARTS, Kill, do_kills, plan_kills
from bench.report import Bar, Report
from bench.rig import Rig, rig

SETTLE_S = 100
"""After the last minute: 60 s for late answers, the watch's own time to account for the rest."""
LOOK_S = 0.5
OURS = ("web", "probe", "jobs", "beat", "postgres", "supervisor")
CPU_S_PER_10K = 48.0
MAX_RSS_MB = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was asked for."""

    clients: int
    checks: int
    minutes: int
    interval_s: int
    kill: tuple[str, ...]
    as_json: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What was measured."""

    minutes: list[Minute]
    cpu_s_per_minute: dict[str, float]
    peak_rss_mb: dict[str, float]
    bytes_per_result: float
    incidents: dict[str, int]
    kills: dict[str, Any] | None


def read_options(argv: Sequence[str] | None = None) -> Options:
    """From the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.pipeline",
        description="Runs the whole pipeline on this machine and accounts for every slot. Starts and removes "
        "its own installation (PostgreSQL, web, workers, beat) and targets; needs nothing that runs already.",
    )
    parser.add_argument("--clients", type=_count, default=1000, metavar="N", help="default 1000")
    parser.add_argument(
        "--checks", type=_count, default=10, metavar="N", help="of each client, default 10"
    )
    parser.add_argument(
        "--minutes", type=_count, default=5, metavar="N", help="minutes measured, default 5"
    )
    parser.add_argument(
        "--interval",
        type=int,
        default=60,
        choices=(10, 20, 30, 60, 120, 300),
        help="seconds between two probes of a check, default 60",
    )
    parser.add_argument(
        "--kill",
        nargs="+",
        action="extend",
        default=[],
        choices=tuple(PARTS),
        metavar="PART",
        help=f"kill -9 these in the middle of the second minute, one after the other: {', '.join(PARTS)}",
    )
    parser.add_argument(
        "--json", action="store_true", help='print {"figures": ...} as the last line of stdout'
    )
    found = parser.parse_args(argv)
    return Options(
        clients=found.clients,
        checks=found.checks,
        minutes=max(found.minutes, 3 if found.kill else 1),
        interval_s=found.interval,
        kill=tuple(found.kill),
        as_json=found.json,
    )


def measure(options: Options, report: Report) -> Run:
    """Start, load, wait for a full minute, watch, settle, account."""
    began = time.monotonic()

    def say(text: str) -> None:
        report.say(f"{time.monotonic() - began:6.1f} s  {text}")

    with rig(say=say, log_ingest=bool(options.kill)) as running:
        say(f"loading {options.clients:,} clients with {options.checks} checks each")
        made = running.load(
            clients=options.clients, checks=options.checks, intervals_s=(options.interval_s,)
        )
        failing = sum(len(ids) for ids in made["misbehaving"].values())
        say(f"{made['checks']:,} checks, {failing} of them misbehave")
        with Meter(running.roots) as meter:
            say("waiting for the first full minute")
            first = running.wait_for_full_minute()
            with _progress(report, until=first + options.minutes * MINUTE_S) as tick:
                watching = _Watching(options, running, meter, tick, say, first)
                with running.installation.connect() as connection:
                    planned = watching.plan(Account(connection))
                watching.wait_for_first_minute()
                watching.watch_minutes()
        # PostgreSQL may have been killed: what follows has a connection of its own.
        with running.installation.connect() as connection:
            account = Account(connection)
            say("settling: late answers, missed slots, retries")
            watching.settle(account, planned)
            return watching.account(account, planned, made)


class _Watching:
    """One run from its first full minute to its account."""

    def __init__(
        self,
        options: Options,
        running: Rig,
        meter: Meter,
        tick: Callable[[], None],
        say: Callable[[str], None],
        first: int,
    ) -> None:
        self._options = options
        self._rig = running
        self._meter = meter
        self._tick = tick
        self._say = say
        self._first = first
        self._end = first + options.minutes * MINUTE_S
        self._kills: list[Kill] = plan_kills(options.kill, minute=first + MINUTE_S)
        self._cpu: dict[str, float] = {}

    def wait_for_first_minute(self) -> None:
        self._say(f"measuring begins in {self._first - time.time():.0f} s")
        self._sleep_until(self._first)
        self._cpu = self._meter.cpu_s()

    def plan(self, account: Account) -> dict[int, set[Key]]:
        """Worked out here, once, from the checks themselves."""
        checks = account.checks()
        return {
            minute: planned_slots(checks, minute)
            for minute in range(self._first, self._end, MINUTE_S)
        }

    def watch_minutes(self) -> None:
        for number in range(1, self._options.minutes + 1):
            self._sleep_until(self._first + number * MINUTE_S)
            cpu = self._meter.cpu_s()
            spent = per_minute(self._cpu, cpu, seconds=number * MINUTE_S)
            ours = sum(spent.get(name, 0.0) for name in OURS)
            self._say(
                f"minute {number} of {self._options.minutes} is over, {ours:.1f} CPU s a minute"
            )
        self._cpu = spent

    def settle(self, account: Account, planned: dict[int, set[Key]]) -> None:
        until = self._end + SETTLE_S
        minutes = sorted(planned)
        # With kills every minute may still be open; without, the last one closes last.
        while time.time() < until:
            look = minutes if self._kills else minutes[-1:]
            if all(account.minute(m, planned[m]).unaccounted == 0 for m in look):
                break
            self._sleep_until(time.time() + 3)
        self._sleep_until(min(time.time() + 3, until))

    def account(self, account: Account, planned: dict[int, set[Key]], made: dict[str, Any]) -> Run:
        return Run(
            minutes=[account.minute(minute, slots) for minute, slots in sorted(planned.items())],
            cpu_s_per_minute=self._cpu,
            peak_rss_mb=self._meter.peak_rss_mb(),
            bytes_per_result=account.bytes_per_result(),
            incidents=account.incidents(),
            kills=self._kill_report(account, made) if self._kills else None,
        )

    def _kill_report(self, account: Account, made: dict[str, Any]) -> dict[str, Any]:
        log = self._rig.ingest_log
        assert log is not None
        with self._rig.installation.connect() as connection:
            lost = log.lost(connection)
        counts = account.incidents_of(made["down_for_ever"])
        return {
            "kills": [kill.to_json(account) for kill in self._kills],
            "acknowledged": len(log.acknowledged),
            "lost": len(lost),
            "duplicate_incidents": sum(max(0, count - 1) for count in counts.values()),
            "down_for_ever": len(made["down_for_ever"]),
            "with_an_incident": len(counts),
        }

    def _sleep_until(self, moment: float) -> None:
        while (left := moment - time.time()) > 0:
            time.sleep(min(LOOK_S, left))
            self._tick()
            for kill in do_kills(self._kills, self._rig.installation):
                self._say(f"kill -9 {kill.pid} ({kill.part})")
            if self._rig.targets.poll() is not None:
                raise InstallationFailed("the targets ended by themselves")
            self._rig.installation.check()


@contextlib.contextmanager
def _progress(report: Report, *, until: int) -> Iterator[Callable[[], None]]:
    """A bar on a terminal; elsewhere the lines that are printed anyway must do."""
    if not report.console.is_terminal:
        yield lambda: None
        return
    began = time.time()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=report.console, transient=True) as progress:
        task = progress.add_task("measuring", total=until - began)
        yield lambda: progress.update(task, completed=time.time() - began)


def show(run: Run, options: Options, report: Report) -> dict[str, Any]:
    """Tables for people, figures for programs."""
    columns = {
        "planned": "planned",
        "answered_in_minute": "in time",
        "late": "late",
        "missed": "missed",
        "unaccounted": "unacc.",
        "rechecks": "rechecks",
        "duplicates": "twice",
        "lag_p50_ms": "lag p50",
        "lag_p99_ms": "lag p99",
        "slot_to_state_p50_ms": "state p50",
        "slot_to_state_p99_ms": "state p99",
        "beyond_probe_p99_ms": "less probe",
    }
    report.table(
        "Minutes (times in ms; lag: how late a probe began; state: from slot to committed state)",
        ("UTC", *columns.values(), "counters"),
        [
            (
                time.strftime("%H:%M", time.gmtime(minute.minute)),
                *(_whole(getattr(minute, name)) for name in columns),
                "agree" if minute.agrees else "DIFFER",
            )
            for minute in run.minutes
        ],
    )
    ours = sum(run.cpu_s_per_minute.get(name, 0.0) for name in OURS)
    groups = [name for name in (*OURS, "targets") if name in run.cpu_s_per_minute]
    report.table(
        "Processes",
        ("group", "CPU s a minute", "peak memory MB"),
        [
            *((n, run.cpu_s_per_minute[n], run.peak_rss_mb.get(n, 0.0)) for n in groups),
            ("ours, without targets", ours, ""),
        ],
    )
    report.say(f"Bytes stored a result (table and index): {run.bytes_per_result:.0f}")
    report.say(
        f"Incidents: {run.incidents['opened']} opened, {run.incidents['still_open']} still open, "
        f"{run.incidents['overlapping']} overlapping, {run.incidents['events_twice']} events twice"
    )
    if run.kills is not None:
        report.table(
            "Kills",
            ("kill -9 of", "at second", "process back after s", "next result stored after s"),
            [
                tuple("-" if value is None else value for value in kill.values())
                for kill in run.kills["kills"]
            ],
        )
        report.say(
            f"{run.kills['acknowledged']:,} results acknowledged, {run.kills['lost']} lost; "
            f"{run.kills['duplicate_incidents']} incidents twice; "
            f"{run.kills['with_an_incident']} of {run.kills['down_for_ever']} dead targets have their incident"
        )
    bars = _bars(run, ours, options)
    met = report.bars(bars)
    return {
        "minutes": [_rounded(minute.to_json()) for minute in run.minutes],
        "cpu_s_per_minute": _rounded({**run.cpu_s_per_minute, "ours": ours}),
        "peak_rss_mb": _rounded(run.peak_rss_mb),
        "bytes_per_result": round(run.bytes_per_result, 1),
        "incidents": run.incidents,
        "kill": run.kills,
        "bars": {bar.name: {"got": round(bar.got, 1), "met": bar.met} for bar in bars},
        "bars_met": met,
    }


def _bars(run: Run, ours: float, options: Options) -> list[Bar]:
    """The issue's figures; a smaller load gets a smaller budget of CPU, but not below an idle installation's."""
    planned = [minute.planned for minute in run.minutes]
    worst = max(run.minutes, key=lambda m: m.planned - m.answered_in_minute)
    lag = max(minute.lag_p99_ms for minute in run.minutes)
    beyond = max(minute.beyond_probe_p99_ms for minute in run.minutes)
    unaccounted = sum(minute.unaccounted for minute in run.minutes)
    share = max(planned, default=0) / 10_000
    bars = [Bar(name="slots unaccounted", got=unaccounted, limit=0)]
    if run.kills is not None:
        lost, twice = run.kills["lost"], run.kills["duplicate_incidents"]
        return [
            *bars,
            Bar(name="acknowledged results lost", got=lost, limit=0),
            Bar(name="incidents twice", got=twice + run.incidents["overlapping"], limit=0),
        ]
    return [
        Bar(
            name="answered within 60 s, worst minute",
            got=worst.answered_in_minute,
            limit=worst.planned,
            least=True,
        ),
        Bar(name="missed", got=sum(minute.missed for minute in run.minutes), limit=0),
        *bars,
        Bar(name="start lag p99, worst minute", got=lag, limit=2_000, unit="ms"),
        Bar(name="slot to state less probe, p99", got=beyond, limit=5_000, unit="ms"),
        Bar(name="our CPU", got=ours, limit=CPU_S_PER_10K * max(share, 0.25), unit="s a minute"),
        *(
            Bar(name=f"memory of {n}", got=run.peak_rss_mb.get(n, 0.0), limit=MAX_RSS_MB, unit="MB")
            for n in ("web", "probe", "jobs")
        ),
    ]


def _whole(value: object) -> object:
    return round(value) if isinstance(value, float) else value


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {k: round(v, 1) if isinstance(v, float) else v for k, v in values.items()}


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def main(argv: Sequence[str] | None = None) -> int:
    options = read_options(argv)
    report = Report(as_json=options.as_json)
    command = "python -m bench.pipeline " + " ".join(argv if argv is not None else sys.argv[1:])
    machine = report.machine(repetitions=f"{options.minutes} minutes in a row", command=command)
    try:
        with ending_on_signals():
            run = measure(options, report)
    except KeyboardInterrupt:
        report.say("Stopped; everything that was started is gone.", style="yellow")
        return 130
    except InstallationFailed as error:
        report.say(str(error), style="red")
        return 1
    figures = show(run, options, report)
    report.figures(figures, machine=machine)
    return 0


if __name__ == "__main__":
    sys.exit(main())

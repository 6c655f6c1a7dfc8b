"""`python -m bench.cost`: what a month of probing costs on AWS, worked out from list prices and measured durations.

Nothing runs here: `fanout_lambdas.designs` says what each design uses, `fanout_lambdas.costs` what that is charged.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.report import Report
from fanout_lambdas import designs
from fanout_lambdas.costs import Bill, monthly_bill
from fanout_lambdas.designs import Design, Load, article_month, plan
from fanout_lambdas.durations import ARTICLE_INVOKE_S, MEASURED, Durations
from fanout_lambdas.prices import ARTICLE, HOSTS, TODAY, Architecture
from fanout_lambdas.shared.slots import INTERVALS_S

TIMES = (1, 10, 100)
ARTICLE_PRINTED_USD = 539 + 86.40 + 181 + 0.87
"""The four amounts that the article prints, added up."""
PARTS = (
    "compute",
    "init",
    "requests",
    "logs",
    "s3",
    "scheduler",
    "alarms",
    "egress",
    "ingest",
    "total",
)
DATABASE, DATABASE_GB = "db.t4g.small", 50
SECRETS = 3
MOST_CHECKS = 100_000_000
MEMORY_MB = (128, 10_240)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was asked for."""

    load: Load
    durations: Durations
    free_tier: bool
    as_json: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One design on one architecture under one load."""

    design: Design
    architecture: Architecture
    times: int
    load: Load
    started: float
    workers: float
    worker_s: float
    gb_s: float
    bill: Bill

    def to_json(self) -> dict[str, Any]:
        return {
            "design": str(self.design),
            "architecture": str(self.architecture),
            "times": self.times,
            "checks": self.load.checks,
            "slots_a_minute": round(self.load.a_minute * self.load.regions, 2),
            "started_a_minute": round(self.started * self.load.regions, 2),
            "workers_a_minute": round(self.workers * self.load.regions, 2),
            "worker_s": round(self.worker_s, 3),
            "gb_s_month": round(self.gb_s),
            "usd_month": self.bill.to_json(),
        }


def read_options(argv: Sequence[str] | None = None) -> Options:
    """From the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.cost",
        description="What a month of probing costs on AWS: three designs, two architectures, 1, 10 and 100 times the "
        f"load, at {TODAY.name} as of {TODAY.as_of}. Runs nothing.",
    )
    parser.add_argument(
        "--checks", type=_whole(1, MOST_CHECKS), default=10_000, metavar="N", help="default 10,000"
    )
    parser.add_argument(
        "--interval",
        type=int,
        default=60,
        choices=INTERVALS_S,
        metavar="S",
        help=f"seconds between two probes of a check, default 60; one of {', '.join(map(str, INTERVALS_S))}",
    )
    parser.add_argument(
        "--region-count",
        type=_whole(1, 40),
        default=1,
        metavar="R",
        help="regions that probe each check, default 1",
    )
    parser.add_argument(
        "--latency-ms",
        type=_number(1, 30_000),
        default=500.0,
        metavar="MS",
        help="mean time of targets that answer, default 500",
    )
    parser.add_argument(
        "--timeouts-percent",
        type=_number(0, 100),
        default=1.0,
        metavar="P",
        help="share of checks that time out, default 1",
    )
    parser.add_argument(
        "--timeout-ms",
        type=_number(1_000, 30_000),
        default=10_000.0,
        metavar="MS",
        help="how long those take, default 10,000",
    )
    parser.add_argument(
        "--memory",
        type=_whole(*MEMORY_MB),
        default=MEASURED.worker_mb,
        metavar="MB",
        help=f"of the batched worker, default {MEASURED.worker_mb}",
    )
    parser.add_argument(
        "--free-tier", action="store_true", help="take off what an account gets free each month"
    )
    parser.add_argument(
        "--json", action="store_true", help='print {"figures": ...} as the last line of stdout'
    )
    found = parser.parse_args(argv)
    if found.latency_ms > found.timeout_ms:
        parser.error("--latency-ms: an answer cannot take longer than --timeout-ms")
    return Options(
        load=Load(
            checks=found.checks,
            interval_s=found.interval,
            regions=found.region_count,
            latency_s=found.latency_ms / 1_000,
            timeout_share=found.timeouts_percent / 100,
            timeout_s=found.timeout_ms / 1_000,
        ),
        durations=replace(MEASURED, worker_mb=found.memory),
        free_tier=found.free_tier,
        as_json=found.json,
    )


def rows(options: Options) -> Iterator[Row]:
    """Loads x designs x architectures."""
    for times in TIMES:
        load = replace(options.load, checks=options.load.checks * times)
        for design in Design:
            for architecture in Architecture:
                yield row(design, architecture, load, options, times=times)


def row(
    design: Design, architecture: Architecture, load: Load, options: Options, *, times: int = 1
) -> Row:
    found = plan(design, load, options.durations)
    return Row(
        design=design,
        architecture=architecture,
        times=times,
        load=load,
        started=found.started,
        workers=found.workers,
        worker_s=found.worker_s,
        gb_s=sum(usage.gb_s(TODAY) for usage in found.regions),
        bill=monthly_bill(
            found.regions, prices=TODAY, architecture=architecture, free_tier=options.free_tier
        ),
    )


def what_changes(options: Options) -> list[tuple[str, Row]]:
    """`batched` on arm64 with one assumption changed at a time."""
    load = options.load
    cases = [("as above", load)]
    cases += [
        (f"answers take {seconds * 1_000:,.0f} ms", replace(load, latency_s=seconds))
        for seconds in (0.1, 1.0, 2.0)
        if seconds <= load.timeout_s
    ]
    cases += [
        (f"{share:.0%} of the checks time out", replace(load, timeout_share=share))
        for share in (0.0, 0.05)
    ]
    cases.append(("every timeout is a new one: no slow lane", replace(load, new_share=1.0)))
    return [
        (name, row(Design.BATCHED, Architecture.ARM, changed, options)) for name, changed in cases
    ]


def beside() -> list[tuple[str, float]]:
    """What an installation on AWS pays elsewhere, as far as it has a list price."""
    return [
        (
            f"PostgreSQL on {DATABASE} with {DATABASE_GB} GB, one zone",
            HOSTS.database_month[DATABASE] + DATABASE_GB * HOSTS.database_gb_month,
        ),
        ("RDS Proxy before it", 2 * HOSTS.proxy_vcpu_month),
        ("a NAT gateway, without its traffic", HOSTS.nat_month),
        (f"{SECRETS} secrets", SECRETS * HOSTS.secret_month),
    ]


def assumptions(options: Options) -> list[str]:
    """One sentence each."""
    load, own = options.load, options.durations
    free = "with" if options.free_tier else "without"
    return [
        f"Prices: {TODAY.name} as of {TODAY.as_of} for every region, {free} the free tier, a month of 30 days.",
        f"Load: each check in each of {load.regions} region(s) every {load.interval_s} s; {1 - load.timeout_share:.1%} "
        f"answer in {load.latency_s * 1_000:,.0f} ms on average, the rest take {load.timeout_s:.0f} s.",
        f"Of the timeouts {load.new_share:.0%} are new and hold up a quick batch; the others are in the slow lane. "
        "Rechecks are not counted; they are capped at 20 % of the slots.",
        "direct and fanout: the article's sizes and its loop of "
        f"{1 / ARTICLE_INVOKE_S:.1f} invocations a second; a worker of {designs.ARTICLE_WORKER_MB} MB takes "
        f"{designs.ARTICLE_WORKER_OWN_S * 1_000:.0f} ms beside its answer. What they do not start costs nothing.",
        f"batched: worker {own.worker_mb} MB, dispatcher {own.dispatcher_mb} MB that waits half a minute and paces for "
        "one; up to 100 checks, or the slots of 3 s, in a batch.",
        f"Durations: {own.source}.",
        f"INIT: {own.cold_share:.1%} of the invocations start an environment in {own.init_s:.1f} s. Logs: "
        f"{own.log_bytes:.0f} B an invocation, {designs.ARTICLE_LOG_BYTES:.0f} B in the article's designs, kept "
        f"{designs.LOG_RETENTION_DAYS} days.",
        f"Egress to the internet: {designs.PROBE_BYTES:,} B a probe (as if all spoke TLS), {designs.REPORT_BYTES:,} B "
        f"a report and {designs.RESULT_BYTES} B a result in it. Ingest: each report is a request to an HTTP API.",
        "Not in here: the functions of web, ingest and jobs, the database, NAT, tax.",
    ]


def show(options: Options, report: Report) -> None:
    """Tables for people, figures for programs."""
    found = list(rows(options))
    report.table(
        "US dollars a month; lambda: its compute, INIT and requests, which the article worked out",
        ("load", "design", "on", "slots/min", "started", "workers", "mean s", "lambda", "total"),
        [
            (
                *_name(each),
                round(each.load.a_minute * each.load.regions),
                round(each.started * each.load.regions),
                round(each.workers * each.load.regions),
                f"{each.worker_s:.2f}",
                _usd(each.bill.on_lambda),
                _usd(each.bill.total),
            )
            for each in found
        ],
    )
    report.table(
        "Its parts",
        ("load", "design", "on", *(part.upper() if part == "s3" else part for part in PARTS)),
        [(*_name(each), *(_usd(each.bill.to_json()[part]) for part in PARTS)) for each in found],
    )
    changes = what_changes(options)
    report.table(
        "What changes it: batched on arm64, 1x",
        ("assumption", "workers", "mean s", "lambda", "total"),
        [
            (
                name,
                round(each.workers * each.load.regions),
                f"{each.worker_s:.2f}",
                _usd(each.bill.on_lambda),
                _usd(each.bill.total),
            )
            for name, each in changes
        ],
    )
    report.table(
        "Beside it; not in the totals",
        ("item", "a month"),
        [(name, _usd(amount)) for name, amount in beside()],
    )
    then, now = (
        monthly_bill([article_month()], prices=prices, architecture=Architecture.X86).total
        for prices in (ARTICLE, TODAY)
    )
    report.say(
        f"The article's own sum: ${then:,.2f} by its prices (it prints ${ARTICLE_PRINTED_USD:,.2f} in rounded parts), "
        f"${now:,.2f} by today's for x86."
    )
    report.say("Assumed")
    sentences = assumptions(options)
    for sentence in sentences:
        report.say(f"  {sentence}")
    report.figures(
        {
            "rows": [each.to_json() for each in found],
            "changes": [{"assumption": name, **each.to_json()} for name, each in changes],
            "article": {
                "printed": ARTICLE_PRINTED_USD,
                "usd_month_article": round(then, 2),
                "usd_month_today": round(now, 2),
            },
            "prices_as_of": TODAY.as_of.isoformat(),
        },
        assumptions=sentences,
    )


def main(argv: Sequence[str] | None = None) -> None:
    options = read_options(argv)
    show(options, Report(as_json=options.as_json))


def _name(found: Row) -> tuple[str, str, str]:
    return f"{found.times}x", found.design, found.architecture


def _usd(amount: float) -> str:
    return f"{amount:,.2f}" if amount < 1_000 else f"{amount:,.0f}"


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a whole number from {least:,} to {most:,}"
            )
        return value

    return read


def _number(least: float, most: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a number from {least:,.0f} to {most:,.0f}"
            )
        return value

    return read


if __name__ == "__main__":
    main()

"""`manage.py lambda_cost`: what this installation's probing costs on Lambda, or would, from what workers measured."""

from __future__ import annotations

import json
from argparse import RawDescriptionHelpFormatter
from dataclasses import asdict
from datetime import timedelta
from typing import Any, cast

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from rich.console import Console
from rich.table import Table

from checks.history.lambda_cost import LambdaCost, Question, Share, lambda_cost
from checks.history.worker_time import NothingMeasured
from clients.models import Client
from fanout_lambdas.durations import MEASURED
from fanout_lambdas.prices import TODAY, Architecture

MOST_HOURS = 48
MEMORY_MB = (128, 10_240)
PIPE_WIDTH = 120
NOTES = """
A batch's billed time is shared among its checks by the time each occupied the worker: its turn to start, the same for
all, and its own time to answer. What nobody's checks cause (dispatcher, object store, schedules, alarms) is named
apart. With PROBE_ENGINE=lambda, and without --memory, the workers' own durations hold; else they are worked out from
the probes' times for that memory, which is an upper estimate. A client's checks sit in batches with those of others.

examples:
  manage.py lambda_cost                          the last 24 hours, ten dearest clients and checks
  manage.py lambda_cost --client acme --top 50   one client's checks
  manage.py lambda_cost --memory 512 --json      the same work on another size, for a program
"""


class Command(BaseCommand):
    help = "Shows what probing costs on AWS Lambda a month, at the rate of a window, by client and by check."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = NOTES
        parser.add_argument(
            "--hours", type=int, default=24, metavar="N", help=f"1 to {MOST_HOURS}, default 24"
        )
        parser.add_argument("--client", metavar="SLUG", help="only this client")
        parser.add_argument(
            "--top", type=int, default=10, metavar="N", help="rows of each table, default 10"
        )
        parser.add_argument(
            "--memory", type=int, metavar="MB", help=f"of a worker, default {MEASURED.worker_mb}"
        )
        parser.add_argument(
            "--architecture", default=str(Architecture.ARM), help="arm64 (default) or x86_64"
        )
        parser.add_argument(
            "--free-tier", action="store_true", help="take off what an account gets free each month"
        )
        parser.add_argument("--json", action="store_true", help="one object instead of tables")

    def handle(self, *args: Any, **options: Any) -> None:
        question = self._question(options)
        try:
            found = lambda_cost(question)
        except NothingMeasured as error:
            raise CommandError(
                f"{error} Durations are kept for two days and come with the first probed minute."
            ) from None
        if options["json"]:
            self.stdout.write(json.dumps(_document(question, found)))
        else:
            self._show(question, found)

    def _question(self, options: dict[str, Any]) -> Question:
        memory = options["memory"]
        _within("--hours", options["hours"], 1, MOST_HOURS)
        _within("--top", options["top"], 1, 1_000_000)
        if memory is not None:
            _within("--memory", memory, *MEMORY_MB)
        try:
            architecture = Architecture(options["architecture"])
        except ValueError:
            known = " or ".join(Architecture)
            raise CommandError(
                f"--architecture: {options['architecture']!r} is not {known}."
            ) from None
        until = timezone.now().replace(second=0, microsecond=0)
        return Question(
            since=until - timedelta(hours=options["hours"]),
            until=until,
            durations=MEASURED,
            memory_mb=memory or MEASURED.worker_mb,
            architecture=architecture,
            measured=settings.PROBE_ENGINE == "lambda" and memory is None,
            top=options["top"],
            client=_client(options["client"]),
            free_tier=options["free_tier"],
        )

    def _show(self, question: Question, found: LambdaCost) -> None:
        out = cast(Any, self.stdout)._out
        console = Console(
            file=out, width=None if out.isatty() else PIPE_WIDTH, highlight=False, markup=False
        )
        durations = (
            "as the workers measured them"
            if question.measured
            else "worked out from the probes' times"
        )
        console.print(
            f"{found.results:,} results of {found.batches:,} batches in {found.covered_s / 3600:.1f} h before "
            f"{question.until:%Y-%m-%d %H:%M} UTC; {question.memory_mb} MB, {question.architecture}, durations "
            f"{durations}.\n{TODAY.name} as of {TODAY.as_of}, a month of 30 days at that rate.",
            soft_wrap=True,
        )
        bill = found.bill.to_json()
        console.print(
            _table("US dollars a month", tuple(bill), [[_usd(amount) for amount in bill.values()]])
        )
        console.print(
            f"Of these {_usd(found.shared_usd)} are nobody's own: dispatcher, object store, schedules, alarms.",
            soft_wrap=True,
        )
        if found.unmatched:
            console.print(f"{found.unmatched:,} results belong to no batch that was counted.")
        console.print(
            _table(
                "By client",
                ("client", "checks", "results", "mean ms", "GB-s a month", "USD a month"),
                [
                    [each.own.client or "deleted", f"{each.own.checks:,}", *_amounts(each)]
                    for each in found.clients
                ],
            )
        )
        console.print(
            _table(
                "By check",
                ("check", "id", "client", "results", "mean ms", "GB-s a month", "USD a month"),
                [
                    [
                        each.own.name or "deleted",
                        str(each.own.check_id),
                        each.own.client,
                        *_amounts(each),
                    ]
                    for each in found.checks
                ],
            )
        )


def _client(slug: str | None) -> Client | None:
    if slug is None:
        return None
    try:
        return Client.objects.get(slug=slug)
    except Client.DoesNotExist:
        raise CommandError(f"--client: there is no client {slug!r}.") from None


def _within(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise CommandError(f"{name}: {value} is not from {least:,} to {most:,}.")


def _document(question: Question, found: LambdaCost) -> dict[str, Any]:
    return {
        "since": question.since.isoformat(),
        "until": question.until.isoformat(),
        "memory_mb": question.memory_mb,
        "architecture": str(question.architecture),
        "measured": question.measured,
        "prices_as_of": TODAY.as_of.isoformat(),
        "covered_s": found.covered_s,
        "batches": found.batches,
        "results": found.results,
        "unmatched": found.unmatched,
        "usd_month": found.bill.to_json(),
        "shared_usd_month": round(found.shared_usd, 4),
        "clients": [_share(each, "check_id", "name") for each in found.clients],
        "checks": [_share(each, "checks") for each in found.checks],
    }


def _share(share: Share, *without: str) -> dict[str, Any]:
    own = asdict(share.own)
    shown = {
        **{name: value for name, value in own.items() if name not in without},
        "gb_s": share.gb_s,
        "usd": share.usd,
    }
    return {
        name: round(value, 6) if isinstance(value, float) else value
        for name, value in shown.items()
    }


def _amounts(share: Share) -> tuple[str, ...]:
    return (
        f"{share.own.results:,}",
        f"{share.own.answer_s * 1_000:,.0f}",
        f"{share.gb_s:,.0f}",
        _usd(share.usd),
    )


def _usd(amount: float) -> str:
    return f"{amount:,.4f}" if amount < 0.1 else f"{amount:,.2f}"


def _table(title: str, columns: tuple[str, ...], rows: list[list[str]]) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table

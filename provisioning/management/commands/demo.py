"""`manage.py demo`: a client to look at; with --clients and --checks, the article's load instead."""

from __future__ import annotations

import os
from argparse import RawDescriptionHelpFormatter
from typing import Any, cast

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from provisioning.demo import make_demo, make_load, places_in

EXAMPLES = """
examples:
  manage.py demo                                  the client "Demo" with eleven checks and two channels
  manage.py demo --clients 1000 --checks 10       10,000 checks of the demo's fast page
  manage.py demo --clients 50 --checks 4 --url http://127.0.0.1:9000/

The demo's logins are printed and kept in demo.json in the state directory; DEMO_PASSWORD chooses their password.
Its target runs beside `make up`; where it runs elsewhere, say so with --http, --https, --refused and --webhook.
Targets on this machine need UPTIME_ALLOW_NETWORKS=127.0.0.1/32,::1/128 (`make up` sets it).
Calling it again adds what is missing and leaves the rest alone.
"""
MOST = 1_000_000


class Command(BaseCommand):
    help = "Make a demo client that shows the product in two minutes, or a load of many clients."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLES
        load = parser.add_argument_group("load")
        load.add_argument("--clients", type=int, metavar="N", help="make N clients for a load test")
        load.add_argument("--checks", type=int, metavar="N", help="checks a client (default 10)")
        load.add_argument("--url", help="what they all probe (default: the demo's fast page)")
        places = parser.add_argument_group("where the demo's target answers")
        places.add_argument("--http", metavar="URL", help="default http://127.0.0.1:8081")
        places.add_argument("--https", metavar="URL", help="default https://localhost:8443")
        places.add_argument("--refused", metavar="URL", help="a port that refuses connections")
        places.add_argument("--webhook", metavar="URL", help="default: /webhook of the target")

    def handle(self, *args: Any, **options: Any) -> None:
        names = ("http", "https", "refused", "webhook")
        places = places_in(settings.STATE_DIR, **{name: options[name] for name in names})
        try:
            if options["clients"] is None:
                if options["checks"] is not None or options["url"] is not None:
                    raise CommandError("--checks and --url belong to a load: add --clients N.")
                self._demo(places)
            else:
                checks = 10 if options["checks"] is None else options["checks"]
                self._load(options["clients"], checks, options["url"] or f"{places.http}/fast")
        except ValidationError as error:
            raise CommandError(
                " ".join(error.messages)
                + " For targets on this machine set UPTIME_ALLOW_NETWORKS=127.0.0.1/32,::1/128."
            ) from None

    def _demo(self, places: Any) -> None:
        report = make_demo(
            places=places,
            state_dir=settings.STATE_DIR,
            now=timezone.now(),
            password=os.environ.get("DEMO_PASSWORD") or None,
        )
        self.stdout.write(
            f"Demo client: {report.new_checks} new checks, {report.new_channels} new channels."
        )
        for role, email, password in report.logins:
            self.stdout.write(f"  {role:<9} {email}  {password}")

    def _load(self, clients: int, checks: int, url: str) -> None:
        if clients < 1 or checks < 1 or clients * checks > MOST:
            raise CommandError(f"--clients and --checks: at least 1 each, {MOST:,} together.")
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        console = Console(file=cast(Any, self.stdout)._out)
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("Making checks", total=clients * checks)
            report = make_load(
                clients=clients,
                checks=checks,
                url=url,
                advance=lambda count: progress.advance(task, count),
            )
            progress.update(task, total=report.checks, completed=report.checks)
        self.stdout.write(f"{report.clients:,} new clients with {report.checks:,} new checks.")

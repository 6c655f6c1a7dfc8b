"""`manage.py replay FILE`: what the state rules make of a written list of arrivals; no database."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from checks.replay import replay_document
from checks.script import ScriptError


class Command(BaseCommand):
    help = "Replays a JSON file of arrivals (- for standard input) through the state rules."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["file"]
        try:
            self.stdout.write(json.dumps(replay_document(_load(name))))
        except ScriptError as error:
            raise CommandError(f"{name}: {error}") from error


def _load(name: str) -> object:
    try:
        if name == "-":
            return json.load(sys.stdin)
        with open(name, encoding="utf-8") as file:
            return json.load(file)
    except OSError as error:
        raise CommandError(f"{name}: cannot be read: {error.strerror}") from error
    except RecursionError as error:
        raise CommandError(f"{name}: is nested too deeply") from error
    except ValueError as error:  # not UTF-8, or not JSON
        raise CommandError(f"{name}: is not JSON in UTF-8: {error}") from error

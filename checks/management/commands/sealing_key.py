"""`manage.py sealing_key`: rotate the key with which tenants' secrets are sealed for a region's workers."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from checks.models import Region
from checks.regions import add_sealing_key, drop_sealing_key, use_sealing_key

VERBS = {"add": add_sealing_key, "use": use_sealing_key, "drop": drop_sealing_key}
NEXT = {
    "add": "A second key is made. Hand it to the workers (manage.py region_parameters); then `use` it.",
    "use": "Snapshots are sealed with it from the next minute on; the last key still opens older ones. "
    "In three hours `drop` that one.",
    "drop": "The second key is forgotten. Workers need it no more.",
}


class Command(BaseCommand):
    help = (
        "Rotates a region's sealing key: `add` makes a second one, `use` seals with it, "
        "`drop` forgets the last one."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=tuple(VERBS))
        parser.add_argument("region", help="a region's code")

    def handle(self, *args: Any, action: str, region: str, **options: Any) -> None:
        found = Region.objects.filter(code=region).first()
        if found is None:
            raise CommandError(f"There is no region {region!r}.")
        try:
            VERBS[action](found)
        except ValueError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(NEXT[action])

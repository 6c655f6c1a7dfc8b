"""`manage.py ensure_region CODE...`: make regions that are missing, with their keys."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_slug

from checks.models import Region
from checks.regions import ensure_region, newest_ingest_key


class Command(BaseCommand):
    help = "Makes the named regions and their keys as far as they are missing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("codes", nargs="+", metavar="CODE", help="such as local or eu-west-1")

    def handle(self, *args: Any, codes: list[str], **options: Any) -> None:
        longest = Region._meta.get_field("code").max_length or 30
        for code in codes:
            try:
                validate_slug(code)
            except Exception:
                raise CommandError(f"{code!r} is not a region code such as eu-west-1.") from None
            if len(code) > longest:
                raise CommandError(f"{code!r} is longer than {longest} characters.")
            region = ensure_region(code)
            key = newest_ingest_key(region)
            self.stdout.write(f"Region {region.code} signs with key {key.key_id if key else '-'}.")

"""`manage.py region_parameters REGION`: what the workers of a region elsewhere must be told, for a store of secrets."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from checks.models import Region
from checks.regions import newest_ingest_key


class Command(BaseCommand):
    help = (
        "Prints the keys of a region as one JSON object, by the names of the worker's variables: the newest valid "
        "ingest key and all sealing keys. It is secret: pipe it into a store of secrets, not into a file or a log."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("region", help="a region's code, such as eu-central-1")

    def handle(self, *args: Any, region: str, **options: Any) -> None:
        found = Region.objects.filter(code=region).first()
        key = newest_ingest_key(found) if found is not None else None
        if found is None or key is None or not found.sealing_key:
            raise CommandError(
                f"Region {region!r} has no keys: run manage.py ensure_region {region}"
            )
        parameters = {
            "UPTIME_INGEST_KEY_ID": key.key_id,
            "UPTIME_INGEST_SECRET": key.secret,
            "UPTIME_SEALING_KEYS": ",".join(found.opening_keys),
        }
        self.stderr.write(
            "What follows is secret: it signs results and opens tenants' credentials."
        )
        self.stdout.write(json.dumps(parameters))

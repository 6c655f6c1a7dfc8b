"""`manage.py ingest_key`: list, add and revoke the keys with which a region's workers sign their reports."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from checks.models import IngestKey, Region
from checks.regions import add_ingest_key


class Command(BaseCommand):
    help = "Lists, adds or revokes the ingest keys of a region. Add a key, hand it to the workers, revoke the old one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=("list", "add", "revoke"))
        parser.add_argument("name", help="a region's code; for revoke the id of a key")

    def handle(self, *args: Any, action: str, name: str, **options: Any) -> None:
        {"list": self._list, "add": self._add, "revoke": self._revoke}[action](name)

    def _list(self, code: str) -> None:
        for key in _region(code).ingest_keys.order_by("created_at"):
            state = f"revoked {key.revoked_at:%Y-%m-%d %H:%M} UTC" if key.revoked_at else "valid"
            self.stdout.write(f"{key.key_id}  made {key.created_at:%Y-%m-%d %H:%M} UTC  {state}")

    def _add(self, code: str) -> None:
        key = add_ingest_key(_region(code))
        self.stdout.write(f"UPTIME_INGEST_KEY_ID={key.key_id}")
        self.stdout.write(f"UPTIME_INGEST_SECRET={key.secret}")

    def _revoke(self, key_id: str) -> None:
        found = IngestKey.objects.filter(key_id=key_id, revoked_at=None)
        if not found.update(revoked_at=timezone.now()):
            raise CommandError(f"There is no valid key {key_id!r}.")
        self.stdout.write(f"{key_id} is revoked; reports signed with it are refused within 60 s.")


def _region(code: str) -> Region:
    try:
        return Region.objects.get(code=code)
    except Region.DoesNotExist:
        raise CommandError(f"There is no region {code!r}.") from None

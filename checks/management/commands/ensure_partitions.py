"""`manage.py ensure_partitions`: make the next days' result partitions and drop those whose time is over."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from checks.history.partitions import ensure_partitions
from checks.history.retention import drop_old_partitions


class Command(BaseCommand):
    help = (
        "Makes the next days' partitions of the result tables and drops those whose time is over."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        made = ensure_partitions(now=now)
        dropped = drop_old_partitions(now=now)
        self.stdout.write(
            f"Partitions made: {', '.join(made) or 'none'}; dropped: {', '.join(dropped) or 'none'}."
        )

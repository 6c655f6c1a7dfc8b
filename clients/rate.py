"""Rate limits counted in PostgreSQL: atomic over all web processes, without another server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import connection

from clients.models import RateBucket

KEEP = timedelta(hours=1)

_COUNT = """
insert into clients_ratebucket (key, "window", count) values (%s, %s, 1)
on conflict (key, "window") do update set count = clients_ratebucket.count + 1
returning count
"""


class RateLimited(Exception):
    """Too many in this window; try again after `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after


def take(key: str, *, limit: int, per_s: int, now: datetime, message: str) -> None:
    """Count one use of `key` in the current window; RateLimited when that is one too many.

    Call it outside a transaction: a count that is rolled back with a failed request limits nothing.
    """
    seconds = int(now.timestamp())
    start = seconds - seconds % per_s
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, [key, datetime.fromtimestamp(start, UTC)])
        (count,) = cursor.fetchone()
    if count == 1:  # once in each window somebody sweeps
        RateBucket.objects.filter(window__lt=now - KEEP).delete()
    if count > limit:
        raise RateLimited(message, retry_after=start + per_s - seconds)

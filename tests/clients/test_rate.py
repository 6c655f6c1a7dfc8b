"""The rate limit holds over many connections at once, and sweeps behind itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from clients.models import RateBucket
from clients.rate import RateLimited, take

NOW = datetime(2026, 11, 23, 12, 0, 20, tzinfo=UTC)


@pytest.mark.django_db(transaction=True)
def test_not_one_too_many_from_many_processes() -> None:
    waits: list[int] = []

    def use(_: int) -> bool:
        try:
            take("k", limit=10, per_s=60, now=NOW, message="Too many.")
        except RateLimited as error:
            waits.append(error.retry_after)
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(use, range(40))) == 10
    assert waits == [40] * 30


@pytest.mark.django_db
def test_keys_and_windows_are_apart_and_old_ones_go() -> None:
    for key, now in (("a", NOW), ("b", NOW), ("a", NOW + timedelta(minutes=1))):
        take(key, limit=1, per_s=60, now=now, message="")
    take("a", limit=1, per_s=60, now=NOW + timedelta(hours=3), message="")
    assert RateBucket.objects.count() == 1

"""A check's results are found on its grid, page by page, for its own client only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from checks.models import Check, Result
from checks.selectors import SeenResult, live_checks, results_page
from checks.services import update_check
from clients.models import Client
from fanout_lambdas.shared.slots import phase, slots_between
from tests.conftest import Personas
from tests.making import make_check

NOW = timezone.now().replace(microsecond=0)


def store(check: Check, slots: range, *, outcome: int = 1) -> None:
    Result.objects.bulk_create(
        [
            Result(
                client=check.client,
                at=datetime.fromtimestamp(slot, UTC),
                check_id=check.pk,
                region=check.regions[0],
                outcome=outcome,
                reason=0,
                total_us=1,
                lag_ms=0,
                stored_ms=1,
                extra=False,
            )
            for slot in slots
        ]
    )


def slots_of(check: Check, *, minutes: int) -> range:
    end = int(NOW.timestamp())
    every = check.interval_s
    return slots_between(every, phase(check.pk, every), end - minutes * 60, end)


def seconds(rows: list[SeenResult]) -> list[int]:
    return [int(one.row.at.timestamp()) for one in rows]


def test_pages_follow_each_other_without_gap(
    personas: Personas, django_assert_max_num_queries: Any
) -> None:
    created = NOW - timedelta(hours=20)
    check = make_check(personas.client, personas.region, created_at=created)
    slots = slots_of(check, minutes=400)
    store(check, slots)
    seen: list[int] = []
    before = None
    while True:
        options: dict[str, Any] = {} if before is None else {"before": before}
        with django_assert_max_num_queries(9):
            rows = results_page(personas.client, check, now=NOW, limit=150, **options)
        if not rows:
            break
        seen += seconds(rows)
        before = (seen[-1], rows[-1].row.region)
    assert seen == list(slots)[::-1]


def test_a_rare_check_reaches_far_back(personas: Personas) -> None:
    created = NOW - timedelta(hours=23)
    check = make_check(personas.client, personas.region, interval_s=3600, created_at=created)
    store(check, slots_of(check, minutes=20 * 60))
    assert len(results_page(personas.client, check, now=NOW, limit=50)) == 20


def test_another_client_sees_nothing_of_it(personas: Personas) -> None:
    check = make_check(personas.client, personas.region, created_at=NOW - timedelta(hours=2))
    store(check, slots_of(check, minutes=30))

    def seen_by(client: Client) -> int:
        return len(results_page(client, check, now=NOW, limit=50))

    assert (seen_by(personas.client), seen_by(personas.stranger_client)) == (30, 0)
    assert list(live_checks(personas.stranger_client)) == []


def test_results_from_before_a_change_of_interval_are_found(personas: Personas) -> None:
    created = NOW - timedelta(hours=20)
    check = make_check(personas.client, personas.region, created_at=created)
    slots = slots_of(check, minutes=30)
    store(check, slots)
    for interval in (120, 600, 300):
        update_check(check, actor=personas.owner, now=timezone.now(), interval_s=interval)
    rows = results_page(personas.client, check, now=NOW, limit=50)
    assert seconds(rows) == list(slots)[::-1]

"""The last 24 hours: rolled hours and single results add up, and no hour is counted twice."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from checks.models import RolledHour, RollupHour
from dashboard.selectors.hours import HOURS, last_hours, window_start
from tests.conftest import Personas
from tests.dashboard.rows import make_history
from tests.making import make_check

pytestmark = pytest.mark.django_db


def test_rolled_hours_and_single_results_add_up(personas: Personas) -> None:
    now = timezone.now()
    check = make_history(personas, minutes=30)
    start = window_start(now)
    early = start + timedelta(hours=2)
    RolledHour.objects.create(hour=early, rolled_at=now)
    RollupHour.objects.create(
        check_id=check.pk,
        hour=early,
        region=personas.region.pk,
        client=personas.client,
        up=62,  # two rechecks among them
        degraded=0,
        down=1,
        missed=0,
        ms_sum=9_000,
        ms_max=400,
        p50=100,
        p95=250,
        p99=400,
    )
    found = last_hours(personas.client, [check], now=now)[check.pk]
    assert found.measured == 60 + 30
    assert found.p95_ms[2] == 250
    assert found.p95_ms[HOURS] == 100 or found.p95_ms[HOURS - 1] == 100
    assert found.p95_ms[5] is None


def test_an_hour_that_is_rolled_is_not_read_again(personas: Personas) -> None:
    now = timezone.now()
    check = make_history(personas, minutes=30)
    for hours_back in (0, 1):
        hour = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours_back)
        RolledHour.objects.create(hour=hour, rolled_at=now)
    assert last_hours(personas.client, [check], now=now)[check.pk].measured == 0


def test_a_new_check_has_no_hours(personas: Personas) -> None:
    check = make_check(personas.client, personas.region)
    found = last_hours(personas.client, [check], now=timezone.now())[check.pk]
    assert (found.measured, set(found.p95_ms)) == (0, {None})

"""The operators' pages on a screen."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from checks.models import MinuteRun
from tests.browser.conftest import OpenPage
from tests.conftest import Personas

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_an_alarm_is_seen_whole_on_a_laptop(personas: Personas, open_page: OpenPage) -> None:
    personas.region.code = "eu-central-1"
    personas.region.save()
    MinuteRun.objects.create(
        minute=timezone.now().replace(second=0, microsecond=0) - timedelta(minutes=3),
        region=personas.region,
        planned=10_000,
        answered=9_900,
        missed=100,
        alarm="the dispatcher left no report; 100 of 10000 slots missed; 1 lost batch sent again",
    )
    page = open_page(personas.operator, width=1280)
    page.goto("/ops/runs/")
    table = page.get_by_role("region", name="Minute runs as a table")
    widths = table.evaluate("each => [each.scrollWidth, each.clientWidth]")
    assert widths[0] <= widths[1]

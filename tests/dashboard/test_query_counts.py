"""What a page costs in queries, session and user included, however many checks the client has."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client as Browser
from django.utils import timezone

from checks.models import RolledHour
from checks.services import update_check
from tests.conftest import Personas
from tests.dashboard.rows import make_history, make_incident
from tests.making import make_check

Browse = Callable[[Any], Browser]
pytestmark = pytest.mark.django_db

SIGNED_IN = 3
"""Session, user, memberships."""
MOST = {
    "/": 8,
    "/checks/": 6,
    "/checks/?q=check": 7,
    "/checks/{check}/": 12,
    "/checks/{check}/?range=1h&failures=1": 12,
    "/incidents/": 3,
    "/incidents/{incident}/": 3,
    "/alerts/": 2,
    "/alerts/?state=withheld": 2,
    "/channels/": 2,
}


@pytest.mark.parametrize("path", MOST)
def test_a_page_costs_no_more_than_its_budget(
    personas: Personas, browse: Browse, path: str, django_assert_max_num_queries: Any
) -> None:
    check = make_history(personas, name="check", state="down", down=(0, 1, 2), minutes=10)
    make_incident(check, minutes_ago=60, minutes=5)
    incident = make_incident(check, minutes_ago=3)
    for number in range(60):
        make_check(personas.client, personas.region, name=f"check {number}", state="up")
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    RolledHour.objects.create(hour=hour - timedelta(hours=3), rolled_at=timezone.now())
    address = path.format(check=check.pk, incident=incident.pk)
    member = browse(personas.viewer)
    with django_assert_max_num_queries(SIGNED_IN + MOST[path]):
        assert member.get(address).status_code == 200


def test_checks_edited_lately_cost_one_query_for_all_of_them(
    personas: Personas, browse: Browse, django_assert_max_num_queries: Any
) -> None:
    for number in range(5):
        check = make_check(personas.client, personas.region, name=f"check {number}")
        update_check(check, actor=personas.owner, now=timezone.now(), interval_s=300)
    member = browse(personas.viewer)
    with django_assert_max_num_queries(SIGNED_IN + MOST["/checks/"] + 1):
        assert member.get("/checks/").status_code == 200

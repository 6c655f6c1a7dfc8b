"""Pausing, resuming and changing a check, as the rules see it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import transaction

from checks.models import Check, Event, ExtraSlot, Incident, RegionState
from checks.pipeline.life import change_policy, pause, resume
from fanout_lambdas.shared.contracts import Outcome
from tests.checks.pipeline.test_evaluate import feed, fresh, slot_of
from tests.conftest import Personas
from tests.making import make_check


@pytest.fixture
def down(personas: Personas) -> Check:
    """A check with an open incident."""
    check = make_check(personas.client, personas.region)
    feed(*(fresh(check, slot_of(check, minute), Outcome.DOWN) for minute in range(3)))
    check.refresh_from_db()
    assert check.state == "down"
    return check


def moment(check: Check, minute: int) -> datetime:
    return datetime.fromtimestamp(slot_of(check, minute) + 5, UTC)


def test_pausing_ends_the_incident_silently(down: Check) -> None:
    now = moment(down, 3)
    with transaction.atomic():
        pause(down.pk, now=now)
    incident = Incident.objects.across_clients().get()
    assert incident.silent
    assert incident.ended_at is not None
    assert incident.ended_at.timestamp() == int(now.timestamp())
    assert list(Event.objects.across_clients().values_list("kind", flat=True)) == ["down"]
    down.refresh_from_db()
    assert down.state == "paused"
    assert not ExtraSlot.objects.across_clients().filter(closed_at=None).exists()


def test_a_paused_check_evaluates_nothing_and_resumes_as_new(down: Check) -> None:
    with transaction.atomic():
        pause(down.pk, now=moment(down, 3))
    assert feed(fresh(down, slot_of(down, 4), Outcome.UP)).evaluated == 0
    with transaction.atomic():
        resume(down.pk, now=moment(down, 5))
    down.refresh_from_db()
    assert down.state == "new"
    feed(fresh(down, slot_of(down, 5), Outcome.DOWN))  # probed before the resume
    assert feed(fresh(down, slot_of(down, 6), Outcome.UP)).evaluated == 1
    down.refresh_from_db()
    assert down.state == "up"


def test_a_region_that_leaves_is_forgotten(down: Check) -> None:
    from checks.models import Region

    other = Region.objects.create(code="other", name="Other", sealing_key="k")

    def save() -> None:
        Check.objects.across_clients().filter(pk=down.pk).update(regions=[other.pk])

    with transaction.atomic():
        change_policy(down.pk, save, now=moment(down, 3))
    rows = RegionState.objects.across_clients().filter(check_id=down.pk)
    assert [row.region for row in rows] == [other.pk]

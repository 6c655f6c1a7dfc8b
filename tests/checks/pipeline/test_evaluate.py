"""Hop 6 and 7 on a real database: results become states, incidents and events, once, in slot order."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from checks.models import Check, Event, ExtraSlot, Incident, Region
from checks.pipeline.evaluate import EvaluateReport, evaluate
from checks.pipeline.fresh import FreshResult
from checks.signals import delivery_due, recheck_due
from fanout_lambdas.shared.contracts import Outcome, Reason
from fanout_lambdas.shared.slots import phase
from tests.conftest import Personas
from tests.making import make_check

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def slot_of(check: Check, minute: int) -> int:
    """The check's regular slot `minute` minutes after noon."""
    return int(NOON.timestamp()) + minute * 60 + phase(check.pk, 60) % 60


def fresh(check: Check, slot: int, outcome: Outcome, **fields: Any) -> FreshResult:
    bad = outcome is Outcome.DOWN
    values: dict[str, Any] = {
        "reason": Reason.STATUS if bad else Reason.NONE,
        "message": "Answered 500, expected 200-299" if bad else "",
        "http_status": 500 if bad else 200,
        "total_us": 120_000,
        "region_id": check.regions[0],
    }
    return FreshResult(
        check_id=check.pk, client_id=check.client_id, slot=slot, outcome=outcome, **values | fields
    )


def feed(*results: FreshResult) -> EvaluateReport:
    """As ingest does it: one transaction, a second after the newest slot."""
    now = datetime.fromtimestamp(max(each.slot for each in results) + 1, UTC)
    with transaction.atomic():
        return evaluate(results, now=now)


def incidents() -> list[Incident]:
    return list(Incident.objects.across_clients().order_by("started_at"))


def events() -> list[str]:
    return list(Event.objects.across_clients().order_by("id").values_list("kind", flat=True))


@pytest.fixture
def check(personas: Personas) -> Check:
    return make_check(personas.client, personas.region)


def test_an_outage_from_first_failure_to_recovery(check: Check) -> None:
    slots = [slot_of(check, minute) for minute in range(7)]
    feed(fresh(check, slots[0], Outcome.UP))
    check.refresh_from_db()
    assert check.state == "up"

    feed(fresh(check, slots[1], Outcome.DOWN))
    feed(fresh(check, slots[2], Outcome.DOWN))
    assert incidents() == []
    feed(fresh(check, slots[3], Outcome.DOWN))
    (incident,) = incidents()
    assert incident.started_at.timestamp() == slots[1]
    assert incident.opened_at.timestamp() == slots[3]
    assert incident.last_good_at is not None
    assert incident.last_good_at.timestamp() == slots[0]
    assert (incident.reason, incident.http_status) == ("status", 500)
    check.refresh_from_db()
    assert check.state == "down"
    assert check.state_since.timestamp() == slots[3]

    feed(fresh(check, slots[4], Outcome.UP))
    assert incidents()[0].resolved_at is None
    feed(fresh(check, slots[5], Outcome.UP))
    (incident,) = incidents()
    assert incident.ended_at is not None
    assert incident.resolved_at is not None
    assert incident.ended_at.timestamp() == slots[4]
    assert incident.resolved_at.timestamp() == slots[5]
    assert events() == ["down", "up"]
    check.refresh_from_db()
    assert check.state == "up"


def test_one_batch_may_hold_a_whole_outage_in_any_order(check: Check) -> None:
    outcomes = [Outcome.UP, *[Outcome.DOWN] * 3, *[Outcome.UP] * 2]
    results = [fresh(check, slot_of(check, n), each) for n, each in enumerate(outcomes)]
    report = feed(*reversed(results))
    assert (report.evaluated, report.opened, report.closed) == (6, 1, 1)
    assert events() == ["down", "up"]
    assert incidents()[0].resolved_at is not None


def test_a_late_result_moves_nothing(check: Check) -> None:
    feed(fresh(check, slot_of(check, 5), Outcome.UP))
    for minute in (1, 2, 3):
        feed(fresh(check, slot_of(check, minute), Outcome.DOWN))
    assert incidents() == []


def test_a_first_failure_asks_for_a_recheck_and_nudges(check: Check) -> None:
    nudges: list[str] = []

    def on_recheck(**_: object) -> None:
        nudges.append("recheck")

    recheck_due.connect(on_recheck)
    try:
        feed(fresh(check, slot_of(check, 0), Outcome.UP))
        failed = slot_of(check, 1)
        with transaction.atomic():
            feed(fresh(check, failed, Outcome.DOWN))
    finally:
        recheck_due.disconnect(on_recheck)
    (extra,) = ExtraSlot.objects.across_clients()
    assert extra.slot.timestamp() == failed + 10
    assert (extra.why, extra.region_id) == ("recheck", check.regions[0])


def test_rechecks_are_capped_and_the_regular_slots_decide_instead(
    personas: Personas, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = [
        make_check(personas.client, personas.region, name=f"Check {n}", interval_s=86400)
        for n in range(70)
    ]
    start = int(NOON.timestamp())
    feed(
        *(
            fresh(each, start + (phase(each.pk, 86400) - start) % 10, Outcome.DOWN)
            for each in checks
        )
    )
    by_minute: dict[int, int] = {}
    for extra in ExtraSlot.objects.across_clients():
        minute = int(extra.slot.timestamp()) // 60
        by_minute[minute] = by_minute.get(minute, 0) + 1
    assert max(by_minute.values()) <= 60
    assert sum(by_minute.values()) < 70


def test_slow_is_told_as_degraded_and_never_opens_an_incident(check: Check) -> None:
    feed(fresh(check, slot_of(check, 0), Outcome.UP))
    feed(fresh(check, slot_of(check, 1), Outcome.DEGRADED, reason=Reason.LATENCY))
    check.refresh_from_db()
    assert check.state == "degraded"
    feed(fresh(check, slot_of(check, 2), Outcome.UP))
    assert incidents() == []
    assert events() == ["degraded", "recovered"]


def test_nothing_is_evaluated_for_a_deleted_check(check: Check) -> None:
    Check.objects.across_clients().filter(pk=check.pk).update(deleted_at=NOON)
    report = feed(fresh(check, slot_of(check, 0), Outcome.DOWN))
    assert report.evaluated == 0


def test_the_incident_says_how_it_was_confirmed(check: Check, personas: Personas) -> None:
    slots = [slot_of(check, minute) for minute in range(4)]
    for slot in slots[1:]:
        with connection.cursor() as cursor:
            cursor.execute(
                "insert into result (at, check_id, client_id, total_us, lag_ms, stored_ms, region, outcome,"
                " reason, extra) values (to_timestamp(%s), %s, %s, 0, 0, 0, %s, 3, 1, false)",
                [slot, check.pk, check.client_id, personas.region.pk],
            )
    feed(*(fresh(check, slot, Outcome.DOWN) for slot in slots[1:]))
    (incident,) = incidents()
    assert [row[:2] for row in incident.document["confirmed_by"]] == [
        [slot, "local"] for slot in slots[1:]
    ]


def test_a_quorum_of_regions_decides(personas: Personas) -> None:
    second = Region.objects.create(code="second", name="Second", sealing_key="k")
    third = Region.objects.create(code="third", name="Third", sealing_key="k")
    check = make_check(personas.client, personas.region, second, third, down_after=1)
    slot = slot_of(check, 0)
    feed(fresh(check, slot, Outcome.DOWN))
    assert incidents() == []
    feed(fresh(check, slot, Outcome.DOWN, region_id=third.pk))
    assert len(incidents()) == 1


@pytest.mark.django_db(transaction=True)
def test_two_batches_at_once_open_one_incident(personas: Personas) -> None:
    """Both hold the same checks in opposite order; locks are taken in one order, so neither waits for ever."""
    checks = [
        make_check(personas.client, personas.region, name=f"Check {n}", down_after=2)
        for n in range(20)
    ]
    nudges: list[int] = []
    delivery_due.connect(lambda **_: nudges.append(1), weak=False, dispatch_uid="test")
    errors: list[BaseException] = []

    def batch(minute: int) -> None:
        try:
            feed(*(fresh(each, slot_of(each, minute), Outcome.DOWN) for each in checks))
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    try:
        threads = [threading.Thread(target=batch, args=(minute,)) for minute in (0, 1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)
    finally:
        delivery_due.disconnect(dispatch_uid="test")
    assert errors == []
    opened = incidents()
    assert len(opened) == len({incident.subject_id for incident in opened})
    assert all(
        incident.opened_at - incident.started_at <= timedelta(minutes=2) for incident in opened
    )
    assert len(nudges) <= 3

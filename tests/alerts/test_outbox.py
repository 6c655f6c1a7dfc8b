"""Events become notices and deliveries once, in order, and one bad event stops nobody."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from alerts import services
from alerts.models import Delivery, Notice
from alerts.outbox import MAX_TRIES, enqueue_deliveries
from alerts.selectors import events_set_aside, withheld_of
from checks.models import Event
from tests.alerts.rows import (
    START,
    deliveries,
    down,
    make_check,
    make_client,
    make_mail,
    make_webhook,
    slow,
    up,
)

HOOK = "http://127.0.0.1:9999/hook"
pytestmark = pytest.mark.django_db


def test_one_event_becomes_one_delivery_for_each_channel_that_hears_it() -> None:
    client = make_client()
    check = make_check(client)
    hook, mail = make_webhook(client, HOOK), make_mail(client)
    deaf = make_mail(client, "other@acme.test", hears=("degraded",))
    event = down(check)

    report = enqueue_deliveries(now=START)

    assert (report.events, report.deliveries, report.withheld) == (1, 2, 1)
    assert {one.channel_id for one in deliveries()} == {hook.pk, mail.pk}
    assert all(one.state == "queued" and one.next_attempt_at == START for one in deliveries())
    assert all(one.summary == "Checkout is down: HTTP 500" for one in deliveries())
    held = Notice.objects.for_client(client).get(channel=deaf)
    assert held.delivery is None
    assert held.withheld == "The channel is not told of “down” events."
    event.refresh_from_db()
    assert event.processed_at == START
    assert enqueue_deliveries(now=START).idle


def test_a_full_batch_asks_to_be_called_again() -> None:
    client = make_client()
    for number in range(5):
        down(make_check(client, f"c{number}"))
    assert [enqueue_deliveries(now=START, limit=2).more for _ in range(3)] == [True, True, False]
    assert enqueue_deliveries(now=START).idle


def test_a_replayed_event_queues_nothing_twice() -> None:
    client = make_client()
    make_webhook(client, HOOK)
    event = down(make_check(client))
    enqueue_deliveries(now=START)
    Event.objects.across_clients().filter(pk=event.pk).update(processed_at=None)
    assert enqueue_deliveries(now=START).deliveries == 0
    assert len(deliveries()) == 1


def test_why_nothing_was_sent_is_in_the_history() -> None:
    client = make_client()
    hook = make_webhook(client, HOOK)
    services.disable_channel(hook, actor=None, now=START)
    check = make_check(client)
    paused = make_check(client, "Paused", paused_at=START)
    gone = make_check(client, "Gone", deleted_at=START)
    event = down(check)
    up(event)
    enqueue_deliveries(now=START)
    services.enable_channel(hook, actor=None, now=START)
    down(paused)
    down(gone)
    enqueue_deliveries(now=START)
    assert deliveries() == []
    assert [one.withheld for one in withheld_of(client).order_by("id")] == [
        "The channel is switched off.",
        "The channel is switched off.",
        "The check was paused before the alert was sent.",
        "The check was deleted before the alert was sent.",
    ]
    assert withheld_of(client, check=paused).count() == 1


def test_a_recovery_is_told_even_when_the_check_is_paused_by_then() -> None:
    client = make_client()
    make_webhook(client, HOOK)
    check = make_check(client)
    event = down(check)
    enqueue_deliveries(now=START)
    up(event)
    check.paused_at = START
    check.save()
    assert enqueue_deliveries(now=START).deliveries == 1


def test_other_clients_channels_hear_nothing() -> None:
    make_webhook(make_client("other"), HOOK)
    down(make_check(make_client()))
    report = enqueue_deliveries(now=START)
    assert (report.events, report.deliveries, report.withheld) == (1, 0, 0)
    assert not Notice.objects.across_clients().exists()


def test_slowness_is_told_to_those_who_want_it() -> None:
    client = make_client()
    make_webhook(client, HOOK, hears=("degraded", "recovered"))
    check = make_check(client)
    slow(check)
    enqueue_deliveries(now=START)
    assert [one.summary for one in deliveries()] == ["Checkout is slow"]


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(["not", "a", "mapping"], id="raises while rendering"),
        pytest.param({"confirmed_by": [["no time", "eu-1", "x"]]}, id="bad time"),
    ],
)
def test_a_poison_event_is_set_aside_and_the_others_go_on(payload: Any) -> None:
    client = make_client()
    make_webhook(client, HOOK)
    poison = down(make_check(client, "Poison"))
    good = down(make_check(client, "Good"))
    poison.payload = payload
    poison.save()

    report = enqueue_deliveries(now=START)
    good.refresh_from_db()
    assert good.processed_at == START
    assert (report.events, report.failed, report.set_aside) == (1, 1, 0)
    for number in range(2, MAX_TRIES + 1):
        report = enqueue_deliveries(now=START)
        assert (report.failed, report.set_aside) == (1, int(number == MAX_TRIES))
    assert enqueue_deliveries(now=START).idle
    assert [one.pk for one in events_set_aside()] == [poison.pk]
    assert "Error" in events_set_aside()[0].error


def test_what_the_database_refuses_is_poison_too() -> None:
    """The batch is refused as a whole, then stored one by one; later events of the same check wait."""
    client = make_client()
    make_webhook(client, HOOK)
    check = make_check(client, "Poison")
    first = down(check)
    second = up(first)
    other = down(make_check(client, "Good"))
    with connection.cursor() as cursor:
        cursor.execute(
            "create function refuse() returns trigger language plpgsql as "
            "$$ begin if new.summary like 'Poison%%' then raise 'refused'; end if; return new; end $$;"
            "create trigger refuse before insert on alerts_delivery for each row execute function refuse()"
        )
    report = enqueue_deliveries(now=START)
    assert (report.events, report.failed) == (1, 1)
    assert [one.summary for one in deliveries()] == ["Good is down: HTTP 500"]
    for event, done in ((first, False), (second, False), (other, True)):
        event.refresh_from_db()
        assert (event.processed_at is not None) is done
    assert "refused" in first.error
    assert second.error == ""  # waits for the one before it


def test_queries_do_not_grow_with_the_batch() -> None:
    client = make_client()
    make_webhook(client, HOOK)
    make_mail(client)

    def queries(count: int) -> int:
        for number in range(count):
            down(make_check(client, f"c{number}"))
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert enqueue_deliveries(now=START).deliveries == 2 * count
        return len(captured)

    assert queries(2) == queries(20)


@pytest.mark.django_db(transaction=True)
def test_two_at_once_queue_everything_once_and_in_order() -> None:
    client = make_client()
    make_webhook(client, HOOK)
    for number in range(20):
        up(down(make_check(client, f"c{number}")))

    def run() -> None:
        try:
            while not enqueue_deliveries(now=START, limit=3).idle:
                pass
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    enqueue_deliveries(now=START)
    rows = list(Delivery.objects.across_clients().order_by("id").values_list("subject", "kind"))
    assert len(rows) == 40
    for check_id in {subject for subject, _ in rows}:
        assert [kind for subject, kind in rows if subject == check_id] == ["down", "up"]

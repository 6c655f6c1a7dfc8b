"""Reads: client first, nothing of a stranger's, no query for each row."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from alerts import services
from alerts.delivery import deliver_due
from alerts.outbox import enqueue_deliveries
from alerts.selectors import (
    channels_of,
    counts_of,
    deliveries_of,
    deliveries_of_fleet,
    withheld_of,
)
from clients.models import Client
from tests.alerts.rows import Hand, down, make_check, make_client, make_mail, make_webhook
from tests.receiver import Answer, Receiver

pytestmark = pytest.mark.django_db


def fill(client: Client, clock: Hand, receiver: Receiver, count: int = 1) -> None:
    make_webhook(client, receiver.url(), name="b hook")
    make_mail(client, hears=("degraded",))
    for number in range(count):
        down(make_check(client, f"c{number}"))
    enqueue_deliveries(now=clock())
    deliver_due(clock=clock, jitter=lambda: 0.5)


def test_a_stranger_sees_nothing() -> None:
    clock = Hand()
    mine, other = make_client(), make_client("other")
    with Receiver() as receiver:
        fill(mine, clock, receiver)
    assert not channels_of(other).exists()
    assert not deliveries_of(other).exists()
    assert not withheld_of(other).exists()
    assert counts_of(other).sent == 0
    (row,) = deliveries_of(mine)
    assert not deliveries_of(other, channel=row.channel, check=row.subject).exists()
    assert [one.client for one in deliveries_of_fleet()] == [mine]


def test_a_channel_shows_its_last_delivery() -> None:
    clock = Hand()
    client = make_client()
    with Receiver() as receiver:
        receiver.answers(Answer(), Answer(500))
        fill(client, clock, receiver)
        hook, mail = channels_of(client).order_by("-name")
        assert (hook.last_delivery_state, hook.waiting) == ("sent", 0)
        assert (mail.last_delivery_state, mail.waiting) == (None, 0)
        down(make_check(client, "later"))
        enqueue_deliveries(now=clock())
        deliver_due(clock=clock, jitter=lambda: 0.5)
    hook = channels_of(client).get(pk=hook.pk)
    assert (hook.last_delivery_state, hook.waiting) == ("queued", 1)
    services.delete_channel(hook, actor=None, now=clock())
    assert [one.pk for one in channels_of(client)] == [mail.pk]


def test_history_by_check_channel_and_state() -> None:
    clock = Hand()
    client = make_client()
    with Receiver() as receiver:
        receiver.answers(Answer(), Answer(500))
        fill(client, clock, receiver)
        hook = channels_of(client).get(kind="webhook")
        second = make_check(client, "second")
        down(second)
        enqueue_deliveries(now=clock())
        deliver_due(clock=clock)
        services.disable_channel(hook, actor=None, now=clock())
    assert [one.summary for one in deliveries_of(client, check=second)] == [
        "second is down: HTTP 500"
    ]
    assert [one.attempts.all()[0].ok for one in deliveries_of(client, channel=hook)] == [
        False,
        True,
    ]
    assert [one.state for one in deliveries_of(client, state="dead")] == ["dead"]
    assert withheld_of(client, check=second).count() == 1
    counts = counts_of(client)
    assert (counts.waiting, counts.sent, counts.dead) == (0, 1, 1)


def test_queries_do_not_grow_with_the_history() -> None:
    clock = Hand()

    def queries(client: Client) -> int:
        with CaptureQueriesContext(connection) as captured:
            for row in deliveries_of(client):
                assert row.channel.name
                assert row.subject is not None
                assert [one.answer for one in row.attempts.all()] == ["ok"]
            for notice in withheld_of(client):
                assert notice.event.subject.name
                assert notice.channel.name
            assert [one.last_delivery_state for one in channels_of(client)]
        return len(captured)

    with Receiver() as receiver:
        small, large = make_client("small"), make_client("large")
        fill(small, clock, receiver, 1)
        fill(large, clock, receiver, 12)
    assert queries(small) == queries(large) == 4

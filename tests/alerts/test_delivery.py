"""Deliveries over a real receiver: retries, order, limits, leases, dead letters."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, connection
from standardwebhooks import Webhook

from alerts import services
from alerts.claims import LEASE, claim
from alerts.delivery import DeliveryReport, deliver_due
from alerts.models import Attempt, Channel, Delivery
from alerts.outbox import enqueue_deliveries
from alerts.transports.base import Transport
from alerts.transports.webhook import WebhookTransport
from checks.models import Check
from clients.models import AuditEvent, Client
from tests.alerts.rows import Hand, deliveries, down, make_check, make_client, make_webhook, up
from tests.receiver import Answer, Receiver, drip, endless, garbage, hang, reset

pytestmark = pytest.mark.django_db
QUICK: dict[str, Transport] = {"webhook": WebhookTransport(total_s=0.5)}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def client() -> Client:
    return make_client()


@pytest.fixture
def check(client: Client) -> Check:
    return make_check(client)


def send(clock: Hand, **options: Any) -> DeliveryReport:
    return deliver_due(clock=clock, jitter=lambda: 0.5, transports=QUICK, **options)


def queue(clock: Hand) -> None:
    enqueue_deliveries(now=clock())


def attempts() -> list[Attempt]:
    return list(Attempt.objects.across_clients().order_by("delivery_id", "number"))


def test_a_signed_message_arrives(receiver: Receiver, client: Client, check: Check) -> None:
    clock = Hand()
    hook = make_webhook(client, receiver.url())
    down(check)
    queue(clock)

    assert send(clock) == DeliveryReport(sent=1)

    (got,) = receiver.received
    body = Webhook(hook.secret).verify(got.body, got.headers)
    assert body["type"] == "check.down"
    assert got.headers["content-type"] == "application/json; charset=utf-8"
    assert got.headers["user-agent"].startswith("Uptime/")
    (row,) = deliveries()
    assert got.headers["webhook-id"] == str(row.message_id)
    assert (row.state, row.sent_at, row.attempts_made) == ("sent", clock(), 1)
    (tried,) = attempts()
    assert (tried.ok, tried.status, tried.answer, tried.number) == (True, "200", "ok", 1)
    hook.refresh_from_db()
    assert (hook.failures_in_a_row, hook.last_success_at) == (0, clock())
    assert send(clock).idle


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Answer(500, b"oops"), "500"),
        (Answer(404, b"nobody"), "404"),
        (Answer(302, b"", {"Location": "http://169.254.169.254/latest/"}), "302"),
        (hang, "timeout"),
        (drip, "timeout"),
        (reset, "connection"),
        (garbage, "protocol"),
    ],
)
def test_a_fault_is_tried_again_with_the_same_id_and_bytes(
    receiver: Receiver, client: Client, check: Check, fault: Any, status: str
) -> None:
    clock = Hand()
    hook = make_webhook(client, receiver.url())
    receiver.answers(fault, Answer())
    down(check)
    queue(clock)

    assert send(clock) == DeliveryReport(again=1)
    (row,) = deliveries()
    assert (row.state, row.next_attempt_at) == ("queued", clock() + timedelta(seconds=5))
    assert row.last_error
    assert attempts()[0].status == status
    assert not attempts()[0].permanent
    assert attempts()[0].duration_ms < 1_500
    hook.refresh_from_db()
    assert (hook.failures_in_a_row, hook.failing_since) == (1, clock())
    clock.forward(4)
    assert send(clock).idle
    clock.forward(1)
    assert send(clock) == DeliveryReport(sent=1)

    first, second = receiver.received
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
    Webhook(hook.secret).verify(second.body, second.headers)
    hook.refresh_from_db()
    assert (hook.failures_in_a_row, hook.failing_since) == (0, None)


def test_an_endless_answer_is_cut(receiver: Receiver, client: Client, check: Check) -> None:
    clock = Hand()
    make_webhook(client, receiver.url())
    receiver.answers(endless)
    down(check)
    queue(clock)
    assert send(clock) == DeliveryReport(sent=1)
    assert len(attempts()[0].answer) == 4_096


def test_nobody_listening_is_passing(client: Client, check: Check) -> None:
    clock = Hand()
    make_webhook(client, "http://127.0.0.1:19999/hook")
    down(check)
    queue(clock)
    assert send(clock) == DeliveryReport(again=1)
    assert attempts()[0].status == "connection"


def test_retry_after_is_honoured(receiver: Receiver, client: Client, check: Check) -> None:
    clock = Hand()
    make_webhook(client, receiver.url())
    receiver.answers(Answer(429, b"slow down", {"Retry-After": "120"}), Answer())
    down(check)
    queue(clock)
    send(clock)
    clock.forward(119)
    assert send(clock).idle
    clock.forward(1)
    assert send(clock) == DeliveryReport(sent=1)


def test_gone_ends_at_once_and_switches_the_channel_off(
    receiver: Receiver, client: Client, check: Check
) -> None:
    clock = Hand()
    hook = make_webhook(client, receiver.url())
    receiver.answers(Answer(410, b"bye"))
    event = down(check)
    queue(clock)
    assert send(clock) == DeliveryReport(dead=1)
    hook.refresh_from_db()
    assert not hook.enabled
    assert "410" in hook.disabled_reason
    assert AuditEvent.objects.for_client(client).filter(action="channel.disabled").exists()
    assert attempts()[0].permanent
    up(event)
    queue(clock)
    assert send(clock).idle
    assert len(receiver.received) == 1


def test_ten_attempts_then_a_dead_letter_that_can_be_sent_again(
    receiver: Receiver, client: Client, check: Check, django_user_model: Any
) -> None:
    clock = Hand()
    make_webhook(client, receiver.url())
    receiver.answers(Answer(500))
    down(check)
    queue(clock)
    for _ in range(9):
        assert send(clock) == DeliveryReport(again=1)
        clock.forward(86_400)
    assert send(clock) == DeliveryReport(dead=1)
    clock.forward(10 * 86_400)
    assert send(clock).idle
    (row,) = deliveries()
    assert (row.state, row.attempts_made) == ("dead", 10)

    actor = django_user_model.objects.create_user("owner@acme.test", "a long password")
    services.resend(row, actor=actor, now=clock())
    assert send(clock) == DeliveryReport(again=1)
    (row,) = deliveries()
    assert row.next_attempt_at == clock() + timedelta(seconds=5)  # a fresh schedule
    receiver.answers(Answer())
    clock.forward(5)
    assert send(clock) == DeliveryReport(sent=1)

    assert [one.number for one in attempts()] == list(range(1, 13))
    assert len({one.headers["webhook-id"] for one in receiver.received}) == 1
    assert len({one.body for one in receiver.received}) == 1
    logged = AuditEvent.objects.for_client(client).get(action="delivery.resent")
    assert logged.actor == actor


def test_a_delivered_message_can_be_sent_again_and_a_waiting_one_not(
    receiver: Receiver, client: Client, check: Check
) -> None:
    clock = Hand()
    make_webhook(client, receiver.url())
    down(check)
    queue(clock)
    with pytest.raises(ValidationError) as refused:
        services.resend(deliveries()[0], actor=None, now=clock())
    assert refused.value.message_dict == {"state": ["This message is still on its way."]}
    send(clock)
    services.resend(deliveries()[0], actor=None, now=clock())
    assert send(clock) == DeliveryReport(sent=1)
    assert len({one.headers["webhook-id"] for one in receiver.received}) == 1


def test_down_leaves_before_up_even_when_down_must_be_tried_again(
    receiver: Receiver, client: Client, check: Check
) -> None:
    clock = Hand()
    make_webhook(client, receiver.url())
    receiver.answers(Answer(500), Answer())
    other = make_check(client, "Other")
    up(down(check))
    queue(clock)
    assert send(clock) == DeliveryReport(again=1)  # up waits for it
    down(other)
    queue(clock)
    assert send(clock) == DeliveryReport(sent=1)  # another check does not wait
    clock.forward(5)
    assert send(clock) == DeliveryReport(sent=2)
    told = [
        (json.loads(one.body)["data"]["check"]["name"], json.loads(one.body)["type"])
        for one in receiver.received
    ]
    assert told == [
        ("Checkout", "check.down"),
        ("Other", "check.down"),
        ("Checkout", "check.down"),
        ("Checkout", "check.up"),
    ]


def test_up_does_not_wait_for_a_dead_letter(
    receiver: Receiver, client: Client, check: Check
) -> None:
    clock = Hand()
    make_webhook(client, receiver.url())
    event = down(check)
    queue(clock)
    Delivery.objects.across_clients().update(state="dead")
    up(event)
    queue(clock)
    assert send(clock) == DeliveryReport(sent=1)


def test_killed_between_claim_and_send(receiver: Receiver, client: Client, check: Check) -> None:
    clock = Hand()
    make_webhook(client, receiver.url())
    down(check)
    queue(clock)
    assert (
        len(claim(now=clock(), free=10, senders=10).taken) == 1
    )  # and then nothing: the process died
    assert send(clock).idle
    clock.forward(LEASE.total_seconds() - 1)
    assert send(clock).idle
    clock.forward(1)
    assert send(clock) == DeliveryReport(sent=1, lost=1)
    assert [(one.number, one.ok, one.status) for one in attempts()] == [
        (1, False, "lost"),
        (2, True, "200"),
    ]
    assert len(receiver.received) == 1


def test_a_message_that_always_kills_its_sender_ends_as_a_dead_letter(
    client: Client, check: Check
) -> None:
    clock = Hand()
    make_webhook(client, "http://127.0.0.1:19999/hook")
    down(check)
    queue(clock)
    for _ in range(10):
        assert len(claim(now=clock(), free=10, senders=10).taken) == 1
        clock.forward(LEASE.total_seconds())
    assert claim(now=clock(), free=10, senders=10).taken == ()
    assert deliveries()[0].state == "dead"
    assert len(attempts()) == 10


def test_a_deleted_or_switched_off_channel_gets_nothing_more(
    receiver: Receiver, client: Client, check: Check
) -> None:
    clock = Hand()
    gone, off = make_webhook(client, receiver.url()), make_webhook(client, receiver.url())
    down(check)
    queue(clock)
    services.delete_channel(gone, actor=None, now=clock())
    services.disable_channel(off, actor=None, now=clock())
    assert send(clock).idle
    assert receiver.received == []
    assert [(one.state, one.last_error) for one in deliveries()] == [
        ("dead", "The channel was deleted."),
        ("dead", "The channel was switched off."),
    ]
    with pytest.raises(ValidationError, match="deleted"):
        services.resend(deliveries()[0], actor=None, now=clock())
    with pytest.raises(ValidationError, match="Switch the channel on"):
        services.resend(deliveries()[1], actor=None, now=clock())


def test_an_address_that_turned_private_is_refused_before_a_packet_leaves(
    client: Client, check: Check, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Hand()
    hook = make_webhook(client, "http://127.0.0.1:19999/hook")
    settings.ALLOW_NETWORKS = ()
    down(check)
    queue(clock)
    assert send(clock) == DeliveryReport(dead=1)
    assert attempts()[0].status == "blocked"
    assert f"blocked delivery client={client.pk} channel={hook.pk} rule=loopback" in caplog.text
    hook.refresh_from_db()
    assert hook.enabled


def test_a_secret_that_no_key_opens_stops_nobody_else(
    receiver: Receiver, client: Client, check: Check
) -> None:
    clock = Hand()
    broken = make_webhook(client, receiver.url())
    make_webhook(client, receiver.url())
    down(check)
    queue(clock)
    with connection.cursor() as cursor:
        cursor.execute("update alerts_channel set target = 'xyz' where id = %s", [broken.pk])
    assert send(clock) == DeliveryReport(sent=1, again=1)
    assert "cannot be decrypted" in attempts()[0].answer


def test_the_answer_is_kept_without_our_secret(
    receiver: Receiver, client: Client, check: Check
) -> None:
    clock = Hand()
    hook = make_webhook(client, receiver.url())
    receiver.answers(Answer(500, f"bad key {hook.secret}\x00<script>".encode()))
    down(check)
    queue(clock)
    send(clock)
    assert attempts()[0].answer == "bad key (hidden)�<script>"


def test_hanging_endpoints_delay_nobody(receiver: Receiver) -> None:
    """Twenty clients whose endpoints hang, with queues behind; the others' messages are through meanwhile."""
    clock = Hand()
    through = threading.Event()

    def hang_until_through(handler: Any) -> None:
        through.wait(20)

    def take(handler: Any) -> None:
        if len(receiver.of("/hook")) == 30:
            through.set()
        Answer(204)(handler)

    receiver.answers(hang_until_through, path="/hang")
    receiver.answers(take, path="/hook")
    for number in range(20):
        stuck = make_client(f"stuck{number}")
        make_webhook(stuck, receiver.url("/hang"))
        for each in range(3):
            down(make_check(stuck, f"c{each}"))
    well = make_client("well")
    make_webhook(well, receiver.url())
    for each in range(30):
        down(make_check(well, f"c{each}"))
    queue(clock)
    patient: dict[str, Transport] = {"webhook": WebhookTransport(total_s=20)}
    report = deliver_due(clock=clock, jitter=lambda: 0.5, transports=patient, senders=64)
    assert through.is_set()
    # Nobody's second message was tried before, so the first ones still hung.
    assert sorted(one.path for one in receiver.received[:50]) == ["/hang"] * 20 + ["/hook"] * 30
    assert report.sent == 30
    assert report.again >= 20


def test_one_record_that_is_refused_does_not_hold_up_the_others(
    receiver: Receiver, client: Client
) -> None:
    clock = Hand()
    for name in ("Odd", "Even"):
        make_webhook(client, receiver.url(f"/{name}"), name=name)
    receiver.answers(Answer(200, b"odd"), path="/Odd")
    down(make_check(client))
    queue(clock)
    with connection.cursor() as cursor:
        cursor.execute(
            "create function refuse() returns trigger language plpgsql as "
            "$$ begin if new.answer = 'odd' then raise 'refused'; end if; return new; end $$;"
            "create trigger refuse before insert on alerts_attempt for each row execute function refuse()"
        )

    def running() -> datetime:
        clock.forward(10)
        return clock()

    with pytest.raises(DatabaseError, match="refused"):
        deliver_due(clock=running, claim_for_s=0.1, transports=QUICK)
    assert [one.state for one in deliveries()] == ["sending", "sent"]  # the lease of the first ends


def test_a_client_that_is_deleted_meanwhile_stops_nobody(
    receiver: Receiver, client: Client, check: Check
) -> None:
    clock = Hand()
    make_webhook(client, receiver.url())
    up(down(check))
    queue(clock)
    client.delete()  # also shows that nothing protects its rows
    assert deliveries() == []
    assert not Channel.objects.across_clients().exists()
    assert send(clock).idle


@pytest.mark.django_db(transaction=True)
def test_two_senders_at_once_send_everything_once(receiver: Receiver) -> None:
    clock = Hand()
    client = make_client()
    make_webhook(client, receiver.url("/a"))
    make_webhook(client, receiver.url("/b"))
    for number in range(15):
        up(down(make_check(client, f"c{number}")))
    queue(clock)
    reports: list[DeliveryReport] = []

    def run() -> None:
        try:
            reports.append(send(clock, senders=8))
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(report.sent for report in reports) == 60
    ids = [one.headers["webhook-id"] for one in receiver.received]
    assert len(ids) == len(set(ids)) == 60
    for path in ("/a", "/b"):
        kinds: dict[str, list[str]] = {}
        for one in receiver.of(path):
            told = json.loads(one.body)
            kinds.setdefault(told["data"]["check"]["name"], []).append(told["type"])
        assert all(each == ["check.down", "check.up"] for each in kinds.values())

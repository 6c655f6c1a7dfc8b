"""Alerts by mail over a real SMTP server: parts, headers, refusals, and a server that comes back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from alerts.delivery import DeliveryReport, deliver_due
from alerts.models import Attempt
from alerts.outbox import enqueue_deliveries
from clients.models import Client
from tests.alerts.rows import Hand, deliveries, down, make_check, make_client, make_mail, up
from tests.mailserver import MailServer

pytestmark = pytest.mark.django_db


@pytest.fixture
def server(settings: Any) -> Iterator[MailServer]:
    with MailServer() as running:
        for name, value in running.settings(timeout_s=0.5).items():
            setattr(settings, name, value)
        settings.DEFAULT_FROM_EMAIL = "Uptime <alerts@uptime.example>"
        yield running


@pytest.fixture
def client() -> Client:
    return make_client(time_zone="Europe/Berlin")


def test_down_and_recovery_arrive_as_one_conversation(server: MailServer, client: Client) -> None:
    clock = Hand()
    make_mail(client)
    event = down(make_check(client))
    up(event)
    enqueue_deliveries(now=clock())
    assert deliver_due(clock=clock) == DeliveryReport(sent=2)

    bad, good = server.mails
    assert bad["Subject"] == "Down: Checkout (HTTP 500)"
    assert good["Subject"] == "Up again: Checkout (was down 4 min 10 s)"
    assert bad["To"] == bad["X-Envelope-To"] == "ops@acme.test"
    assert bad["From"] == "Uptime <alerts@uptime.example>"
    assert bad["Message-ID"] == f"<{deliveries()[0].message_id}@uptime.example>"
    assert (
        bad["References"] == good["References"] == f"<incident-{event.incident_id}@uptime.example>"
    )
    assert bad["Auto-Submitted"] == "auto-generated"
    assert [part.get_content_type() for part in bad.iter_parts()] == ["text/plain", "text/html"]


def test_a_copy_has_the_same_message_id(server: MailServer, client: Client) -> None:
    clock = Hand()
    make_mail(client)
    down(make_check(client))
    enqueue_deliveries(now=clock())
    server.data = "451 Try again later"
    assert deliver_due(clock=clock) == DeliveryReport(again=1)
    server.data = ""
    clock.forward(10)
    assert deliver_due(clock=clock) == DeliveryReport(sent=1)
    assert server.mails[0]["Message-ID"].startswith(f"<{deliveries()[0].message_id}@")


@pytest.mark.parametrize(
    ("rcpt", "data", "report", "status"),
    [
        ("450 Greylisted", "", DeliveryReport(again=1), "450"),
        ("550 No such mailbox", "", DeliveryReport(dead=1), "550"),
        ("", "452 Disk full", DeliveryReport(again=1), "452"),
        ("", "554 Looks like spam", DeliveryReport(dead=1), "554"),
    ],
)
def test_four_hundreds_pass_and_five_hundreds_stay(
    server: MailServer, client: Client, rcpt: str, data: str, report: DeliveryReport, status: str
) -> None:
    clock = Hand()
    make_mail(client)
    server.rcpt, server.data = rcpt, data
    down(make_check(client))
    enqueue_deliveries(now=clock())
    assert deliver_due(clock=clock) == report
    attempt = Attempt.objects.for_client(client).get()
    assert attempt.status == status
    assert attempt.answer == (rcpt or data)


def test_every_mail_is_sent_once_when_the_server_comes_back(client: Client, settings: Any) -> None:
    clock = Hand()
    make_mail(client)
    for number in range(6):
        down(make_check(client, f"c{number}"))
    enqueue_deliveries(now=clock())
    server = MailServer()
    for name, value in server.settings().items():
        setattr(settings, name, value)
    assert deliver_due(clock=clock).again == 6  # refused: nobody listens
    assert {one.status for one in Attempt.objects.for_client(client)} == {"connection"}
    with server:
        server.stall_s, settings.EMAIL_TIMEOUT = 1.0, 0.2
        clock.forward(10)
        assert deliver_due(clock=clock).again == 6  # slower than we wait
        server.stall_s, settings.EMAIL_TIMEOUT = 0.0, 5.0
        clock.forward(timedelta(minutes=10).total_seconds())
        assert deliver_due(clock=clock).sent == 6
        assert deliver_due(clock=clock).idle
    assert len({mail["Message-ID"] for mail in server.mails}) == len(server.mails) == 6


def test_a_header_cannot_be_smuggled_through_a_name(server: MailServer, client: Client) -> None:
    clock = Hand()
    make_mail(client)
    down(make_check(client, "Shop\r\nBcc: everyone@example.com"))
    enqueue_deliveries(now=clock())
    deliver_due(clock=clock)
    (mail,) = server.mails
    assert mail["Subject"] == "Down: Shop Bcc: everyone@example.com (HTTP 500)"
    assert mail["Bcc"] is None

"""A real sender process killed with -9 after the receiver has read and before anything is recorded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from alerts.claims import LEASE
from alerts.delivery import DeliveryReport, deliver_due
from alerts.models import Attempt, Delivery
from alerts.outbox import enqueue_deliveries
from tests.alerts.rows import Hand, down, make_check, make_client, make_webhook
from tests.receiver import Answer, Receiver

SENDER = "import django; django.setup(); from alerts.delivery import deliver_due; deliver_due()"


def start_sender() -> subprocess.Popen[bytes]:
    """A process of its own on the test's database, with the product's settings."""
    name = connection.settings_dict["NAME"]
    parts = connection.settings_dict
    url = f"postgresql://{parts['USER']}@/{name}?host={parts['HOST']}&port={parts['PORT']}"
    if parts["PASSWORD"]:
        url = url.replace("@/", f":{parts['PASSWORD']}@/")
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "uptime.settings",
        "DATABASE_URL": url,
        "UPTIME_ALLOW_NETWORKS": ",".join(settings.ALLOW_NETWORKS),
    }
    return subprocess.Popen(
        [sys.executable, "-c", SENDER],
        cwd=settings.BASE_DIR,
        env=environment,
        start_new_session=True,
    )


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_killed_after_sending_leaves_one_extra_copy_with_the_same_id() -> None:
    clock = Hand()
    held = threading.Event()

    def hold(handler: Any) -> None:
        held.wait(20)
        Answer()(handler)

    with Receiver() as receiver:
        client = make_client()
        make_webhook(client, receiver.url())
        down(make_check(client))
        enqueue_deliveries(now=clock())
        receiver.answers(hold, Answer())

        sender = start_sender()
        try:
            receiver.wait_for(1, timeout_s=20)
            assert Delivery.objects.across_clients().get().state == "sending"
        finally:
            os.kill(sender.pid, signal.SIGKILL)
            sender.wait()
            held.set()

        assert deliver_due(clock=clock).idle  # still leased
        clock.forward(LEASE.total_seconds() + 30)
        assert deliver_due(clock=clock) == DeliveryReport(sent=1, lost=1)
        clock.forward(7 * 86_400)
        assert deliver_due(clock=clock).idle

        first, second = receiver.received
        assert first.headers["webhook-id"] == second.headers["webhook-id"]
        assert first.body == second.body
        assert [one.status for one in Attempt.objects.across_clients().order_by("number")] == [
            "lost",
            "200",
        ]

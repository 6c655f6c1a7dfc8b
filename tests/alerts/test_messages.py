"""What a message says: evidence, times with zones, and nothing that another party's text could break."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test.utils import CaptureQueriesContext

from alerts.messages import MAX_BODY, render, render_test
from alerts.story import tell
from checks.heartbeats.overdue import judge_overdue
from checks.models import Event
from clients.models import Client
from tests.alerts.rows import (
    START,
    down,
    make_check,
    make_client,
    make_mail,
    make_webhook,
    slow,
    up,
)
from tests.checks.heartbeats.beats import MINUTE, NOON, call, hearing, heartbeat

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    return make_client(time_zone="Europe/Berlin")


def document(event: Event, kind: str) -> dict[str, Any]:
    return render(tell(event), kind).document


def test_a_mail_about_a_heartbeat_speaks_of_its_job(client: Client) -> None:
    failed, silent = heartbeat(client), heartbeat(client)
    for check in (failed, silent):
        call(check, at=NOON)
    call(failed, "fail", at=NOON + MINUTE, exit_status=3, body="x" * 9_000 + "\nno space left\n")
    hearing(NOON, NOON + 90 * MINUTE)
    judge_overdue(now=NOON + 65 * MINUTE)
    for check, because, message in (
        (failed, "its job reported a failure", "The job reported a failure (exit status 3)."),
        (silent, "its job did not call", "No call since "),
    ):
        event = Event.objects.for_client(client).select_related("incident").get(subject=check)
        text = document(event, "email")["text"]
        assert text.startswith(f"Backup is down: {because}\nExpected every hour\n\n{message}")
        assert "\nLast success: " in text
        assert "confirmed" not in text.lower()
        assert ("What the job said\nxxx" in text and "xxx\nno space left\n" in text) is (
            check is failed
        )
        assert len(text) < 1_500


def test_a_mail_says_what_failed_since_when_and_how_it_was_confirmed(client: Client) -> None:
    check = make_check(client)
    mail = document(down(check), "email")
    assert mail["text"] == (
        "Checkout is down: HTTP 500\n"
        "https://shop.example.com/pay\n"
        "\n"
        "HTTP 500 where 200-299 was expected\n"
        "\n"
        "Failing since: 23 Nov 2026, 05:30:00 CET (04:30:00 UTC)\n"
        "Confirmed: 23 Nov 2026, 05:30:20 CET (04:30:20 UTC)\n"
        "Last good answer: 23 Nov 2026, 05:29:00 CET (04:29:00 UTC)\n"
        "Expected (status): 200-299\n"
        "Got: 500\n"
        "\n"
        "How it was confirmed\n"
        "- 23 Nov 2026, 05:30:00 CET (04:30:00 UTC), eu-1: HTTP 500 where 200-299 was expected\n"
        "- 23 Nov 2026, 05:30:10 CET (04:30:10 UTC), eu-1: HTTP 500 where 200-299 was expected\n"
        "- 23 Nov 2026, 05:30:20 CET (04:30:20 UTC), eu-1: HTTP 500 where 200-299 was expected\n"
        "\n"
        "Start of the answer\n"
        "<h1>It broke</h1>\n"
        "\n"
        f"Details: http://uptime.test/checks/{check.pk}/\n"
        "\n"
        "--\n"
        "You get this because your address is a channel of Acme. http://uptime.test/\n"
    )
    for fact in ("05:30:00 CET", "04:29:00 UTC", "eu-1", f"/checks/{check.pk}/", "Expected"):
        assert fact in mail["html"]
    assert "&lt;h1&gt;It broke&lt;/h1&gt;" in mail["html"]


def test_the_html_part_has_inline_styles_and_a_dark_mode(client: Client) -> None:
    html = document(down(make_check(client)), "email")["html"]
    assert 'class="bar bar-down" style="' in html
    assert "background: #b91c1c" in html
    assert "@media (prefers-color-scheme: dark)" in html
    assert "http://uptime.test" in html
    assert "src=" not in html  # nothing is loaded, nothing tracks


def test_a_recovery_says_how_long(client: Client) -> None:
    event = up(down(make_check(client)))
    mail = document(event, "email")
    assert mail["subject"] == "Up again: Checkout (was down 4 min 10 s)"
    assert "The outage lasted 4 min 10 s." in mail["text"]
    assert "Down since: 23 Nov 2026, 05:30:00 CET (04:30:00 UTC)" in mail["text"]
    assert "Up since: 23 Nov 2026, 05:34:10 CET (04:34:10 UTC)" in mail["text"]
    assert "It began with: HTTP 500" in mail["text"]
    body = json.loads(document(event, "webhook")["body"])
    assert body["type"] == "check.up"
    assert body["data"]["incident"]["duration_s"] == 250


def test_a_webhook_body_has_the_whole_story(client: Client) -> None:
    check = make_check(client)
    event = down(check)
    incident_id = event.incident_id
    assert json.loads(document(event, "webhook")["body"]) == {
        "type": "check.down",
        "timestamp": "2026-11-23T04:30:20Z",
        "data": {
            "event_id": event.pk,
            "summary": "Checkout is down: HTTP 500",
            "check": {"id": check.pk, "name": "Checkout", "url": "https://shop.example.com/pay"},
            "incident": {
                "id": incident_id,
                "started_at": "2026-11-23T04:30:00Z",
                "opened_at": "2026-11-23T04:30:20Z",
                "ended_at": None,
                "last_good_at": "2026-11-23T04:29:00Z",
                "duration_s": None,
            },
            "reason": "status",
            "message": "HTTP 500 where 200-299 was expected",
            "http_status": 500,
            "since": "2026-11-23T04:30:00Z",
            "confirmed_by": [
                {
                    "at": f"2026-11-23T04:30:{second}Z",
                    "region": "eu-1",
                    "message": "HTTP 500 where 200-299 was expected",
                }
                for second in ("00", "10", "20")
            ],
            "confirmations": 3,
            "failed_assertions": [{"kind": "status", "expected": "200-299", "got": "500"}],
            "links": {"check": f"http://uptime.test/checks/{check.pk}/"},
        },
    }


def test_a_webhook_body_stays_below_its_limit(client: Client) -> None:
    check = make_check(client)
    event = down(
        check,
        message="☃" * 500,
        document={"confirmed_by": [[1_795_408_200 + 10 * n, "eu-1", "☃" * 500] for n in range(20)]},
    )
    body = document(event, "webhook")["body"]
    assert 1_000 < len(body.encode()) <= MAX_BODY
    told = json.loads(body)["data"]
    assert 0 < len(told["confirmed_by"]) < told["confirmations"] == 20


def test_slow_and_certificate_have_their_own_words(client: Client) -> None:
    check = make_check(client)
    late = slow(check)
    assert document(late, "email")["subject"] == "Slow: Checkout"
    late.payload["reason"] = "cert_expiry"
    assert document(late, "email")["subject"] == "Certificate ends soon: Checkout"
    ended = down(check, message="TLS certificate expired 2 days ago.")
    ended.payload["reason"] = "cert_expiry"
    assert "certificate expired" in document(ended, "email")["subject"]
    over = slow(check, Event.Kind.RECOVERED)
    assert document(over, "email")["subject"] == "Normal again: Checkout"


def test_other_peoples_text_stays_text(client: Client) -> None:
    check = make_check(client, "<img src=x>{{ 7|add:7 }}\u202e\r\n")
    event = down(check, message="<script>alert(1)</script>\x1b[31m")
    mail = document(event, "email")
    assert "<script" not in mail["html"]
    assert "<img" not in mail["html"]
    assert "\x1b" not in mail["text"]
    assert "\n" not in mail["subject"]
    assert "{{ 7|add:7 }}" in mail["subject"]


def test_a_test_message_says_that_nothing_is_wrong(client: Client) -> None:
    mail = render_test(make_mail(client), client_name=client.name, at=START)
    assert mail.document["subject"] == "Test: Ops works"
    assert "Nothing is wrong" in mail.document["text"]
    hook = make_webhook(client, "http://127.0.0.1:9999/")
    body = json.loads(render_test(hook, client_name=client.name, at=START).document["body"])
    assert body["type"] == "test"


def test_rendering_reads_nothing(client: Client) -> None:
    from django.db import connection

    down(make_check(client))
    event = Event.objects.for_client(client).select_related("subject", "incident", "client").get()
    with CaptureQueriesContext(connection) as captured:
        document(event, "email")
        document(event, "webhook")
    assert len(captured) == 0

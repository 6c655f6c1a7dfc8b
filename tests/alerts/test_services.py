"""What people do with channels: what is accepted, what is refused in words, what is logged and what never is."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from standardwebhooks import Webhook

from alerts import services
from alerts.delivery import deliver_due
from alerts.models import Attempt, Channel, Delivery
from alerts.outbox import enqueue_deliveries
from alerts.services import create_channel, rotate_secret, send_test, update_channel
from clients.models import AuditEvent, Client
from clients.rate import RateLimited
from tests.alerts.rows import (
    START,
    Hand,
    deliveries,
    down,
    make_check,
    make_client,
    make_mail,
    make_webhook,
)
from tests.mailserver import MailServer
from tests.receiver import Answer, Receiver

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    return make_client()


def refusal(client: Client, **values: Any) -> dict[str, list[str]]:
    given: dict[str, Any] = {
        "kind": "webhook",
        "name": "Hook",
        "target": "https://example.com/hook",
    }
    with pytest.raises(ValidationError) as caught:
        create_channel(client=client, actor=None, now=START, **(given | values))
    assert not Channel.objects.across_clients().exists()
    return caught.value.message_dict


def test_a_webhook_gets_a_secret_of_its_own(client: Client) -> None:
    hook, other = (
        make_webhook(client, "https://example.com/a"),
        make_webhook(client, "https://example.com/b"),
    )
    assert hook.enabled
    assert hook.hears == ["down", "up"]
    assert hook.secret.startswith("whsec_")
    assert len(base64.b64decode(hook.secret.removeprefix("whsec_"), validate=True)) == 32
    assert hook.secret != other.secret
    assert make_mail(client).secret == ""


def test_secrets_are_encrypted_at_rest_and_absent_from_the_log(client: Client) -> None:
    hook = make_webhook(client, "https://example.com/hook/planted-token?key=planted-token")
    rotate_secret(hook, actor=None, now=START)
    update_channel(
        hook, actor=None, changes={"target": "https://example.org/planted-token"}, now=START
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "select c::text from alerts_channel c union select a::text from clients_auditevent a"
        )
        dump = "\n".join(row[0] for row in cursor.fetchall())
    assert "planted-token" not in dump
    assert hook.secret not in dump
    assert hook.previous_secret not in dump
    logged = AuditEvent.objects.for_client(client).get(action="channel.changed")
    assert logged.detail["target"] == ["https://example.com/…", "https://example.org/…"]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("", "must not be empty"),
        ("ftp://example.com/", "must begin with http"),
        ("http://10.0.0.1/", "not a public address"),
        ("http://169.254.169.254/latest/", "not a public address"),
        ("http://[::ffff:10.0.0.1]/", "not a public address"),
        ("http://2130706433/", "four decimal numbers"),
        ("http://metadata.google.internal/", "metadata"),
        ("http://user:pass@example.com/", "user name or password"),
        ("http://example.com:22/", "Port 22"),
        ("http://example.com/\r\nX-Evil: 1", "line break"),
        ("http://example.com/" + "a" * 2_048, "longer than"),
        (None, "must be a text"),
        (7, "must be a text"),
        (["http://example.com/"], "must be a text"),
    ],
)
def test_a_webhook_target_that_is_refused(
    client: Client, settings: Any, target: Any, words: str
) -> None:
    settings.ALLOW_NETWORKS = ()
    errors = refusal(client, target=target)
    assert list(errors) == ["target"]
    assert words in errors["target"][0]


def test_a_refused_address_is_logged_with_tenant_and_rule(
    client: Client, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.ALLOW_NETWORKS = ()
    refusal(client, target="http://169.254.169.254/")
    refusal(client, target="")
    hook = make_webhook(client, "https://example.com/hook")
    with pytest.raises(ValidationError):
        update_channel(hook, actor=None, changes={"target": "http://10.0.0.1/"}, now=START)
    assert [record.getMessage() for record in caplog.records] == [
        f"refused channel url client={client.pk} rule=metadata",
        f"refused channel url client={client.pk} rule=private",
    ]


def test_a_test_does_not_reach_an_address_that_turned_private(
    client: Client, settings: Any
) -> None:
    with Receiver() as receiver:
        hook = make_webhook(client, receiver.url())
        settings.ALLOW_NETWORKS = ()
        attempt = send_test(hook, actor=None, now=START)
        assert (attempt.ok, attempt.status) == (False, "blocked")
        assert receiver.received == []


@pytest.mark.parametrize(
    "target",
    [
        "",
        "nobody",
        "a@b@c.example",
        "a@exa mple.com",
        "a@b.example\r\nBcc: c@d.example",
        "a" * 250 + "@b.example",
        None,
        3,
    ],
)
def test_an_address_that_is_refused(client: Client, target: Any) -> None:
    assert list(refusal(client, kind="email", target=target)) == ["target"]


@pytest.mark.parametrize(
    "values",
    [
        {"name": ""},
        {"name": "a\r\nb"},
        {"name": "x" * 101},
        {"name": None},
        {"kind": "pigeon"},
        {"kind": None},
        {"kind": ["email"]},
        {"hears": []},
        {"hears": ["down", "sideways"]},
        {"hears": "down"},
        {"hears": [["down"]]},
        {"hears": {"down": True}},
        {"hears": 7},
    ],
)
def test_a_refusal_names_its_field(client: Client, values: dict[str, Any]) -> None:
    assert list(refusal(client, **values)) == list(values)


def test_all_fields_are_judged_at_once(client: Client) -> None:
    assert set(refusal(client, kind="email", name="", target="x", hears=[])) == {
        "name",
        "target",
        "hears",
    }


def test_a_client_has_a_limit_of_channels(client: Client) -> None:
    for number in range(services.CHANNEL_LIMIT):
        make_webhook(client, f"https://example.com/{number}")
    with pytest.raises(ValidationError, match="50 channels"):
        make_mail(client)
    make_mail(make_client("other"))


def test_only_what_may_change_changes(client: Client) -> None:
    hook = make_webhook(client, "https://example.com/")
    with pytest.raises(ValidationError) as caught:
        update_channel(
            hook, actor=None, changes={"client": 2, "secret": "x", "kind": "email"}, now=START
        )
    assert set(caught.value.message_dict) == {"client", "secret", "kind"}
    update_channel(
        hook, actor=None, changes={"name": "New", "hears": ["up", "down", "up"]}, now=START
    )
    hook.refresh_from_db()
    assert (hook.name, hook.hears) == ("New", ["down", "up"])
    update_channel(hook, actor=None, changes={"name": "New"}, now=START)
    assert AuditEvent.objects.for_client(client).filter(action="channel.changed").count() == 1


def test_an_overlong_or_private_target_is_refused_on_change_too(
    client: Client, settings: Any
) -> None:
    hook = make_webhook(client, "https://example.com/")
    settings.ALLOW_NETWORKS = ()
    with pytest.raises(ValidationError, match="not a public address"):
        update_channel(hook, actor=None, changes={"target": "http://127.0.0.1/"}, now=START)


def test_after_a_rotation_both_secrets_verify_for_a_day(client: Client) -> None:
    clock = Hand()
    with Receiver() as receiver:
        hook = make_webhook(client, receiver.url())
        old = hook.secret
        new = rotate_secret(hook, actor=None, now=clock())
        assert new != old
        for name in ("first", "second"):
            down(make_check(client, name))
            enqueue_deliveries(now=clock())
            # The receiver's library looks at the real time, so the overlap's end is moved instead of the clock.
            deliver_due(clock=clock)
            Channel.objects.for_client(client).update(
                previous_secret_until=clock() - timedelta(seconds=1)
            )
        first, second = receiver.received
    Webhook(old).verify(first.body, first.headers)
    Webhook(new).verify(first.body, first.headers)
    Webhook(new).verify(second.body, second.headers)
    assert len(second.headers["webhook-signature"].split(" ")) == 1
    with pytest.raises(ValidationError, match="Only webhooks"):
        rotate_secret(make_mail(client), actor=None, now=START)


def test_a_test_shows_the_raw_answer_and_is_tried_once(client: Client) -> None:
    clock = Hand()
    with Receiver() as receiver:
        hook = make_webhook(client, receiver.url())
        receiver.answers(Answer(503, b"not today"), Answer(202, b"welcome"))
        services.disable_channel(hook, actor=None, now=clock())  # to try before switching on
        failed = send_test(hook, actor=None, now=clock(), clock=clock)
        worked = send_test(hook, actor=None, now=clock(), clock=clock)
        assert (failed.ok, failed.status, failed.answer) == (False, "503", "not today")
        assert (worked.ok, worked.status, worked.answer) == (True, "202", "welcome")
        clock.forward(86_400)
        assert deliver_due(clock=clock).idle
        assert (
            Webhook(hook.secret).verify(receiver.received[1].body, receiver.received[1].headers)[
                "type"
            ]
            == "test"
        )
    assert [(one.kind, one.state, one.subject_id) for one in deliveries()] == [
        ("test", "dead", None),
        ("test", "sent", None),
    ]
    assert Attempt.objects.for_client(client).count() == 2
    hook.refresh_from_db()
    assert (hook.enabled, hook.failures_in_a_row) == (False, 0)


def test_a_test_whose_sender_died_is_not_sent_again(client: Client) -> None:
    clock = Hand()
    hook = make_webhook(client, "http://127.0.0.1:19999/")
    Delivery.objects.create(
        client=client,
        channel=hook,
        kind="test",
        summary="Test",
        message={"body": "{}"},
        state="sending",
        lease_until=clock(),
        occurred_at=clock(),
    )
    assert deliver_due(clock=clock).dead == 1
    assert deliveries()[0].state == "dead"


def test_tests_are_limited(client: Client) -> None:
    hook = make_webhook(client, "http://127.0.0.1:19999/")
    for _ in range(services.TESTS_A_MINUTE):
        assert not send_test(hook, actor=None, now=START).ok
    with pytest.raises(RateLimited, match="5 tests a minute"):
        send_test(hook, actor=None, now=START)
    assert not send_test(hook, actor=None, now=START + timedelta(minutes=1)).ok


def test_a_test_mail_arrives(client: Client, settings: Any) -> None:
    with MailServer() as server:
        for name, value in server.settings().items():
            setattr(settings, name, value)
        assert send_test(make_mail(client), actor=None, now=START).ok
    assert server.mails[0]["Subject"] == "Test: Ops works"


def test_a_deleted_channel_keeps_its_history_and_loses_its_secrets(client: Client) -> None:
    hook = make_webhook(client, "https://example.com/")
    down(make_check(client))
    enqueue_deliveries(now=START)
    services.delete_channel(hook, actor=None, now=START)
    hook.refresh_from_db()
    assert (hook.target, hook.secret, hook.deleted_at) == ("", "", START)
    assert deliveries()[0].channel == hook
    with pytest.raises(ValidationError, match="deleted"):
        send_test(hook, actor=None, now=START)


def test_who_did_what_is_logged(client: Client, django_user_model: Any) -> None:
    actor = django_user_model.objects.create_user("owner@acme.test", "a long password")
    hook = create_channel(
        client=client,
        actor=actor,
        kind="webhook",
        name="Hook",
        target="https://example.com/x",
        now=START,
    )
    services.disable_channel(hook, actor=actor, now=START)
    services.enable_channel(hook, actor=actor, now=START)
    services.rotate_secret(hook, actor=actor, now=START)
    services.delete_channel(hook, actor=actor, now=START)
    rows = AuditEvent.objects.for_client(client).order_by("id")
    assert [row.action.removeprefix("channel.") for row in rows] == [
        "created",
        "disabled",
        "enabled",
        "secret_rotated",
        "deleted",
    ]
    assert {row.actor_label for row in rows} == {"owner@acme.test"}

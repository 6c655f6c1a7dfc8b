"""Pages that change channels and send again: forms, roles, methods and strangers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client as Browser
from django.utils import timezone

from alerts.models import Channel, Delivery
from tests.conftest import Personas
from tests.receiver import Answer, Receiver

Browse = Callable[[Any], Browser]
pytestmark = pytest.mark.django_db(transaction=True)

EMAIL = {"kind": "email", "name": "On call", "target": "on@call.test", "hears": ["down", "up"]}


def only_channel(personas: Personas) -> Channel:
    return Channel.objects.for_client(personas.client).get()


def make_channel(personas: Personas, **fields: Any) -> Channel:
    values: dict[str, Any] = {"kind": "email", "name": "Mail", "target": "on@call.test"}
    values |= fields
    channel = Channel(client=personas.client)
    for name, value in values.items():
        setattr(channel, name, value)
    channel.save()
    return channel


def test_a_channel_is_made_and_listed(personas: Personas, browse: Browse) -> None:
    editor = browse(personas.editor)
    assert b"Save and send a test" in editor.get("/channels/new/").content
    assert editor.post("/channels/new/", EMAIL | {"do": "save"})["Location"] == "/channels/"
    assert only_channel(personas).hears == ["down", "up"]
    page = editor.get("/channels/").content.decode()
    assert "On call" in page
    assert "Send a test to be sure." in page


def test_errors_stand_at_their_field(personas: Personas, browse: Browse) -> None:
    refused = browse(personas.editor).post("/channels/new/", EMAIL | {"target": "nonsense"})
    assert refused.status_code == 422
    assert b'id="id_target_error"' in refused.content
    assert b'value="On call"' in refused.content
    nothing = browse(personas.editor).post("/channels/new/", {})
    assert nothing.status_code == 422


def test_a_webhook_is_tried_out_when_it_is_saved(personas: Personas, browse: Browse) -> None:
    editor = browse(personas.editor)
    with Receiver() as receiver:
        receiver.answers(Answer(status=200, body=b"thanks"), Answer(status=500, body=b"<b>no</b>"))
        given = EMAIL | {"kind": "webhook", "target": receiver.url(), "name": "Bot", "do": "test"}
        assert editor.post("/channels/new/", given).status_code == 302
        assert "Bot took the test message. 200" in editor.get("/channels/").content.decode()
        assert "webhook-signature" in receiver.received[0].headers
        channel = only_channel(personas)
        editor.post(f"/channels/{channel.pk}/test/")
        page = editor.get("/channels/").content.decode()
        assert "Bot did not take the test message." in page
        assert "<b>no</b>" not in page


def test_edit_switch_rotate_and_delete(personas: Personas, browse: Browse) -> None:
    channel = make_channel(personas, kind="webhook", target="http://127.0.0.1/x", secret="whsec_a")
    editor = browse(personas.editor)
    path = f"/channels/{channel.pk}/"
    assert b"whsec_a" in editor.get(f"{path}edit/").content
    changed = {"name": "Renamed", "target": "http://127.0.0.1/y", "hears": ["down"]}
    assert editor.post(f"{path}edit/", changed)["Location"] == "/channels/"
    assert only_channel(personas).name == "Renamed"
    assert editor.post(f"{path}edit/", changed | {"hears": []}).status_code == 422
    editor.post(f"{path}rotate/")
    assert only_channel(personas).previous_secret == "whsec_a"
    editor.post(f"{path}switch/", {"on": "0"})
    assert only_channel(personas).enabled is False
    editor.post(f"{path}switch/", {"on": "1"})
    assert only_channel(personas).enabled is True
    assert b"Keep it" in editor.get(f"{path}delete/").content
    editor.post(f"{path}delete/")
    assert only_channel(personas).deleted_at is not None
    assert editor.get(f"{path}edit/").status_code == 404


def test_a_failed_message_is_sent_again(personas: Personas, browse: Browse) -> None:
    delivery = Delivery.objects.create(
        client=personas.client,
        channel=make_channel(personas),
        kind="down",
        summary="Shop is down",
        message={"subject": "Shop is down", "text": "Shop is down", "html": "", "thread": "x"},
        state="dead",
        occurred_at=timezone.now(),
    )
    editor = browse(personas.editor)
    path = f"/alerts/{delivery.pk}/"
    assert editor.post(f"{path}resend/")["Location"] == path
    assert Delivery.objects.for_client(personas.client).get().state == "queued"
    editor.post(f"{path}resend/")
    assert b"still on its way" in editor.get(path).content


def test_wrong_methods_viewers_and_strangers(personas: Personas, browse: Browse) -> None:
    channel = make_channel(personas)
    delivery = Delivery.objects.create(
        client=personas.client,
        channel=channel,
        kind="down",
        summary="x",
        message={},
        state="dead",
        occurred_at=timezone.now(),
    )
    verbs = ("edit", "delete", "switch", "rotate", "test")
    paths = [f"/channels/{channel.pk}/{verb}/" for verb in verbs]
    for path in [*paths, f"/alerts/{delivery.pk}/resend/"]:
        assert browse(personas.viewer).post(path).status_code == 403
        assert browse(personas.stranger).post(path).status_code == 404
        assert browse(None).post(path)["Location"].startswith("/accounts/login/")
        assert browse(personas.editor).put(path).status_code == 405
    assert browse(personas.viewer).get("/channels/new/").status_code == 403
    assert browse(personas.viewer).get("/channels/").status_code == 200
    assert only_channel(personas).deleted_at is None

"""The REST API of channels and deliveries: secrets shown once, targets masked, tests and resends by HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from alerts.models import Channel, Delivery
from tests.checks.test_api import Api, faults, problem
from tests.conftest import Personas
from tests.receiver import Receiver

URL = "/api/v1/channels/"


@pytest.fixture
def api(personas: Personas) -> Api:
    return Api(personas.client, ["read", "write"])


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


def delivery_of(channel: Channel, *, state: str = "dead") -> Delivery:
    return Delivery.objects.create(
        client=channel.client,
        channel=channel,
        kind="down",
        summary="API is down",
        message={"body": "{}"},
        state=state,
        occurred_at=channel.created_at,
    )


def test_a_channel_from_birth_to_its_end(personas: Personas, api: Api) -> None:
    made = api(
        "POST", URL, {"kind": "webhook", "name": "Hook", "target": "https://hooks.example/T0k3n"}
    )
    assert made.status_code == 201, made.content
    body = made.json()
    assert body["secret"].startswith("whsec_")
    assert (body["target"], body["hears"]) == ("https://hooks.example/…", ["down", "up"])
    one = f"{URL}{body['id']}/"
    assert "secret" not in api("GET", one).json()
    assert b"T0k3n" not in api("GET", URL).content

    changed = api("PATCH", one, {"name": "Hook 2", "enabled": False}).json()
    assert (changed["name"], changed["enabled"]) == ("Hook 2", False)
    assert api("PATCH", one, {"enabled": True}).json()["enabled"] is True
    assert api("DELETE", one).status_code == 204
    problem(api("GET", one), 404)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "email", "name": "a", "target": "nobody"}, "target"),
        ({"kind": "webhook", "name": "a", "target": "http://169.254.169.254/"}, "target"),
        ({"kind": "pigeon", "name": "a", "target": "x"}, "kind"),
        ({"kind": "email", "name": "", "target": "a@example.com"}, "name"),
        ({"kind": "email", "name": "a", "target": "a@example.com", "hears": ["x"]}, "hears"),
        ({"kind": "email", "name": "a", "target": "a@example.com", "hears": 1}, "hears"),
        ({"kind": "email", "name": "a", "target": "a@example.com", "enabled": 1}, "enabled"),
        ({"kind": "email", "name": "a", "target": "a@example.com", "secret": "x"}, "secret"),
        ({"kind": {}, "name": [], "target": 5}, "kind"),
        ({}, "kind"),
    ],
)
def test_bad_input_names_the_field(api: Api, body: dict[str, Any], field: str) -> None:
    assert field in [name for name, _ in faults(api("POST", URL, body))]


def test_a_test_message_answers_with_what_the_other_side_said(api: Api, receiver: Receiver) -> None:
    body = {"kind": "webhook", "name": "Hook", "target": receiver.url()}
    one = f"{URL}{api('POST', URL, body).json()['id']}"
    attempt = api("POST", f"{one}/test/").json()
    assert (attempt["ok"], attempt["number"]) == (True, 1)
    for _ in range(4):
        api("POST", f"{one}/test/")
    refused = api("POST", f"{one}/test/")
    problem(refused, 429)
    assert int(refused["Retry-After"]) <= 60


def test_deliveries_are_listed_with_attempts_and_sent_again(personas: Personas, api: Api) -> None:
    channel = Channel.objects.create(
        client=personas.client, kind="email", name="Mail", target="ops@acme.test"
    )
    dead, sent = delivery_of(channel), delivery_of(channel, state="sent")
    rows = api("GET", "/api/v1/deliveries/").json()["results"]
    assert [row["id"] for row in rows] == [sent.pk, dead.pk]
    assert rows[0]["attempts"] == []
    assert "message" not in rows[0]
    rows = api("GET", f"/api/v1/deliveries/?state=dead&channel_id={channel.pk}").json()["results"]
    assert [row["id"] for row in rows] == [dead.pk]
    again = api("POST", f"/api/v1/deliveries/{dead.pk}/resend/")
    assert again.json()["state"] == "queued"
    assert api("POST", f"/api/v1/deliveries/{dead.pk}/resend/").status_code == 400

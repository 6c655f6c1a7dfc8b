"""The pages of API keys: who sees and does what, and that a key is shown once and works."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client as Browser
from django.utils import timezone

from clients.apikeys import create_key, revoke_key
from clients.models import ApiKey, Membership, Role
from tests.conftest import Personas

Browse = Callable[[Any], Browser]
LIST, NEW = "/keys/", "/keys/new/"


def key_of(personas: Personas, name: str = "ci", **fields: Any) -> ApiKey:
    given = {"actor": personas.owner, "now": timezone.now(), "scopes": ["read"], **fields}
    return create_key(client=personas.client, name=name, **given).key


def form(**fields: str) -> dict[str, str]:
    return {"name": "Deploy", "scope": "read", "expires_on": "", **fields}


@pytest.mark.parametrize(("scope", "status"), [("read", 403), ("write", 201)])
def test_a_key_is_shown_once_and_may_what_was_chosen(
    personas: Personas, browse: Browse, scope: str, status: int
) -> None:
    owner = browse(personas.owner)
    page = owner.post(NEW, form(scope=scope))
    assert page.status_code == 201
    assert "no-store" in page["Cache-Control"]
    plain = re.findall(r"upk_[\w-]{43}", page.content.decode())
    assert len(set(plain)) == 1
    assert f"Bearer {plain[0]}" in page.content.decode().replace("&quot;", '"')
    listed = owner.get(LIST).content.decode()
    assert "Deploy" in listed
    assert plain[0] not in listed
    assert plain[0][:12] in listed
    program = Browser(headers={"Authorization": f"Bearer {plain[0]}"})
    assert program.get("/api/v1/checks/").status_code == 200
    body = {"url": "https://example.com/"}
    made = program.post("/api/v1/checks/", body, content_type="application/json")
    assert made.status_code == status


def test_the_form_sent_again_makes_no_second_key(personas: Personas, browse: Browse) -> None:
    owner = browse(personas.owner)
    owner.post(NEW, form())
    again = owner.post(NEW, form())
    assert again.status_code == 422
    assert b"A key of this name is there already" in again.content
    assert ApiKey.objects.for_client(personas.client).count() == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": ""}, "This field is required"),
        ({"name": "a\x07b"}, "control character"),
        ({"scope": "admin"}, "Select a valid choice"),
        ({"expires_on": "2020-01-01"}, "This day is over"),
        ({"expires_on": "9999-12-31"}, "Ten years"),
        ({"expires_on": "tomorrow"}, "Enter a valid date"),
    ],
)
def test_wrong_values_are_said_at_their_field(
    personas: Personas, browse: Browse, fields: dict[str, str], said: str
) -> None:
    page = browse(personas.owner).post(NEW, form(**fields))
    assert page.status_code == 422
    assert said in page.content.decode()
    assert not ApiKey.objects.for_client(personas.client).exists()


def test_a_last_day_ends_at_its_midnight(personas: Personas, browse: Browse) -> None:
    today = timezone.now().date()
    assert browse(personas.owner).post(NEW, form(expires_on=f"{today}")).status_code == 201
    key = ApiKey.objects.for_client(personas.client).get()
    assert key.expires_at is not None
    assert key.expires_at.date() == today + timedelta(days=1)


def test_revoking_asks_first_and_ends_the_key(personas: Personas, browse: Browse) -> None:
    owner, key = browse(personas.owner), key_of(personas)
    path = f"{LIST}{key.pk}/revoke/"
    assert b"Revoke ci?" in owner.get(path).content
    assert ApiKey.objects.for_client(personas.client).filter(revoked_at=None).exists()
    assert owner.post(path)["Location"] == LIST
    assert not ApiKey.objects.for_client(personas.client).filter(revoked_at=None).exists()
    page = owner.get(LIST).content.decode()
    assert "Revoked" in page
    assert "ci is revoked" in page
    assert path not in page
    assert owner.post(path).status_code == 404


def test_members_see_the_list_and_managers_act(personas: Personas, browse: Browse) -> None:
    key = key_of(personas)
    path = f"{LIST}{key.pk}/revoke/"
    for user in (personas.viewer, personas.editor):
        browser = browse(user)
        page = browser.get(LIST)
        assert (page.status_code, path.encode() in page.content) == (200, False)
        assert NEW.encode() not in page.content
        for method, url in (("get", NEW), ("post", NEW), ("get", path), ("post", path)):
            assert getattr(browser, method)(url, form()).status_code == 403
    Membership.objects.for_client(personas.client).filter(user=personas.editor).update(
        role=Role.ADMIN
    )
    assert browse(personas.editor).post(path).status_code == 302


def test_strangers_and_the_anonymous_get_nothing(personas: Personas, browse: Browse) -> None:
    key = key_of(personas, name="secret-name")
    stranger = browse(personas.stranger)
    assert b"secret-name" not in stranger.get(LIST).content
    assert stranger.post(f"{LIST}{key.pk}/revoke/").status_code == 404
    key.refresh_from_db(from_queryset=ApiKey.objects.for_client(personas.client))
    assert key.revoked_at is None
    assert "/accounts/login/" in Browser().get(LIST)["Location"]


def test_the_list_tells_live_expired_and_revoked_apart(personas: Personas, browse: Browse) -> None:
    now = timezone.now()
    key_of(personas, "old", now=now - timedelta(days=2), expires_at=now - timedelta(days=1))
    revoke_key(key_of(personas, "gone"), actor=None, now=now)
    key_of(personas, "live", actor=None, scopes=["read", "write"])
    page = browse(personas.viewer).get(LIST).content.decode()
    for word in ("Expired", "Revoked", "In use", "the service", "read and write", "API docs"):
        assert word in page
    assert page.index(">live<") < page.index(">gone<")

"""API keys: shown once, stored as a digest, scoped, expiring, revocable."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client as Browser
from django.utils import timezone

from clients.apikeys import create_key, find_key, note_use, revoke_key
from clients.models import ApiKey, AuditEvent
from tests.conftest import Personas

URL = "/api/v1/me"


def test_a_key_is_shown_once_and_known_by_its_digest(personas: Personas) -> None:
    now = timezone.now()
    made = create_key(
        client=personas.client, actor=personas.owner, now=now, name=" ci ", scopes=["read"]
    )
    assert made.plain.startswith("upk_")
    assert len(made.plain) == 4 + 43  # 32 bytes in URL-safe base64
    assert made.key.prefix == made.plain[:12]
    row = ApiKey.objects.for_client(personas.client).values().get()
    assert made.plain not in str(row)
    assert (row["name"], row["created_by_id"]) == ("ci", personas.owner.pk)
    found = find_key(made.plain, now=now)
    assert found == made.key
    line = AuditEvent.objects.for_client(personas.client).get()
    assert line.action == "api_key.created"
    assert made.plain not in str(line.detail)


def test_expired_revoked_and_unknown_keys_open_nothing(personas: Personas) -> None:
    now = timezone.now()
    soon = now + timedelta(minutes=1)
    made = create_key(
        client=personas.client, actor=None, now=now, name="a", scopes=["read"], expires_at=soon
    )
    assert find_key(made.plain, now=now) is not None
    assert find_key(made.plain, now=soon) is None
    for text in ("", "upk_", "upk_" + "x" * 43, "x" * 5000, made.plain[:-1], made.plain.upper()):
        assert find_key(text, now=now) is None
    revoke_key(made.key, actor=personas.owner, now=now)
    revoke_key(made.key, actor=personas.owner, now=soon)
    assert made.key.revoked_at == now
    assert find_key(made.plain, now=now) is None
    actions = AuditEvent.objects.for_client(personas.client).values_list("action", flat=True)
    assert sorted(actions) == ["api_key.created", "api_key.revoked"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", ""), ("name", "a\nb"), ("scopes", []), ("scopes", ["admin"]), ("expires_at", "past")],
)
def test_wrong_values_are_named(personas: Personas, field: str, value: object) -> None:
    now = timezone.now()
    given: dict[str, Any] = {"name": "a", "scopes": ["read"], "expires_at": None}
    given[field] = now - timedelta(seconds=1) if value == "past" else value
    with pytest.raises(ValidationError) as error:
        create_key(client=personas.client, actor=None, now=now, **given)
    assert list(error.value.error_dict) == [field]


def test_use_is_noted_once_a_minute(personas: Personas) -> None:
    now = timezone.now()
    key = create_key(client=personas.client, actor=None, now=now, name="a", scopes=["read"]).key
    for seconds, noted in ((0, 0), (30, 0), (60, 60)):
        key.refresh_from_db(from_queryset=ApiKey.objects.for_client(personas.client))
        note_use(key, now=now + timedelta(seconds=seconds))
        key.refresh_from_db(from_queryset=ApiKey.objects.for_client(personas.client))
        assert key.last_used_at == now + timedelta(seconds=noted)


@pytest.mark.parametrize("header", ["Bearer upk_ÿ", "Bearer ", "bearer upk_x y", "Bearer \x80"])
def test_broken_headers_are_refused(db: None, header: str) -> None:
    answer = Browser(headers={"Authorization": header}).get(URL)
    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json"


def test_me_says_who_asks_and_for_which_client(personas: Personas) -> None:
    made = create_key(
        client=personas.client, actor=None, now=timezone.now(), name="a", scopes=["read"]
    )
    body = Browser(headers={"Authorization": f"Bearer {made.plain}"}).get(URL).json()
    assert (body["client"]["name"], body["email"], body["api_key"], body["can_write"]) == (
        "Acme",
        None,
        made.key.prefix,
        False,
    )
    browser = Browser()
    browser.force_login(
        personas.viewer, backend="allauth.account.auth_backends.AuthenticationBackend"
    )
    body = browser.get(URL).json()
    assert (body["email"], body["role"], body["api_key"]) == ("viewer@acme.test", "viewer", None)

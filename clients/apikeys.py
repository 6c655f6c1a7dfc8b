"""API keys: made, revoked and recognised. The key itself is shown once; the database holds its SHA-256."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from clients import audit
from clients.audit import Actor
from clients.models import ApiKey, Client, Scope
from clients.texts import clean_line

START = "upk_"
PREFIX_LENGTH = len(START) + 8
REVOKED_SHOWN = 50
USED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key just made; `plain` is known here and never again."""

    key: ApiKey
    plain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedKey:
    """A key as its page lists it."""

    key: ApiKey
    is_expired: bool

    @property
    def can_write(self) -> bool:
        return Scope.WRITE in self.key.scopes


def create_key(
    *,
    client: Client,
    actor: Actor,
    now: datetime,
    name: str,
    scopes: list[str],
    expires_at: datetime | None = None,
) -> NewKey:
    """Make a key for a client. 32 random bytes need no slow hash: there is nothing to guess."""
    errors: dict[str, ValidationError] = {}
    try:
        name = clean_line(name, label="The name", longest=100)
    except ValidationError as error:
        errors["name"] = error
    if not scopes or not set(scopes) <= set(Scope.values):
        errors["scopes"] = ValidationError(
            "Choose what the key may do: read, write.", code="choice"
        )
    if expires_at is not None and expires_at <= now:
        errors["expires_at"] = ValidationError("The expiry lies in the past.", code="past")
    if errors:
        raise ValidationError(errors)
    plain = START + secrets.token_urlsafe(32)
    with transaction.atomic():
        key = ApiKey.objects.create(
            client=client,
            name=name,
            prefix=plain[:PREFIX_LENGTH],
            digest=digest_of(plain),
            scopes=sorted(set(scopes)),
            created_by=audit.person_of(actor),
            expires_at=expires_at,
        )
        audit.record(
            client=client,
            actor=actor,
            action="api_key.created",
            subject_kind="api_key",
            subject_id=key.pk,
            detail={"name": name, "prefix": key.prefix, "scopes": key.scopes},
        )
    return NewKey(key=key, plain=plain)


def revoke_key(key: ApiKey, *, actor: Actor, now: datetime) -> None:
    """The key stops working with the next request; a second call changes nothing."""
    with transaction.atomic():
        rows = ApiKey.objects.for_client(key.client).filter(pk=key.pk, revoked_at=None)
        if rows.update(revoked_at=now):
            audit.record(
                client=key.client,
                actor=actor,
                action="api_key.revoked",
                subject_kind="api_key",
                subject_id=key.pk,
                detail={"name": key.name, "prefix": key.prefix},
            )
    key.refresh_from_db(from_queryset=ApiKey.objects.for_client(key.client))


def listed_keys(client: Client, *, now: datetime) -> list[ListedKey]:
    """The client's keys for its page, newest first: all that are not revoked, then some that are."""
    rows = ApiKey.objects.for_client(client).select_related("created_by")
    there = rows.filter(revoked_at=None).order_by("-created_at", "-pk")
    gone = rows.exclude(revoked_at=None).order_by("-revoked_at", "-pk")[:REVOKED_SHOWN]
    return [
        ListedKey(key=key, is_expired=key.expires_at is not None and key.expires_at <= now)
        for key in [*there, *gone]
    ]


def find_key(plain: str, *, now: datetime) -> ApiKey | None:
    """The live key with this text. The lookup is by digest, so its time tells nothing about other keys."""
    if not plain.startswith(START) or len(plain) > 100:
        return None
    # The key is what names the client, so this one query cannot start from it.
    return (
        ApiKey.objects.across_clients()
        .select_related("client")
        .filter(Q(expires_at=None) | Q(expires_at__gt=now), digest=digest_of(plain))
        .filter(revoked_at=None)
        .first()
    )


def note_use(key: ApiKey, *, now: datetime) -> None:
    """Remember that the key was used, once a minute at most."""
    if key.last_used_at is None or now - key.last_used_at >= USED_EVERY:
        ApiKey.objects.for_client(key.client).filter(pk=key.pk).update(last_used_at=now)


def digest_of(plain: str) -> str:
    return hashlib.sha256(plain.encode("utf-8", "surrogateescape")).hexdigest()


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer upk_...`: `request.auth` is the key, `request.user` nobody."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, ApiKey] | None:
        scheme, _, rest = get_authorization_header(request).partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        now = timezone.now()
        key = find_key(rest.strip().decode("latin-1"), now=now)
        if key is None:
            raise AuthenticationFailed("This API key is unknown, expired or revoked.")
        note_use(key, now=now)
        return AnonymousUser(), key

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="Uptime API"'

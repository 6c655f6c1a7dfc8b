"""The secret part of a ping address: the only credential of the ping endpoint."""

from __future__ import annotations

import hmac
import re
from hashlib import sha256
from uuid import UUID, uuid4

from django.conf import settings

KEY = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
HIDDEN = "(hidden)"


def new_key() -> str:
    """122 random bits in the form of a UUID."""
    return str(uuid4())


def digest_of(key: str) -> str:
    """What a key is found by; the database and its dumps hold the key itself only encrypted."""
    return sha256(key.encode()).hexdigest()


def own_key() -> str:
    """The key with which we call ourselves to learn whether others can."""
    mac = hmac.digest(settings.SECRET_KEY.encode(), b"our own heartbeat", "sha256")
    return str(UUID(bytes=mac[:16], version=4))


def address_of(key: str) -> str:
    """The address that a job calls."""
    return f"{settings.SITE_URL}/ping/{key}"

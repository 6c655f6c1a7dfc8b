"""A check's secrets: what hides them, what a mask that comes back stands for, and where they may not follow.

A role that may edit a check may not read its secrets, so no change of the address carries them to another host.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError

from checks.models import Check
from fanout_lambdas.sealing import SECRET_FIELDS
from fanout_lambdas.shared.netguard import ALL_SCHEMES, Blocked, parse_url

MASK = "********"
"""What is shown in the place of a secret; sent back, it keeps the secret."""
_WORDS = {"auth": "credentials", "send": "text to send"}


def headers_of(check: Check) -> dict[str, str]:
    headers: dict[str, str] = json.loads(check.headers) if check.headers else {}
    return headers


def auth_of(check: Check) -> dict[str, str] | None:
    auth: dict[str, str] | None = json.loads(check.auth) if check.auth else None
    return auth


def masked(check: Check) -> dict[str, Any]:
    """The secret fields as they are shown; user names too, because some services take their key there."""
    return {
        "headers": dict.fromkeys(headers_of(check), MASK),
        "body": MASK if check.body else "",
        "auth": _masked_auth(auth_of(check)),
        "send": MASK if check.send else "",
    }


def unmasked(check: Check, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The given fields, with each mask replaced by what the check has in its place."""
    found = dict(fields)
    for name in ("body", "send"):
        if found.get(name) == MASK:
            found[name] = getattr(check, name) or MASK
    if isinstance(headers := found.get("headers"), Mapping):
        stored = _stored(check)
        found["headers"] = {
            name: stored.get(str(name).lower(), value) if value == MASK else value
            for name, value in headers.items()
        }
    if isinstance(auth := found.get("auth"), Mapping):
        known = auth_of(check) or {}
        found["auth"] = {
            name: known.get(str(name), value) if value == MASK else value
            for name, value in auth.items()
        }
    return found


def refuse_carried(check: Check, fields: Mapping[str, Any], *, url: str) -> None:
    """ValidationError where `url` lies at another origin and would be sent what is stored for the old one.

    `fields` are those of the change as they came: what is absent or masked would be carried over.
    """
    if not leaves_origin(check.url, url):
        return
    carried = {
        "headers": _carries_headers(check, fields),
        "body": bool(check.body) and fields.get("body", MASK) == MASK,
        "auth": _carries_auth(check, fields),
        "send": bool(check.send) and fields.get("send", MASK) == MASK,
    }
    errors = {
        name: ValidationError(
            f"Enter the {_WORDS.get(name, name)} again: the address points to another host.",
            code="origin_changed",
        )
        for name, is_carried in carried.items()
        if is_carried
    }
    if errors:
        raise ValidationError(errors)


def refuse_masks(fields: Mapping[str, Any]) -> None:
    """ValidationError where a mask stands for nothing that is stored: it would be sent as it is."""
    errors = {
        name: ValidationError(
            "The stars stand for a value that is not stored here. Enter it.", code="masked"
        )
        for name in SECRET_FIELDS
        if _holds_mask(fields.get(name))
    }
    if errors:
        raise ValidationError(errors)


def _holds_mask(value: Any) -> bool:
    return MASK in value.values() if isinstance(value, Mapping) else value == MASK


def leaves_origin(old: str, new: str) -> bool:
    """Another scheme, host or port? The step from http to https at the usual ports stays at home."""
    if old == new:
        return False
    try:
        before, after = parse_url(old, ALL_SCHEMES).origin, parse_url(new, ALL_SCHEMES).origin
    except Blocked:
        return True
    upgraded = ("https", before[1], 443) if before[::2] == ("http", 80) else before
    return after not in (before, upgraded)


def _masked_auth(auth: Mapping[str, str] | None) -> dict[str, str] | None:
    if auth is None:
        return None
    return {
        name: value if name == "type" else MASK if value else "" for name, value in auth.items()
    }


def _carries_headers(check: Check, fields: Mapping[str, Any]) -> bool:
    stored = _stored(check)
    if "headers" not in fields:
        return bool(stored)
    headers = fields["headers"]
    return isinstance(headers, Mapping) and any(
        value == MASK and str(name).lower() in stored for name, value in headers.items()
    )


def _carries_auth(check: Check, fields: Mapping[str, Any]) -> bool:
    stored = auth_of(check)
    if stored is None:
        return False
    if "auth" not in fields:
        return True
    auth = fields["auth"]
    return isinstance(auth, Mapping) and any(
        value == MASK and name in stored for name, value in auth.items()
    )


def _stored(check: Check) -> dict[str, str]:
    """The stored headers by their names in lower case."""
    return {name.lower(): value for name, value in headers_of(check).items()}

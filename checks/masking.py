"""A check's secrets: what hides them, what a mask that comes back stands for, and where they may not follow.

A role that may edit a check may not read its headers, so no change of the address carries them to another host.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError

from checks.models import Check
from fanout_lambdas.shared.netguard import Blocked, parse_url

MASK = "********"
"""What is shown in the place of a secret; sent back, it keeps the secret."""
SECRET_FIELDS = frozenset({"headers", "body"})


def headers_of(check: Check) -> dict[str, str]:
    headers: dict[str, str] = json.loads(check.headers) if check.headers else {}
    return headers


def unmasked(check: Check, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The given fields, with the mask in a header or body replaced by what the check has."""
    found = dict(fields)
    if found.get("body") == MASK:
        found["body"] = check.body
    if isinstance(headers := found.get("headers"), Mapping):
        stored = _stored(check)
        found["headers"] = {
            name: stored.get(str(name).lower(), value) if value == MASK else value
            for name, value in headers.items()
        }
    return found


def refuse_carried(check: Check, fields: Mapping[str, Any], *, url: str) -> None:
    """ValidationError where `url` lies at another origin and would be sent what is stored for the old one.

    `fields` are those of the change as they came: what is absent or masked would be carried over.
    """
    if not leaves_origin(check.url, url):
        return
    carried = {"headers": _carries_headers(check, fields), "body": _carries_body(check, fields)}
    errors = {
        name: ValidationError(
            f"Enter the {name} again: the address points to another host.", code="origin_changed"
        )
        for name, is_carried in carried.items()
        if is_carried
    }
    if errors:
        raise ValidationError(errors)


def leaves_origin(old: str, new: str) -> bool:
    """Another scheme, host or port? The step from http to https at the usual ports stays at home."""
    try:
        before, after = parse_url(old).origin, parse_url(new).origin
    except Blocked:
        return True
    upgraded = ("https", before[1], 443) if before[::2] == ("http", 80) else before
    return after not in (before, upgraded)


def _carries_headers(check: Check, fields: Mapping[str, Any]) -> bool:
    stored = _stored(check)
    if "headers" not in fields:
        return bool(stored)
    headers = fields["headers"]
    return isinstance(headers, Mapping) and any(
        value == MASK and str(name).lower() in stored for name, value in headers.items()
    )


def _carries_body(check: Check, fields: Mapping[str, Any]) -> bool:
    return bool(check.body) and fields.get("body", MASK) == MASK


def _stored(check: Check) -> dict[str, str]:
    """The stored headers by their names in lower case."""
    return {name.lower(): value for name, value in headers_of(check).items()}

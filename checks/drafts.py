"""A check's fields before they are saved: what a new check gets, what a change comes to."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError

from checks.masking import auth_of, headers_of, refuse_carried, refuse_masks, unmasked
from checks.models import Check, Kind, Region
from checks.targets import name_of
from checks.validation import (
    DEFAULTS,
    FIELDS,
    HEARTBEAT_INTERVAL_S,
    Bounds,
    clean_fields,
    default_timeout_ms,
)
from clients.models import Client
from fanout_lambdas.shared.netguard import AllowList, Guard

logger = logging.getLogger(__name__)

REACHING = frozenset({"url", "send", "name_server"})
"""Fields that the address guard judges."""


def validate_new(client: Client, fields: Mapping[str, Any]) -> dict[str, Any]:
    """All fields of a new check: those given, cleaned, and defaults for the rest."""
    bounds = bounds_for(client)
    given = {name: value for name, value in fields.items() if name != "name" or value}
    if given.get("kind") == Kind.HEARTBEAT:
        given.setdefault("name", "")  # nothing to take a name from
        given.setdefault("interval_s", HEARTBEAT_INTERVAL_S)
    else:
        given.setdefault("regions", sorted(bounds.region_ids))
        interval = given.setdefault("interval_s", max(60, bounds.minimum_interval_s))
        if type(interval) is int and interval > 1:
            given.setdefault("timeout_ms", default_timeout_ms(interval))
    values = {**DEFAULTS, **_clean(client, given, {}, bounds)}
    if "name" not in values:
        values["name"] = name_of(Kind(values["kind"]), values["url"], values["record_type"])
    return values


def validate_change(check: Check, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The given fields, cleaned, judged together with what the check has."""
    if fields.get("kind", check.kind) != check.kind:
        words = "A check keeps its kind. Create a new check instead."
        raise ValidationError({"kind": ValidationError(words, code="fixed")})
    bounds = bounds_for(check.client, kept=check.regions)
    values = _clean(check.client, unmasked(check, fields), settings_of(check), bounds)
    refuse_carried(check, fields, url=values.get("url", check.url))
    return values


def bounds_for(client: Client, *, kept: Iterable[int] = ()) -> Bounds:
    """What this installation and this client's plan allow; regions that a check has may stay."""
    active = Region.objects.filter(active=True).values_list("pk", flat=True)
    return Bounds(
        guard=url_guard(),
        minimum_interval_s=client.minimum_interval_s,
        region_ids=frozenset(active) | frozenset(kept),
    )


def url_guard() -> Guard:
    return Guard(AllowList.parse(",".join(settings.ALLOW_NETWORKS)))


def settings_of(check: Check) -> dict[str, Any]:
    """The fields of a check as people write them."""
    values = {name: getattr(check, name) for name in FIELDS}
    secrets = {"headers": headers_of(check), "auth": auth_of(check)}
    return {**values, **secrets, "regions": list(check.regions)}


def _clean(
    client: Client, given: Mapping[str, Any], base: Mapping[str, Any], bounds: Bounds
) -> dict[str, Any]:
    refuse_masks(given)
    try:
        return clean_fields(given, base=base, bounds=bounds)
    except ValidationError as error:
        # Somebody who tries the addresses of our own network leaves a trace.
        for name in REACHING & set(error.error_dict):
            for refused in error.error_dict[name]:
                logger.warning("refused %s client=%s rule=%s", name, client.pk, refused.code)
        raise

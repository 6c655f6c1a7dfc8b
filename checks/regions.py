"""Regions and their keys: made when they are missing, so that an installation can probe as soon as it is migrated."""

from __future__ import annotations

import secrets

from django.db import transaction

from checks.models import IngestKey, Region
from fanout_lambdas.sealing import new_key

LOCAL = "local"


def ensure_region(code: str, *, name: str | None = None) -> Region:
    """The region, with a sealing key and a valid ingest key; what is there already stays as it is."""
    with transaction.atomic():
        region, _ = Region.objects.get_or_create(
            code=code, defaults={"name": name or code.capitalize(), "sealing_key": new_key()}
        )
        # The row's lock keeps two that start at once from making two keys.
        Region.objects.select_for_update().get(pk=region.pk)
        if newest_ingest_key(region) is None:
            add_ingest_key(region)
    return region


def ensure_local_region() -> Region:
    return ensure_region(LOCAL)


def add_ingest_key(region: Region) -> IngestKey:
    """A further key: two are valid while workers change over from one to the other."""
    return IngestKey.objects.create(
        region=region,
        key_id=f"{region.code}-{secrets.token_hex(4)}",
        secret=secrets.token_urlsafe(32),
    )


def newest_ingest_key(region: Region) -> IngestKey | None:
    """The key that this region's workers sign with."""
    return region.ingest_keys.filter(revoked_at=None).order_by("-created_at", "-id").first()


def add_sealing_key(region: Region) -> None:
    """A second key, for the workers to learn before anything is sealed with it; ValueError if there is one."""
    if region.other_sealing_key:
        raise ValueError("There is a second key already: use it or drop it first.")
    region.other_sealing_key = new_key()
    region.save(update_fields=["other_sealing_key"])


def use_sealing_key(region: Region) -> None:
    """Seal with the second key from the next snapshot on. Workers open with both; ValueError if there is none."""
    _need_second_key(region)
    region.sealing_key, region.other_sealing_key = region.other_sealing_key, region.sealing_key
    region.save(update_fields=["sealing_key", "other_sealing_key"])


def drop_sealing_key(region: Region) -> None:
    """Forget the second key; ValueError if there is none."""
    _need_second_key(region)
    region.other_sealing_key = ""
    region.save(update_fields=["other_sealing_key"])


def _need_second_key(region: Region) -> None:
    if not region.other_sealing_key:
        raise ValueError("There is no second key: add one first.")

"""Rows that tests need, with the fields that matter written out by the test."""

from __future__ import annotations

from typing import Any

from checks.models import Check, Region
from clients.models import Client


def make_check(client: Client, *regions: Region, **fields: Any) -> Check:
    """A check of `client`, probed every minute unless the test says otherwise."""
    check = Check(client=client, regions=[region.pk for region in regions])
    values = {"name": "API", "url": "http://api.example.com/", "interval_s": 60} | fields
    for name, value in values.items():
        setattr(check, name, value)
    check.save()
    return check

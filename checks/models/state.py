"""RegionState: what the state rules remember about one check in one region; `checks.state.RegionState` as a row."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from clients.models import Client
from clients.scoping import TenantManager


class RegionState(models.Model):
    """One row per (check, region), rewritten with each evaluated result: fillfactor 60, no index on what changes."""

    pk = models.CompositePrimaryKey("check_id", "region")
    check_id = models.IntegerField()
    region = models.SmallIntegerField()
    client = models.ForeignKey(
        Client, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    memory = ArrayField(models.BigIntegerField(null=True))
    """The rules' own scalars in the order of `checks.state.RegionState.row()`; nobody else reads them."""

    # the newest evaluated result, for lists and for the snapshot
    last_at = models.DateTimeField(null=True)
    last_outcome = models.SmallIntegerField(null=True)
    last_reason = models.SmallIntegerField(null=True)
    last_http_status = models.SmallIntegerField(null=True)
    last_total_us = models.IntegerField(null=True)
    cert_not_after = models.DateTimeField(null=True)

    objects = TenantManager["RegionState"]()

    class Meta:
        db_table = "region_state"

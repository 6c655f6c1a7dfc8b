"""Results and their rollups: partitioned tables made by SQL in the migrations, mirrored here for reading.

Numbers, not names, stand in the rows: `OUTCOMES` and `REASONS` are append-only tables.
"""

from __future__ import annotations

from django.db import models

from clients.models import Client
from clients.scoping import TenantManager
from fanout_lambdas.shared.contracts import Outcome, Reason

OUTCOMES: dict[Outcome, int] = {
    Outcome.UP: 1,
    Outcome.DEGRADED: 2,
    Outcome.DOWN: 3,
    Outcome.VOID: 4,
    Outcome.MISSED: 5,
}
OUTCOME_OF = {number: outcome for outcome, number in OUTCOMES.items()}
REASONS: dict[Reason, int] = {reason: number for number, reason in enumerate(Reason)}
REASON_OF = {number: reason for reason, number in REASONS.items()}
NOT_PROBED = -1
"""`lag_ms` of a heartbeat's results, which have an index of their own by it."""


class Result(models.Model):
    """What a worker saw in one slot. Primary key (at, check_id, region): time first costs a fifth of the writes."""

    pk = models.CompositePrimaryKey("at", "check_id", "region")
    at = models.DateTimeField()
    """The slot."""
    check_id = models.IntegerField()
    client = models.ForeignKey(
        Client, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    total_us = models.IntegerField()
    dns_us = models.IntegerField(null=True)
    connect_us = models.IntegerField(null=True)
    tls_us = models.IntegerField(null=True)
    send_us = models.IntegerField(null=True)
    wait_us = models.IntegerField(null=True)
    receive_us = models.IntegerField(null=True)
    bytes = models.IntegerField(null=True)
    lag_ms = models.IntegerField()
    """How late the probe began, by the worker's own clock; `NOT_PROBED` where a job called, or did not."""
    stored_ms = models.IntegerField()
    """From the slot to this row, in milliseconds."""
    region = models.SmallIntegerField()
    outcome = models.SmallIntegerField()
    reason = models.SmallIntegerField()
    http_status = models.SmallIntegerField(null=True)
    extra = models.BooleanField()
    """A recheck or first probe, outside the regular schedule."""

    objects = TenantManager["Result"]()

    class Meta:
        db_table = "result"


class Evidence(models.Model):
    """What a result that was not simply up had to show: sentence, headers, excerpt, assertions."""

    pk = models.CompositePrimaryKey("at", "check_id", "region")
    at = models.DateTimeField()
    check_id = models.IntegerField()
    region = models.SmallIntegerField()
    client = models.ForeignKey(
        Client, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    message = models.TextField()
    document = models.JSONField()
    """remote_address, http_version, hops, certificate, assertions, evidence as in the result contract."""

    objects = TenantManager["Evidence"]()

    class Meta:
        db_table = "evidence"


class RollupHour(models.Model):
    """One check-hour in one region, with exact percentiles of that hour; kept 13 months."""

    pk = models.CompositePrimaryKey("check_id", "hour", "region")
    hour = models.DateTimeField()
    check_id = models.IntegerField()
    region = models.SmallIntegerField()
    client = models.ForeignKey(
        Client, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    up = models.SmallIntegerField()
    degraded = models.SmallIntegerField()
    down = models.SmallIntegerField()
    missed = models.SmallIntegerField()
    """Missed and void slots."""
    ms_sum = models.IntegerField()
    ms_max = models.IntegerField()
    p50 = models.IntegerField(null=True)
    p95 = models.IntegerField(null=True)
    p99 = models.IntegerField(null=True)

    objects = TenantManager["RollupHour"]()

    class Meta:
        db_table = "rollup_hour"


class RolledHour(models.Model):
    """An hour whose results stand in `rollup_hour`. A late result takes the row away, and the hour is rolled again."""

    hour = models.DateTimeField(primary_key=True)
    rolled_at = models.DateTimeField(null=True)
    """Empty while it is being rolled."""

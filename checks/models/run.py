"""Minute runs and what belongs to them: reported batches, extra slots, the planner's own record."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from checks.models.check import Check
from checks.models.region import Region
from clients.models import Client
from clients.scoping import TenantManager


class MinuteRun(models.Model):
    """All slots of one UTC minute in one region, with counters.

    planned = answered + late + missed + excluded + still open; void results count as missed until a real one comes.
    """

    minute = models.DateTimeField()
    region = models.ForeignKey(Region, on_delete=models.PROTECT, related_name="+")
    snapshot_key = models.CharField(max_length=60, blank=True)
    """The snapshot in the object store that this minute is planned from; empty when no tick ran."""
    planned = models.PositiveIntegerField(default=0)
    batches = models.JSONField(default=list)
    """What the plan cuts: [[number, not_before, deadline, size, expected_by], ...], epoch seconds; a batch
    that has not reported by `expected_by` is taken for lost."""
    rechecks = models.PositiveIntegerField(default=0)
    dispatched = models.PositiveIntegerField(default=0)
    answered = models.PositiveIntegerField(default=0)
    """Up, degraded or down, stored within 60 s of the slot."""
    late = models.PositiveIntegerField(default=0)
    """Answered, but stored more than 60 s after the slot."""
    void = models.PositiveIntegerField(default=0)
    missed = models.PositiveIntegerField(default=0)
    excluded = models.PositiveIntegerField(default=0)
    duplicates = models.PositiveIntegerField(default=0)
    redispatched = models.PositiveIntegerField(default=0)
    resent = ArrayField(models.PositiveIntegerField(), default=list, blank=True)
    """Numbers of the lost batches that were sent out once more; being listed is the claim."""
    # What the engine says of its invocations; with a default in the database too, so that the version before
    # this one can still write runs while an upgrade or a rollback is under way.
    throttled = models.PositiveIntegerField(default=0, db_default=0)
    """Tries that the engine refused because too much was running."""
    retried = models.PositiveIntegerField(default=0, db_default=0)
    """Tries beyond the first, for whatever reason."""
    failed = models.PositiveIntegerField(default=0, db_default=0)
    """Batches that no function accepted after all tries."""
    dead_letters = models.PositiveIntegerField(default=0, db_default=0)
    """Invocations that were accepted and came to nothing: their events ended in a dead-letter queue."""
    dispatch_report = models.JSONField(default=dict)
    """The dispatcher's own figures, read from the object store by the watch."""
    alarm = models.CharField(max_length=200, blank=True)
    """What the operator is told about this minute; empty when all went well."""
    created_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True, blank=True)
    """When the watch has accounted for every slot."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["minute", "region"], name="minute_run_unique")
        ]
        indexes = [
            # the watch: runs not yet accounted for
            models.Index(
                fields=["minute"], name="minute_run_open", condition=models.Q(closed_at=None)
            ),
        ]


class BatchReport(models.Model):
    """A batch that reported: the worker's figures, and the proof that it was not lost."""

    minute = models.DateTimeField()
    region = models.ForeignKey(Region, on_delete=models.PROTECT, related_name="+")
    batch = models.PositiveIntegerField()
    attempt = models.PositiveSmallIntegerField()
    received_at = models.DateTimeField(db_default=Now())
    results = models.PositiveIntegerField()
    accepted = models.PositiveIntegerField()
    duplicates = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField()
    in_flight = models.PositiveIntegerField()
    lag_p50_ms = models.PositiveIntegerField()
    lag_p99_ms = models.PositiveIntegerField()
    cold_start = models.BooleanField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["minute", "region", "batch", "attempt"], name="batch_report_unique"
            )
        ]


class DeadLetter(models.Model):
    """An invocation that was accepted and came to nothing, as its region's dead-letter queue told it.

    The row is what counts a letter once, however often the queue hands it out.
    """

    request_id = models.CharField(max_length=100, unique=True)
    minute = models.DateTimeField()
    region = models.ForeignKey(Region, on_delete=models.PROTECT, related_name="+")
    function = models.CharField(max_length=64)
    condition = models.CharField(max_length=100)
    """Why the engine gave up, in its own word: RetriesExhausted, EventAgeExceeded."""
    invocations = models.PositiveSmallIntegerField()
    """How often it was tried."""
    batches = ArrayField(models.PositiveIntegerField(), default=list, blank=True)
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["minute"], name="dead_letter_minute")]


class ExtraSlot(models.Model):
    """A slot outside the regular schedule: a recheck (rule 7), or the first probe of a new or resumed check."""

    class Why(models.TextChoices):
        RECHECK = "recheck"
        FIRST = "first"

    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="+")
    subject = models.ForeignKey(Check, on_delete=models.CASCADE, related_name="extra_slots")
    region = models.ForeignKey(Region, on_delete=models.PROTECT, related_name="+")
    slot = models.DateTimeField()
    why = models.CharField(max_length=10, choices=Why.choices)
    created_at = models.DateTimeField(db_default=Now())
    dispatched_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    closed_at = models.DateTimeField(null=True, blank=True)
    """When a result or a missed marker took the slot."""

    objects = TenantManager["ExtraSlot"]()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subject", "region", "slot"], name="extra_slot_unique")
        ]
        indexes = [
            # the recheck job (what must go out), the watch (what has not come back), the cap of a minute
            models.Index(fields=["slot"], name="extra_slot_slot"),
        ]

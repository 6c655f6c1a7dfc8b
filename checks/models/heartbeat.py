"""Heartbeats (rule 15): what is awaited of a job, its calls, the time it was watched, and how well we can hear."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from checks.models.check import Check
from clients.encryption import EncryptedTextField
from clients.models import Client
from clients.scoping import TenantManager


class Heartbeat(models.Model):
    """One heartbeat check's key and deadline. Whoever writes it holds the check's `region_state` row."""

    subject = models.OneToOneField(
        Check, on_delete=models.CASCADE, primary_key=True, related_name="heartbeat"
    )
    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="+")
    key = EncryptedTextField()
    """The secret part of the ping address."""
    digest = models.CharField(max_length=64, unique=True)
    """SHA-256 of the key in hex, by which a call is found."""
    pings = models.BigIntegerField(default=0)
    """Calls of all time; the next one's number is one more."""
    last_ping_at = models.DateTimeField(null=True)
    """The last success or failure; starts and log lines do not count as calls."""
    started_at = models.DateTimeField(null=True)
    """When the oldest run began that has not ended."""
    run = models.CharField(max_length=64, blank=True)
    """That run's id, if the job gave one."""
    expected_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)
    """From this moment on the silence counts; empty while nothing is awaited."""
    voids = models.PositiveSmallIntegerField(default=0)
    """Deadlines in a row that passed while we could not hear."""

    objects = TenantManager["Heartbeat"]()

    class Meta:
        indexes = [
            # the job that looks for silence
            models.Index(
                fields=["due_at"], name="heartbeat_due", condition=models.Q(due_at__isnull=False)
            ),
        ]


class Ping(models.Model):
    """One call of a job, as it came; the newest of each check are kept."""

    class Kind(models.TextChoices):
        SUCCESS = "success", "Success"
        START = "start", "Start"
        FAIL = "fail", "Failure"
        LOG = "log", "Log"

    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="+")
    subject = models.ForeignKey(Check, on_delete=models.CASCADE, related_name="pings")
    number = models.BigIntegerField()
    at = models.DateTimeField()
    kind = models.CharField(max_length=7, choices=Kind.choices)
    exit_status = models.PositiveSmallIntegerField(null=True)
    run = models.CharField(max_length=64, blank=True)
    duration_ms = models.BigIntegerField(null=True)
    """From the start of its run to this end."""
    method = models.CharField(max_length=4)
    remote_address = models.CharField(max_length=45, blank=True)
    user_agent = models.CharField(max_length=200, blank=True)
    body = models.TextField(blank=True)

    objects = TenantManager["Ping"]()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subject", "number"], name="ping_unique"),
        ]

    @property
    def duration_s(self) -> float | None:
        return None if self.duration_ms is None else self.duration_ms / 1000


class HeartbeatSpan(models.Model):
    """Time in which a heartbeat was watched: from its first call on, less pauses and deadlines nobody could hear."""

    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="+")
    subject = models.ForeignKey(Check, on_delete=models.CASCADE, related_name="heartbeat_spans")
    since = models.DateTimeField()
    until = models.DateTimeField(null=True)

    objects = TenantManager["HeartbeatSpan"]()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["subject"], condition=models.Q(until=None), name="heartbeat_span_one_open"
            ),
        ]


class PingHealth(models.Model):
    """Time without a gap in which our own ping address answered us; one row grows until it does not."""

    since = models.DateTimeField(db_default=Now())
    until = models.DateTimeField(db_index=True)
    broken = models.BooleanField(default=False)
    """A call of ours failed after `until`: the next success begins a row of its own."""

"""Incident: one confirmed outage of one check. Event: an append-only fact that the outbox of `alerts` reads."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from checks.models.check import Check
from clients.models import Client, User
from clients.scoping import TenantManager


class Incident(models.Model):
    """One outage (rule 8): started, opened, ended, resolved; last_good_at and first_bad_at bound its start."""

    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="incidents")
    subject = models.ForeignKey(Check, on_delete=models.CASCADE, related_name="incidents")
    started_at = models.DateTimeField()
    opened_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)
    last_good_at = models.DateTimeField(null=True, blank=True)
    first_bad_at = models.DateTimeField()
    first_good_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=20)
    """Reason of the contract's list, from the result that opened it."""
    message = models.TextField()
    http_status = models.SmallIntegerField(null=True, blank=True)
    document = models.JSONField(default=dict)
    """Evidence of the opening result, and how it was confirmed: {"confirmed_by": [[slot, region, message], ...]}."""
    silent = models.BooleanField(default=False)
    """Closed by pausing or deleting the check: nobody is told of a recovery."""
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    objects = TenantManager["Incident"]()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["subject"], condition=models.Q(resolved_at=None), name="incident_one_open"
            ),
            models.CheckConstraint(
                condition=models.Q(opened_at__gte=models.F("started_at")), name="incident_opened"
            ),
            models.CheckConstraint(
                condition=models.Q(ended_at=None, resolved_at=None)
                | models.Q(
                    ended_at__gte=models.F("started_at"), resolved_at__gte=models.F("ended_at")
                ),
                name="incident_ended",
            ),
        ]
        indexes = [
            # the client's incident list
            models.Index(fields=["client", "-started_at"], name="incident_client"),
            # a check's incidents and uptime
            models.Index(fields=["subject", "-started_at"], name="incident_subject"),
        ]


class Event(models.Model):
    """A fact about a check that somebody may want to hear; written in the transaction that made it true."""

    class Kind(models.TextChoices):
        DOWN = "down"
        UP = "up"
        DEGRADED = "degraded"
        RECOVERED = "recovered"
        """No longer degraded."""

    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="events")
    subject = models.ForeignKey(Check, on_delete=models.CASCADE, related_name="events")
    incident = models.ForeignKey(
        Incident, null=True, on_delete=models.CASCADE, related_name="events"
    )
    kind = models.CharField(max_length=12, choices=Kind.choices)
    at = models.DateTimeField()
    """The slot that made it true."""
    payload = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now())
    processed_at = models.DateTimeField(null=True)
    """A flag on the row, not a last-id cursor: transactions commit out of order."""
    attempts = models.PositiveSmallIntegerField(default=0)
    error = models.TextField(blank=True)

    objects = TenantManager["Event"]()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["incident", "kind"], name="event_unique"),
        ]
        indexes = [
            # the outbox
            models.Index(
                fields=["id"], name="event_unprocessed", condition=models.Q(processed_at=None)
            ),
        ]

"""Channel, Notice (an event's claim on a channel), Delivery (one message) and Attempt (one try)."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from checks.models import Check, Event
from clients.encryption import EncryptedTextField
from clients.models import Client
from clients.scoping import TenantManager


class ChannelKind(models.TextChoices):
    EMAIL = "email", "E-mail"
    WEBHOOK = "webhook", "Webhook"


TEST = "test"
"""Kind of a delivery that a person asked for to try a channel; it tells of no event."""


def default_hears() -> list[str]:
    """What a channel hears unless told otherwise: outages, not slowness."""
    return [Event.Kind.DOWN.value, Event.Kind.UP.value]


class Channel(models.Model):
    """Where a client is told."""

    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="channels")
    kind = models.CharField(max_length=20, choices=ChannelKind.choices)
    name = models.CharField(max_length=100)
    target = EncryptedTextField()
    """E-mail address or webhook URL; encrypted, because a URL may carry a token."""
    secret = EncryptedTextField(blank=True, default="")
    """Signing secret of a webhook ("whsec_..."), shown to editors."""
    previous_secret = EncryptedTextField(blank=True, default="")
    """After a rotation: messages carry a signature by this one too, until `previous_secret_until`."""
    previous_secret_until = models.DateTimeField(null=True, blank=True)
    hears = ArrayField(
        models.CharField(max_length=12, choices=Event.Kind.choices), default=default_hears
    )
    """Kinds of event that this channel is told of."""
    enabled = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=200, blank=True)
    failures_in_a_row = models.PositiveIntegerField(default=0)
    failing_since = models.DateTimeField(null=True, blank=True)
    last_success_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    objects = TenantManager["Channel"]()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(kind__in=ChannelKind.values), name="channel_kind_known"
            ),
            models.CheckConstraint(condition=~models.Q(name=""), name="channel_name_not_empty"),
            models.CheckConstraint(
                condition=models.Q(hears__contained_by=list(Event.Kind.values)),
                name="channel_hears_known",
            ),
        ]
        indexes = [
            # routing and the client's list
            models.Index(
                fields=["client"], name="channel_client", condition=models.Q(deleted_at=None)
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Delivery(models.Model):
    """One message to one channel, carrying one or more notices; the same id and body on every attempt."""

    class State(models.TextChoices):
        QUEUED = "queued", "Waiting"
        SENDING = "sending", "Being sent"
        SENT = "sent", "Delivered"
        DEAD = "dead", "Failed"

    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="deliveries")
    channel = models.ForeignKey(Channel, on_delete=models.RESTRICT, related_name="deliveries")
    subject = models.ForeignKey(
        Check, null=True, on_delete=models.CASCADE, related_name="deliveries", db_index=False
    )
    """The check it tells of; empty for a test. Messages of one check leave a channel in order."""
    message_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    kind = models.CharField(max_length=12)
    """Kind of event, or "test"."""
    summary = models.CharField(max_length=300)
    """One line for lists: "api.example.com is down"."""
    message = models.JSONField()
    """Fixed when it is queued: for e-mail subject, text, html, thread; for webhooks the body as one text."""
    state = models.CharField(max_length=8, choices=State.choices, default=State.QUEUED)
    attempts_made = models.PositiveSmallIntegerField(default=0)
    attempts_before = models.PositiveSmallIntegerField(default=0)
    """How many of them belong to schedules that ended; sending again starts a fresh schedule."""
    next_attempt_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    occurred_at = models.DateTimeField()
    """When the fact it tells of became known; the delay of an alert is counted from here."""
    created_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True)
    last_error = models.TextField(blank=True)

    objects = TenantManager["Delivery"]()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=["queued", "sending", "sent", "dead"]),
                name="delivery_state_known",
            ),
        ]
        indexes = [
            # the sender: what is due
            models.Index(
                fields=["next_attempt_at"],
                name="delivery_due",
                condition=models.Q(state__in=["queued", "sending"]),
            ),
            # the client's alert history
            models.Index(fields=["client", "-id"], name="delivery_client"),
            # order within a channel: an incident's "down" leaves before its "up"
            models.Index(
                fields=["channel", "subject", "id"],
                name="delivery_order",
                condition=models.Q(state__in=["queued", "sending"]),
            ),
            # the last word of each channel, and its own history
            models.Index(fields=["channel", "-id"], name="delivery_channel"),
            # a check's alert history
            models.Index(fields=["subject", "-id"], name="delivery_subject"),
        ]


class Notice(models.Model):
    """One event's claim on one channel; unique, so that reminders and escalations become further kinds and steps."""

    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="+")
    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="notices")
    channel = models.ForeignKey(Channel, on_delete=models.RESTRICT, related_name="notices")
    kind = models.CharField(max_length=12)
    step = models.PositiveSmallIntegerField(default=0)
    delivery = models.ForeignKey(
        Delivery, null=True, on_delete=models.RESTRICT, related_name="notices"
    )
    withheld = models.CharField(max_length=200, blank=True)
    """Why nothing was sent; empty when a delivery carries it."""
    created_at = models.DateTimeField(db_default=Now())

    objects = TenantManager["Notice"]()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["event", "channel", "kind", "step"], name="notice_unique"
            ),
            models.CheckConstraint(
                condition=models.Q(delivery__isnull=False) | ~models.Q(withheld=""),
                name="notice_sent_or_why_not",
            ),
        ]


class Attempt(models.Model):
    """One try of one delivery, with what the other side said."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="attempts")
    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="+")
    number = models.PositiveSmallIntegerField()
    started_at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField()
    ok = models.BooleanField()
    permanent = models.BooleanField(default=False)
    """A failure that no later try would mend."""
    status = models.CharField(max_length=20, blank=True)
    """HTTP or SMTP code, or the kind of failure."""
    answer = models.TextField(blank=True)
    """First 4 kB of the answer, or the error in words."""

    objects = TenantManager["Attempt"]()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["delivery", "number"], name="attempt_unique")
        ]

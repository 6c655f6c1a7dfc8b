"""Channels, deliveries and attempts as the REST API shows them; targets and secrets are written, never read back."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from alerts.models import Attempt, Channel, ChannelKind, Delivery
from alerts.services import masked_target
from checks.models import Event
from clients.api import RawSerializer


class ChannelSerializer(RawSerializer):
    """Where the client is told. Whatever is written here is judged by `alerts.services`."""

    id = serializers.IntegerField(read_only=True)
    kind = serializers.ChoiceField(choices=ChannelKind.choices)
    name = serializers.CharField(max_length=100)
    target = serializers.CharField(help_text="Written whole; of a URL only the host is shown.")
    hears = serializers.ListField(
        child=serializers.ChoiceField(choices=Event.Kind.choices),
        required=False,
        help_text="Kinds of event; default: down and up.",
    )
    enabled = serializers.BooleanField(default=True)
    disabled_reason = serializers.CharField(read_only=True)
    failures_in_a_row = serializers.IntegerField(read_only=True)
    last_success_at = serializers.DateTimeField(read_only=True, allow_null=True)
    created_at = serializers.DateTimeField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)

    def to_representation(self, instance: Channel) -> dict[str, Any]:
        shown = dict(super().to_representation(instance))
        shown["target"] = masked_target(instance.kind, instance.target)
        return shown


class NewChannelSerializer(ChannelSerializer):
    """A channel just made: the only time its signing secret is shown."""

    secret = serializers.CharField(read_only=True, help_text="Empty for e-mail.")


class AttemptSerializer(serializers.ModelSerializer[Attempt]):
    """One try, with what the other side said."""

    class Meta:
        model = Attempt
        fields = ("number", "started_at", "duration_ms", "ok", "permanent", "status", "answer")


class DeliverySerializer(serializers.ModelSerializer[Delivery]):
    """One message to one channel, with its attempts, oldest first."""

    channel_id = serializers.IntegerField()
    channel_name = serializers.CharField(source="channel.name")
    check_id = serializers.IntegerField(source="subject_id", allow_null=True)
    attempts = AttemptSerializer(many=True)

    class Meta:
        model = Delivery
        fields = (
            *("id", "message_id", "kind", "summary", "state", "channel_id", "channel_name"),
            *("check_id", "attempts_made", "next_attempt_at", "occurred_at", "created_at"),
            *("sent_at", "last_error", "attempts"),
        )
        read_only_fields = fields

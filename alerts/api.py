"""The REST API of channels and deliveries."""

from __future__ import annotations

from typing import Any

import django_filters
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from alerts import services
from alerts.models import Channel, ChannelKind, Delivery
from alerts.selectors import deliveries_of
from alerts.serializers import (
    AttemptSerializer,
    ChannelSerializer,
    DeliverySerializer,
    NewChannelSerializer,
)
from clients.api import ClientViewSet

ID = OpenApiParameter("id", OpenApiTypes.INT, OpenApiParameter.PATH)
LARGEST_ID = 2**63 - 1


class ChannelFilter(django_filters.FilterSet):  # type: ignore[misc]
    kind = django_filters.ChoiceFilter(choices=ChannelKind.choices)
    enabled = django_filters.BooleanFilter()
    name = django_filters.CharFilter(lookup_expr="icontains", label="Part of the name")


class DeliveryFilter(django_filters.FilterSet):  # type: ignore[misc]
    state = django_filters.ChoiceFilter(choices=Delivery.State.choices)
    channel_id = django_filters.NumberFilter(min_value=1, max_value=LARGEST_ID, decimal_places=0)
    check_id = django_filters.NumberFilter(
        field_name="subject_id", min_value=1, max_value=LARGEST_ID, decimal_places=0
    )


@extend_schema(tags=["channels"])
@extend_schema_view(
    **{
        name: extend_schema(parameters=[ID])
        for name in ("retrieve", "partial_update", "destroy", "test")
    }
)
class ChannelViewSet(ClientViewSet):
    """Where the client is told of outages."""

    model = Channel
    serializer_class = ChannelSerializer
    filterset_class = ChannelFilter
    orderings = {"id": "id", "name": "name", "created_at": "created_at"}
    default_ordering = "name"

    def scope(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.filter(deleted_at=None)

    def list(self, request: Request) -> Response:
        """All channels, by name."""
        return self.listing(request)

    def retrieve(self, request: Request, pk: str) -> Response:
        """One channel."""
        return self._shown(self.get_object())

    @extend_schema(responses={201: NewChannelSerializer})
    def create(self, request: Request) -> Response:
        """A new channel; a webhook's signing secret is shown in this answer only."""
        given = self.input(request)
        enabled = _switch(given)
        now = timezone.now()
        channel = services.create_channel(
            client=self.client,
            actor=self.actor,
            kind=given.get("kind", ""),
            name=given.get("name", ""),
            target=given.get("target", ""),
            hears=given.get("hears"),
            now=now,
        )
        if enabled is False:
            services.disable_channel(channel, actor=self.actor, now=now)
        return Response(NewChannelSerializer(channel).data, status=201)

    def partial_update(self, request: Request, pk: str) -> Response:
        """Change name, target or what it hears; switch it on or off."""
        channel, now = self.get_object(), timezone.now()
        changes = self.input(request, partial=True)
        enabled = _switch(changes)
        if changes:
            services.update_channel(channel, actor=self.actor, changes=changes, now=now)
        if enabled is not None:
            verb = services.enable_channel if enabled else services.disable_channel
            verb(channel, actor=self.actor, now=now)
        return self._shown(channel)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Take the channel away; its deliveries stay in the history."""
        services.delete_channel(self.get_object(), actor=self.actor, now=timezone.now())
        return Response(status=204)

    @extend_schema(request=None, responses=AttemptSerializer)
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str) -> Response:
        """Send a test message now, and answer with what the other side said. Five a minute."""
        attempt = services.send_test(self.get_object(), actor=self.actor, now=timezone.now())
        return Response(AttemptSerializer(attempt).data)

    def _shown(self, channel: Channel) -> Response:
        return Response(self.get_serializer(channel).data)


@extend_schema(tags=["deliveries"])
@extend_schema_view(**{name: extend_schema(parameters=[ID]) for name in ("retrieve", "resend")})
class DeliveryViewSet(ClientViewSet):
    """The alert history: every message, with its attempts."""

    model = Delivery
    serializer_class = DeliverySerializer
    filterset_class = DeliveryFilter

    def scope(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return deliveries_of(self.client)

    def list(self, request: Request) -> Response:
        """All messages, newest first."""
        return self.listing(request)

    def retrieve(self, request: Request, pk: str) -> Response:
        """One message."""
        return self._shown(self.get_object())

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def resend(self, request: Request, pk: str) -> Response:
        """Put a failed or delivered message back into the queue, with the same id."""
        services.resend(self.get_object(), actor=self.actor, now=timezone.now())
        return self._shown(self.get_object())

    def _shown(self, delivery: Delivery) -> Response:
        return Response(self.get_serializer(delivery).data)


def _switch(given: dict[str, Any]) -> bool | None:
    """Take `enabled` out of the fields; on and off are acts of their own."""
    enabled = given.pop("enabled", None)
    if enabled is not None and type(enabled) is not bool:
        error = ValidationError("enabled must be true or false.", code="type")
        raise ValidationError({"enabled": error})
    return enabled

"""The REST API's own addresses of heartbeats: the calls that came, and another key."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from checks.heartbeats.keys import address_of
from checks.heartbeats.life import rotate_key
from checks.models import Check, Kind, Ping
from checks.selectors import live_checks
from clients.api import ClientViewSet
from clients.paging import refuse_unknown
from clients.problems import NOT_FOUND

ID = OpenApiParameter("id", OpenApiTypes.INT, OpenApiParameter.PATH)


class PingSerializer(serializers.ModelSerializer[Ping]):
    class Meta:
        model = Ping
        fields = (
            "number",
            "at",
            "kind",
            "exit_status",
            "run",
            "duration_ms",
            "method",
            "remote_address",
            "user_agent",
            "body",
        )


class PingKeySerializer(serializers.Serializer[Any]):
    ping_url = serializers.CharField(help_text="The job's new address; the old one is unknown now.")


@extend_schema(tags=["heartbeats"], parameters=[ID])
class HeartbeatViewSet(ClientViewSet):
    """A heartbeat's calls and key."""

    model = Ping
    serializer_class = PingSerializer
    orderings = {"number": "number"}
    default_ordering = "-number"

    @extend_schema(operation_id="checks_pings_list", responses=PingSerializer(many=True))
    def list(self, request: Request, pk: str) -> Response:
        """The newest 100 calls or so, newest first; a viewer reads them too."""
        refuse_unknown(request, frozenset({"cursor", "limit", "ordering"}))
        rows = self.paginate_queryset(self.get_queryset().filter(subject=self._heartbeat(pk)))
        return self.get_paginated_response(PingSerializer(rows, many=True).data)

    @extend_schema(operation_id="checks_ping_key", request=None, responses=PingKeySerializer)
    def rotate(self, request: Request, pk: str) -> Response:
        """Give the heartbeat another address. The old one stops at once, so change the job too."""
        beat = rotate_key(self._heartbeat(pk), actor=self.actor)
        return Response({"ping_url": address_of(beat.key)})

    def _heartbeat(self, pk: str) -> Check:
        check = live_checks(self.client).filter(pk=pk, kind=Kind.HEARTBEAT).first()
        if check is None:
            raise NotFound(NOT_FOUND)
        return check

"""The REST API of checks and incidents."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_view,
)
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from checks import manual, services
from checks.availability import uptime_of
from checks.heartbeats.page import heartbeat_fields
from checks.models import Check, Incident, Kind, State
from checks.models.result import OUTCOMES
from checks.selectors import BEFORE_ALL, incidents_of, live_checks, region_codes, results_page
from checks.serializers import (
    CheckSerializer,
    IncidentSerializer,
    ResultSerializer,
    UptimeSerializer,
    shown_uptime,
)
from clients.api import ClientViewSet
from clients.paging import page, read_cursor, read_limit, refuse, refuse_unknown, write_cursor
from fanout_lambdas.shared.contracts import Outcome

ID = OpenApiParameter("id", OpenApiTypes.INT, OpenApiParameter.PATH)
PERIODS = {"24h": 1, "7d": 7, "30d": 30}


class CheckFilter(django_filters.FilterSet):  # type: ignore[misc]
    state = django_filters.ChoiceFilter(choices=State.choices)
    kind = django_filters.ChoiceFilter(choices=Kind.choices)
    name = django_filters.CharFilter(lookup_expr="icontains", label="Part of the name")


class IncidentFilter(django_filters.FilterSet):  # type: ignore[misc]
    check_id = django_filters.NumberFilter(
        field_name="subject_id", min_value=1, max_value=2**63 - 1, decimal_places=0
    )
    open = django_filters.BooleanFilter(
        field_name="resolved_at", lookup_expr="isnull", label="Still open"
    )


@extend_schema(tags=["checks"])
@extend_schema_view(
    **{
        name: extend_schema(parameters=[ID])
        for name in ("retrieve", "partial_update", "destroy", "pause", "resume", "test", "uptime")
    }
)
class CheckViewSet(ClientViewSet):
    """What the client wants watched."""

    model = Check
    serializer_class = CheckSerializer
    filterset_class = CheckFilter
    orderings = {"id": "id", "name": "name", "created_at": "created_at"}
    default_ordering = "name"

    def scope(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return live_checks(self.client)

    def list(self, request: Request) -> Response:
        """All checks, by name."""
        return self.listing(request)

    def retrieve(self, request: Request, pk: str) -> Response:
        """One check."""
        return self._shown(self.get_object())

    def create(self, request: Request) -> Response:
        """A new check; it is probed within seconds."""
        check = services.create_check(
            client=self.client, actor=self.actor, now=timezone.now(), **self.input(request)
        )
        return self._shown(check, status=201)

    def partial_update(self, request: Request, pk: str) -> Response:
        """Change the fields that are given."""
        check = self.get_object()
        fields = self.input(request, partial=True)
        services.update_check(check, actor=self.actor, now=timezone.now(), **fields)
        return self._shown(check)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Take the check away; its history stays."""
        services.delete_check(self.get_object(), actor=self.actor, now=timezone.now())
        return Response(status=204)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str) -> Response:
        """Stop probing; an open incident ends without an alert."""
        check = self.get_object()
        return self._shown(services.pause_check(check, actor=self.actor, now=timezone.now()))

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        """Probe again."""
        check = self.get_object()
        return self._shown(services.resume_check(check, actor=self.actor, now=timezone.now()))

    @extend_schema(
        responses=OpenApiResponse(
            OpenApiTypes.OBJECT, description="A result of the probe contract."
        )
    )
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str) -> Response:
        """Probe at once, with the given fields changed for this time. Ten a minute; no history, no alerts."""
        check = self.get_object()
        result = manual.test_now(
            client=self.client,
            actor=self.actor,
            now=timezone.now(),
            check=check,
            **self.input(request, partial=True),
        )
        return Response(result.to_json())

    @extend_schema(
        parameters=[
            ID,
            OpenApiParameter("cursor", str, description="Opaque; taken from `next`."),
            OpenApiParameter("limit", int, description="Rows a page, 1 to 100."),
            OpenApiParameter("outcome", str, enum=[each.value for each in Outcome]),
        ],
        responses=ResultSerializer(many=True),
        filters=False,
    )
    @action(detail=True, methods=["get"], filterset_class=None)
    def results(self, request: Request, pk: str) -> Response:
        """The check's results of the last two days, rechecks included, newest first."""
        check = self.get_object()
        refuse_unknown(request, frozenset({"cursor", "limit", "outcome"}))
        limit = read_limit(request)
        before = read_cursor(request, (int, int))
        rows = results_page(
            self.client,
            check,
            now=timezone.now(),
            limit=limit + 1,
            before=BEFORE_ALL
            if before is None
            else (min(before[0], 2**40), min(before[1], 2**15 - 1)),
            outcomes=_outcomes(request),
        )
        following = None
        if len(rows) > limit:
            last = rows[limit - 1].row
            following = write_cursor(int(last.at.timestamp()), last.region)
        return page(request, [ResultSerializer(one).data for one in rows[:limit]], following)

    @extend_schema(parameters=[ID], responses=IncidentSerializer(many=True), filters=False)
    @action(
        detail=True,
        methods=["get"],
        filterset_class=None,
        serializer_class=IncidentSerializer,
        orderings={"started_at": "started_at"},
        default_ordering="-started_at",
    )
    def incidents(self, request: Request, pk: str) -> Response:
        """The check's outages, newest first."""
        check = self.get_object()
        refuse_unknown(request, frozenset({"cursor", "limit", "ordering"}))
        rows = self.paginate_queryset(incidents_of(self.client).filter(subject=check))
        return self.get_paginated_response(IncidentSerializer(rows, many=True).data)

    @extend_schema(responses=UptimeSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def uptime(self, request: Request, pk: str) -> Response:
        """Uptime over 24 hours, 7 and 30 days, with its coverage."""
        check, now = self.get_object(), timezone.now()
        refuse_unknown(request, frozenset())
        found = [
            shown_uptime(
                name,
                uptime_of(self.client, [check], start=now - timedelta(days=days), now=now)[
                    check.pk
                ],
            )
            for name, days in PERIODS.items()
        ]
        return Response(UptimeSerializer(found, many=True).data)

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "region_codes": region_codes()}

    def shown(self, rows: Sequence[Check]) -> Sequence[Any]:
        """Heartbeats with what is known of their calls."""
        calls = heartbeat_fields(self.client, rows, may_edit=self.can_write, now=timezone.now())
        context = {**self.get_serializer_context(), "heartbeats": calls}
        serializer = CheckSerializer(context=context)
        return [serializer.to_representation(row) for row in rows]

    def _shown(self, check: Check, *, status: int = 200) -> Response:
        return Response(self.shown([check])[0], status=status)


@extend_schema(tags=["incidents"])
@extend_schema_view(retrieve=extend_schema(parameters=[ID]))
class IncidentViewSet(ClientViewSet):
    """The client's outages."""

    model = Incident
    serializer_class = IncidentSerializer
    filterset_class = IncidentFilter
    orderings = {"id": "id", "started_at": "started_at"}
    default_ordering = "-started_at"

    def scope(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return incidents_of(self.client)

    def list(self, request: Request) -> Response:
        """All outages, newest first."""
        return self.listing(request)

    def retrieve(self, request: Request, pk: str) -> Response:
        """One outage."""
        return Response(self.get_serializer(self.get_object()).data)


def _outcomes(request: Request) -> list[int] | None:
    name = request.query_params.get("outcome")
    if name is None:
        return None
    if name not in {outcome.value for outcome in Outcome}:
        raise refuse("outcome", "choice", f"outcome must be one of {', '.join(Outcome)}.")
    return [OUTCOMES[Outcome(name)]]

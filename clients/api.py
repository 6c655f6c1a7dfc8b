"""What the views of the REST API share: the client they answer for, strict input, one shape of lists; and `/me`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from django.db.models import Model, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from clients.audit import Actor
from clients.models import ApiKey, Client, Membership, Scope, User
from clients.paging import OWN_PARAMETERS, KeysetPagination, refuse_unknown
from clients.problems import NOT_FOUND
from clients.scoping import TenantManager

Row = TypeVar("Row", bound=Model)


class ClientViewSet(GenericViewSet[Any]):
    """Answers for the client of the key or session; whatever belongs to another client is not there."""

    model: ClassVar[type[Model]]
    orderings: ClassVar[dict[str, str]] = {"id": "id"}
    default_ordering: ClassVar[str] = "-id"
    filterset_class: ClassVar[Any] = None
    pagination_class = KeysetPagination
    lookup_value_regex = "[0-9]{1,18}"

    @property
    def client(self) -> Client:
        client: Client = self.request.client  # type: ignore[attr-defined]
        return client

    @property
    def actor(self) -> Actor:
        return actor_of(self.request)

    def get_queryset(self) -> QuerySet[Any]:
        manager = self.model._default_manager
        assert isinstance(manager, TenantManager)
        if getattr(self, "swagger_fake_view", False):  # the schema is built without a client
            return manager.none()
        return self.scope(manager.for_client(self.client))

    def scope(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The client's rows that the API shows."""
        return rows

    def listing(self, request: Request) -> Response:
        """One page of the list, filtered and ordered."""
        filters = getattr(self.filterset_class, "base_filters", {})
        refuse_unknown(request, OWN_PARAMETERS | frozenset(filters))
        rows = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(self.shown(rows or ()))

    def shown(self, rows: Sequence[Any]) -> Sequence[Any]:
        """The rows as they are answered."""
        shown: Sequence[Any] = self.get_serializer(rows, many=True).data
        return shown

    @property
    def can_write(self) -> bool:
        """May the caller change what the client has?"""
        if isinstance(self.request.auth, ApiKey):
            return Scope.WRITE in self.request.auth.scopes
        membership: Membership = self.request.membership  # type: ignore[attr-defined]
        return membership.can_write

    def input(self, request: Request, *, partial: bool = False) -> dict[str, Any]:
        """The request's fields, by the rules of the serializer."""
        serializer = self.get_serializer(data=request.data, partial=partial)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields that it does not know, or that only we write, instead of passing over them."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        values = known_fields(self, data)
        found: dict[str, Any] = super().to_internal_value(values)
        return found


class RawSerializer(StrictSerializer):
    """Hands values on as they came: the service behind it judges them, for pages and API alike."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        return dict(known_fields(self, data))


def known_fields(serializer: serializers.Serializer[Any], data: Any) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise serializers.ValidationError("The request must be a JSON object.", code="type")
    wrong: dict[str, list[Any]] = {}
    for name in data:
        field = serializer.fields.get(name)
        if field is None:
            wrong[name[:40]] = [
                serializers.ErrorDetail(f"{name[:40]} is not a field here.", code="unknown")
            ]
        elif field.read_only:
            wrong[name] = [serializers.ErrorDetail(f"{name} cannot be set.", code="read_only")]
    if wrong:
        raise serializers.ValidationError(wrong)
    return data


def actor_of(request: Request) -> Actor:
    if isinstance(request.auth, ApiKey):
        return request.auth
    return request.user if isinstance(request.user, User) else None


class ClientSerializer(serializers.ModelSerializer[Client]):
    class Meta:
        model = Client
        fields = ("id", "name", "slug", "time_zone", "check_limit", "minimum_interval_s")


class MeSerializer(serializers.Serializer[Any]):
    """Whom the API takes the caller for."""

    client = ClientSerializer()
    email = serializers.EmailField(allow_null=True, help_text="Null for an API key.")
    role = serializers.CharField(allow_null=True, help_text="Null for an API key.")
    api_key = serializers.CharField(allow_null=True, help_text="Prefix of the key in use.")
    can_write = serializers.BooleanField()


class MeView(APIView):
    """Who am I, and for which client?"""

    @extend_schema(responses=MeSerializer, tags=["me"], operation_id="me")
    def get(self, request: Request) -> Response:
        key = request.auth if isinstance(request.auth, ApiKey) else None
        place: Membership | None = None if key else request.membership  # type: ignore[attr-defined]
        body = {
            "client": request.client,  # type: ignore[attr-defined]
            "email": place.user.email if place else None,
            "role": place.role if place else None,
            "api_key": key.prefix if key else None,
            "can_write": place.can_write if place else "write" in (key.scopes if key else []),
        }
        return Response(MeSerializer(body).data)


@extend_schema(exclude=True)
class NoSuchRoute(APIView):
    """Every address under the API that is none: a problem in JSON, not a page."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise NotFound(NOT_FOUND)

"""Who asks, and for which client: sets `request.client` and `request.membership`, and says what they may do.

A page's client is the one chosen in the session, else the user's first. An API key's client is the key's own.
Someone without a membership gets no client, and every view that needs one answers 404 or 403.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from clients.models import ApiKey, Client, Membership, Scope, User

SESSION_KEY = "client_id"
Params = ParamSpec("Params")


class ClientRequest(HttpRequest):
    """A page request of a member, as views behind `member_required` receive it."""

    user: User
    client: Client
    membership: Membership


def memberships_of(user: User | AnonymousUser) -> list[Membership]:
    """The user's places, by name of client; what the client switcher lists."""
    if not user.is_authenticated:
        return []
    return list(
        Membership.objects.across_clients()
        .filter(user=user)
        .select_related("client")
        .order_by("client__name", "client_id")
    )


def places_of(request: HttpRequest) -> list[Membership]:
    """The memberships of the request's user, looked up once a request."""
    known: tuple[int | None, list[Membership]] | None = getattr(request, "known_places", None)
    if known is None or known[0] != request.user.pk:
        known = (request.user.pk, memberships_of(request.user))
        request.known_places = known  # type: ignore[attr-defined]
    return known[1]


def choose_membership(request: HttpRequest) -> Membership | None:
    """The membership in force: the one chosen in the session, else the first."""
    places = places_of(request)
    chosen = request.session.get(SESSION_KEY)
    return next(
        (place for place in places if place.client_id == chosen), places[0] if places else None
    )


class ClientMiddleware:
    """Puts the membership in force on the request, looked up only when somebody asks for it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.membership = SimpleLazyObject(lambda: choose_membership(request))  # type: ignore[attr-defined]
        return self.get_response(request)


View = Callable[Concatenate[Any, Params], HttpResponse]


def member_required(view: View[Params]) -> View[Params]:
    """Signed in and member of a client; sets `request.client`."""

    @login_required
    @wraps(view)
    def guarded(request: Any, *args: Params.args, **kwargs: Params.kwargs) -> HttpResponse:
        membership = choose_membership(request)
        if membership is None:
            raise PermissionDenied(
                "You are not a member of any client yet. "
                "Ask the operator of this service, or an owner, to add you."
            )
        request.membership = membership
        request.client = membership.client
        return view(request, *args, **kwargs)

    return cast(View[Params], guarded)


def editor_required(view: View[Params]) -> View[Params]:
    """A member who may change checks and channels."""

    @wraps(view)
    def guarded(request: Any, *args: Params.args, **kwargs: Params.kwargs) -> HttpResponse:
        if not request.membership.can_write:
            raise PermissionDenied(
                "Your role only reads. An owner or admin of this client can change it."
            )
        return view(request, *args, **kwargs)

    return member_required(cast(View[Params], guarded))


def manager_required(view: View[Params]) -> View[Params]:
    """An owner or admin: who may hand out access to the client."""

    @wraps(view)
    def guarded(request: Any, *args: Params.args, **kwargs: Params.kwargs) -> HttpResponse:
        if not request.membership.can_manage:
            raise PermissionDenied("Only an owner or admin of this client may do that.")
        return view(request, *args, **kwargs)

    return member_required(cast(View[Params], guarded))


def operator_required(view: View[Params]) -> View[Params]:
    """Staff of the service."""

    @login_required
    @wraps(view)
    def guarded(request: Any, *args: Params.args, **kwargs: Params.kwargs) -> HttpResponse:
        if not request.user.is_staff:
            raise PermissionDenied("This page is for operators of the service.")
        return view(request, *args, **kwargs)

    return cast(View[Params], guarded)


class ClientPermission(BasePermission):
    """API: a member or key reads its client; editors and keys with the write scope change it."""

    message = "This key or role may not do that."

    def has_permission(self, request: Request, view: Any) -> bool:
        if isinstance(request.auth, ApiKey):
            request.client = request.auth.client  # type: ignore[attr-defined]
            return request.method in SAFE_METHODS or Scope.WRITE in request.auth.scopes
        if not request.user or not request.user.is_authenticated:
            return False
        membership = choose_membership(request._request)
        if membership is None:
            return False
        request.membership = membership  # type: ignore[attr-defined]
        request.client = membership.client  # type: ignore[attr-defined]
        return request.method in SAFE_METHODS or membership.can_write

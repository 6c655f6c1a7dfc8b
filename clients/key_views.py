"""Pages of a client's API keys: listed for every member, made and revoked by owners and admins."""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from clients.access import ClientRequest, manager_required, member_required
from clients.apikeys import create_key, listed_keys, revoke_key
from clients.forms import KeyForm
from clients.models import ApiKey

LIST: Final = "/keys/"
API: Final = "/api/v1/"
DOCS: Final = f"{API}docs/"


@require_safe
@member_required
def listing(request: ClientRequest) -> HttpResponse:
    keys = listed_keys(request.client, now=timezone.now())
    context = {"keys": keys, "can_manage": request.membership.can_manage, "docs": DOCS}
    return render(request, "clients/key_list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@manager_required
def create(request: ClientRequest) -> HttpResponse:
    """The key is in the answer to this one request and nowhere else, so it is shown without a redirect."""
    if request.method != "POST":
        return _form(request, KeyForm(client=request.client))
    form = KeyForm(request.POST, client=request.client)
    if form.is_valid():
        try:
            made = create_key(
                client=request.client, actor=request.user, now=timezone.now(), **form.values()
            )
        except ValidationError as error:
            form.add_rules(error)
        else:
            context = {"made": made, "back": LIST, "docs": DOCS, "api": settings.SITE_URL + API}
            return render(request, "clients/key_made.html", context, status=201)
    return _form(request, form, status=422)


def _form(request: ClientRequest, form: KeyForm, *, status: int = 200) -> HttpResponse:
    context = {"form": form, "back": LIST}
    return render(request, "clients/key_form.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@manager_required
def revoke(request: ClientRequest, number: int) -> HttpResponse:
    key = (
        ApiKey.objects.for_client(request.client)
        .select_related("client")
        .filter(revoked_at=None, pk=number)
        .first()
    )
    if key is None:
        raise Http404("no such live key of this client")
    if request.method != "POST":
        return render(request, "clients/key_revoke.html", {"key": key, "back": LIST})
    revoke_key(key, actor=request.user, now=timezone.now())
    messages.success(request, f"{key.name} is revoked. Requests with it are refused from now on.")
    return HttpResponseRedirect(LIST)

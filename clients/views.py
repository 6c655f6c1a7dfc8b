"""Small choices of a signed-in user: which client the pages show, and the theme."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from clients.access import SESSION_KEY, memberships_of
from clients.models import Theme, User


@require_POST
@login_required
def switch_client(request: HttpRequest) -> HttpResponse:
    """Shows another client's pages from now on; only one the user is a member of."""
    wanted = request.POST.get("client", "")
    for place in memberships_of(request.user):
        if place.client.slug == wanted:
            request.session[SESSION_KEY] = place.client_id
            return HttpResponseRedirect("/")
    raise Http404("no such client among yours")


@require_POST
@login_required
def choose_theme(request: HttpRequest) -> HttpResponse:
    """Stores the theme with the user, so that it is in the first byte of the next page."""
    wanted = request.POST.get("theme", "")
    if wanted not in Theme.values:
        return HttpResponse("theme: one of " + ", ".join(Theme.values), status=400)
    User.objects.filter(email=request.user.get_username()).update(theme=wanted)
    return HttpResponseRedirect(_local_path(request, request.POST.get("next", "/")))


def _local_path(request: HttpRequest, path: str) -> str:
    """Back to where the user was, but never to another site."""
    secure = request.is_secure()
    allowed = url_has_allowed_host_and_scheme(path, {request.get_host()}, require_https=secure)
    return path if allowed else "/"

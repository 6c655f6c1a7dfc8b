"""The page on which an editor gives a heartbeat another address: a question, then the deed."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from checks.heartbeats.life import rotate_key
from checks.models import Kind
from checks.selectors import live_checks
from checks.views import LIST, page_of
from clients.access import ClientRequest, editor_required


@require_http_methods(["GET", "HEAD", "POST"])
@editor_required
def rotate(request: ClientRequest, number: int) -> HttpResponse:
    check = live_checks(request.client).filter(pk=number, kind=Kind.HEARTBEAT).first()
    if check is None:
        raise Http404("no such heartbeat of this client")
    if request.method == "POST":
        rotate_key(check, actor=request.user)
        messages.success(request, "The address is new. Change it in the job now.")
        return HttpResponseRedirect(page_of(check))
    return render(
        request, "heartbeats/rotate.html", {"check": check, "list": LIST, "back": page_of(check)}
    )

"""A client's incidents: what is open, what was, and how one went (hop 10)."""

from __future__ import annotations

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from clients.access import ClientRequest, member_required
from dashboard.selectors import incidents
from dashboard.views.live import answer, live_part


def cursor_of(request: ClientRequest) -> int | None:
    """The row before which a page begins; None for the first page and for nonsense."""
    text = request.GET.get("before", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


@require_safe
@member_required
def incident_list(request: ClientRequest) -> HttpResponse:
    before = cursor_of(request)
    closed = incidents.closed_incidents(request.client, before=before)
    ongoing = [] if before else incidents.open_incidents(request.client)
    context = {
        "ongoing": ongoing,
        "closed": closed.rows,
        "older": f"?before={closed.older}" if closed.older else "",
        "first_page": before is None,
        "now": timezone.now(),
    }
    part = live_part(request, "dashboard/incident_list_live.html", context)
    return answer(request, "dashboard/incident_list.html", part, context)


@require_safe
@member_required
def incident_detail(request: ClientRequest, number: int) -> HttpResponse:
    incident = incidents.incident_of(request.client, number)
    if incident is None:
        raise Http404("no such incident of this client")
    return render(
        request,
        "dashboard/incident.html",
        {
            "incident": incident,
            "steps": incidents.timeline_of(request.client, incident),
            "confirmations": incidents.confirmations_of(incident),
            "now": timezone.now(),
        },
    )

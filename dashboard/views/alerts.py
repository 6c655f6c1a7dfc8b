"""A client's channels and the history of what was sent to them (hop 10)."""

from __future__ import annotations

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from alerts.models import Delivery
from alerts.services import masked_target
from clients.access import ClientRequest, member_required
from dashboard.selectors import alerts
from dashboard.views.incidents import cursor_of

FILTERS = (("", "All"), ("sent", "Delivered"), ("queued", "Waiting"), ("failed", "Failed"))


@require_safe
@member_required
def channel_list(request: ClientRequest) -> HttpResponse:
    return render(
        request,
        "dashboard/channel_list.html",
        {
            "cards": alerts.channel_cards(request.client),
            "can_write": request.membership.can_write,
        },
    )


@require_safe
@member_required
def delivery_list(request: ClientRequest) -> HttpResponse:
    state = request.GET.get("state", "")
    state = state if state in {value for value, _ in FILTERS} else ""
    page = alerts.delivery_page(request.client, state=state, before=cursor_of(request))
    return render(
        request,
        "dashboard/delivery_list.html",
        {
            "deliveries": page.rows,
            "older": f"?state={state}&before={page.older}" if page.older else "",
            "state": state,
            "filters": FILTERS,
            "can_write": request.membership.can_write,
        },
    )


@require_safe
@member_required
def delivery_detail(request: ClientRequest, number: int) -> HttpResponse:
    """One message: what it said, every try, and what the other side answered."""
    delivery = alerts.delivery_of(request.client, number)
    if delivery is None:
        raise Http404("no such delivery of this client")
    return render(
        request,
        "dashboard/delivery.html",
        {
            "delivery": delivery,
            "attempts": alerts.attempts_of(request.client, delivery),
            "target": masked_target(delivery.channel.kind, delivery.channel.target),
            "can_resend": request.membership.can_write and delivery.state == Delivery.State.DEAD,
        },
    )

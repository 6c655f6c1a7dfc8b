"""A client's channels and the history of what was sent to them (hop 10)."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from alerts.models import Delivery
from alerts.services import masked_target
from clients.access import ClientRequest, member_required
from dashboard.selectors import alerts
from dashboard.views.incidents import cursor_of

FILTERS = (("", "All"), ("sent", "Delivered"), ("queued", "Waiting"), ("failed", "Failed"))
WITHHELD = "withheld"
CLIENT_FILTERS = (*FILTERS, (WITHHELD, "Not sent, and why"))


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
    state = state if state in {value for value, _ in CLIENT_FILTERS} else ""
    before = cursor_of(request)
    context: dict[str, Any] = {"state": state, "filters": CLIENT_FILTERS}
    if state == WITHHELD:
        notices = alerts.withheld_page(request.client, before=before)
        context |= {"notices": notices.rows, "older": older_link(state, notices.older)}
    else:
        page = alerts.delivery_page(request.client, state=state, before=before)
        context |= {"deliveries": page.rows, "older": older_link(state, page.older)}
    return render(request, "dashboard/delivery_list.html", context)


def older_link(state: str, older: int | None) -> str:
    """The next page of the same filter; empty on the last."""
    return f"?state={state}&before={older}" if older else ""


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

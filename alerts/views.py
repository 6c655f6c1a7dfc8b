"""Pages that change channels and send messages again."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from alerts import services
from alerts.forms import ChannelForm
from alerts.models import Channel, ChannelKind, Delivery
from clients.access import ClientRequest, editor_required
from clients.rate import RateLimited

LIST = "/channels/"
HISTORY = "/alerts/"


def _channel_or_404(request: ClientRequest, number: int) -> Channel:
    channel = (
        Channel.objects.for_client(request.client)
        .select_related("client")
        .filter(deleted_at=None, pk=number)
        .first()
    )
    if channel is None:
        raise Http404("no such channel of this client")
    return channel


@require_http_methods(["GET", "HEAD", "POST"])
@editor_required
def create(request: ClientRequest) -> HttpResponse:
    if request.method != "POST":
        return _show(request, ChannelForm(), None)
    form = ChannelForm(request.POST)
    if form.is_valid():
        try:
            channel = services.create_channel(
                client=request.client,
                actor=request.user,
                now=timezone.now(),
                **form.cleaned_data,
            )
        except ValidationError as error:
            form.add_rules(error)
        else:
            if request.POST.get("do") == "save":
                messages.success(request, f"{channel.name} is saved. Send a test to be sure.")
            else:
                _try_out(request, channel)
            return HttpResponseRedirect(LIST)
    return _show(request, form, None, status=422)


@require_http_methods(["GET", "HEAD", "POST"])
@editor_required
def edit(request: ClientRequest, number: int) -> HttpResponse:
    channel = _channel_or_404(request, number)
    if request.method != "POST":
        return _show(request, ChannelForm(channel=channel), channel)
    form = ChannelForm(request.POST, channel=channel)
    if form.is_valid():
        try:
            services.update_channel(
                channel, actor=request.user, changes=form.cleaned_data, now=timezone.now()
            )
        except ValidationError as error:
            form.add_rules(error)
        else:
            messages.success(request, f"{channel.name} is saved.")
            return HttpResponseRedirect(LIST)
    return _show(request, form, channel, status=422)


def _show(
    request: ClientRequest, form: ChannelForm, channel: Channel | None, *, status: int = 200
) -> HttpResponse:
    context: dict[str, Any] = {
        "form": form,
        "channel": channel,
        "back": LIST,
        "is_webhook": channel is not None and channel.kind == ChannelKind.WEBHOOK,
    }
    return render(request, "alerts/channel_form.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@editor_required
def delete(request: ClientRequest, number: int) -> HttpResponse:
    channel = _channel_or_404(request, number)
    if request.method != "POST":
        return render(request, "alerts/channel_delete.html", {"channel": channel, "back": LIST})
    services.delete_channel(channel, actor=request.user, now=timezone.now())
    messages.success(request, f"{channel.name} is deleted. Its messages stay in the history.")
    return HttpResponseRedirect(LIST)


@require_POST
@editor_required
def switch(request: ClientRequest, number: int) -> HttpResponse:
    """On or off, as the form says."""
    channel = _channel_or_404(request, number)
    on = request.POST.get("on") == "1"
    act = services.enable_channel if on else services.disable_channel
    act(channel, actor=request.user, now=timezone.now())
    messages.success(request, f"{channel.name} is {'on' if on else 'off'}.")
    return HttpResponseRedirect(LIST)


@require_POST
@editor_required
def rotate(request: ClientRequest, number: int) -> HttpResponse:
    channel = _channel_or_404(request, number)
    try:
        services.rotate_secret(channel, actor=request.user, now=timezone.now())
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(
            request, "There is a new signing secret. The old one signs too for 24 hours."
        )
    return HttpResponseRedirect(f"{LIST}{channel.pk}/edit/")


@require_POST
@editor_required
def test(request: ClientRequest, number: int) -> HttpResponse:
    _try_out(request, _channel_or_404(request, number))
    return HttpResponseRedirect(LIST)


def _try_out(request: ClientRequest, channel: Channel) -> None:
    """Send a test, and say what the other side answered."""
    try:
        attempt = services.send_test(channel, actor=request.user, now=timezone.now())
    except RateLimited as error:
        messages.warning(request, error.message)
        return
    said = " ".join(part for part in (attempt.status, attempt.answer[:200].strip()) if part)
    if attempt.ok:
        messages.success(request, f"{channel.name} took the test message. {said}".strip())
    else:
        messages.error(request, f"{channel.name} did not take the test message. {said}".strip())


@require_POST
@editor_required
def resend(request: ClientRequest, number: int) -> HttpResponse:
    delivery = Delivery.objects.for_client(request.client).filter(pk=number).first()
    if delivery is None:
        raise Http404("no such message of this client")
    try:
        services.resend(delivery, actor=request.user, now=timezone.now())
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, "The message is on its way again.")
    return HttpResponseRedirect(f"{HISTORY}{delivery.pk}/")

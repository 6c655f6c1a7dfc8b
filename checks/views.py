"""Pages that change checks: create, edit, pause, resume, delete, test now."""

from __future__ import annotations

from functools import wraps
from typing import Any, cast

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from checks import services
from checks.forms import CheckForm, form_for
from checks.manual import test_now
from checks.models import Check, Kind
from clients.access import ClientRequest, Params, View, editor_required
from clients.rate import RateLimited
from fanout_lambdas.shared.contracts import Result

LIST = "/checks/"
KINDS = (
    (Kind.HTTP, "Status, text, JSON, speed and certificate of an address."),
    (Kind.TCP, "A port that accepts connections, such as a database's."),
    (Kind.TLS, "How long a certificate is still valid."),
    (Kind.DNS, "What a name resolves to."),
    (Kind.HEARTBEAT, "A job of yours that calls us, such as a nightly backup."),
)
"""What can be watched, with a line on each."""


def page_of(check: Check) -> str:
    """Where `dashboard` shows the check; an address, because views do not import upward."""
    return f"{LIST}{check.pk}/"


def changes_check(view: View[Params]) -> View[Params]:
    """A page of an editor; a check that somebody deletes meanwhile is not there, which is no error of ours."""

    @wraps(view)
    def guarded(request: Any, *args: Params.args, **kwargs: Params.kwargs) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except Check.DoesNotExist as error:
            raise Http404("no such check of this client") from error

    return editor_required(cast(View[Params], guarded))


def _check_or_404(request: ClientRequest, number: int) -> Check:
    check = (
        Check.objects.for_client(request.client)
        .select_related("client")
        .filter(deleted_at=None, pk=number)
        .first()
    )
    if check is None:
        raise Http404("no such check of this client")
    return check


@require_http_methods(["GET", "HEAD", "POST"])
@editor_required
def create(request: ClientRequest) -> HttpResponse:
    return _form_page(request, None)


@require_http_methods(["GET", "HEAD", "POST"])
@changes_check
def edit(request: ClientRequest, number: int) -> HttpResponse:
    return _form_page(request, _check_or_404(request, number))


def _form_page(request: ClientRequest, check: Check | None) -> HttpResponse:
    """Save, or try the draft out and show the form again with what the try gave."""
    client, kind = request.client, _kind_of(request, check)
    if request.method != "POST":
        draft = {"url": request.GET["url"]} if check is None and "url" in request.GET else None
        given = {"initial": draft} if draft else {}
        return _show(request, form_for(kind, client=client, check=check, **given), check)
    form = form_for(kind, request.POST, client=client, check=check)
    result: Result | None = None
    status = 200
    if form.is_valid():
        try:
            if request.POST.get("do") == "test":
                result = test_now(
                    client=client,
                    actor=request.user,
                    now=timezone.now(),
                    check=check,
                    **form.values(),
                )
            else:
                return _save(request, form, check)
        except ValidationError as error:
            form.add_rules(error)
        except RateLimited as error:
            form.add_error(None, error.message)
            status = 429
    if form.errors and status == 200:
        status = 422
    return _show(request, form, check, result=result, status=status)


def _kind_of(request: ClientRequest, check: Check | None) -> Kind:
    """A check keeps its kind; a new one is of the kind that its address names."""
    if check is not None:
        return Kind(check.kind)
    named = request.GET.get("kind")
    return Kind(named) if named in Kind.values else Kind.HTTP


def _save(request: ClientRequest, form: CheckForm, check: Check | None) -> HttpResponse:
    now = timezone.now()
    if check is None:
        saved = services.create_check(
            client=request.client, actor=request.user, now=now, **form.values()
        )
        messages.success(request, f"{saved.name} is watched from now on.")
    else:
        saved = services.update_check(check, actor=request.user, now=now, **form.values())
        follows = (
            "" if saved.kind == Kind.HEARTBEAT else " Probes follow the change within two minutes."
        )
        messages.success(request, f"Saved.{follows}")
    return HttpResponseRedirect(page_of(saved))


def _show(
    request: ClientRequest,
    form: CheckForm,
    check: Check | None,
    *,
    result: Result | None = None,
    status: int = 200,
) -> HttpResponse:
    context: dict[str, Any] = {
        "form": form,
        "check": check,
        "kind": form.kind,
        "kinds": KINDS if check is None else (),
        "result": result,
        "back": LIST if check is None else page_of(check),
        "list": LIST,
    }
    return render(request, "checks/form.html", context, status=status)


@require_POST
@changes_check
def pause(request: ClientRequest, number: int) -> HttpResponse:
    check = _check_or_404(request, number)
    services.pause_check(check, actor=request.user, now=timezone.now())
    messages.success(request, f"{check.name} is paused: nothing is asked and nobody is alerted.")
    return HttpResponseRedirect(page_of(check))


@require_POST
@changes_check
def resume(request: ClientRequest, number: int) -> HttpResponse:
    check = _check_or_404(request, number)
    services.resume_check(check, actor=request.user, now=timezone.now())
    next_one = (
        "its next call is awaited"
        if check.kind == Kind.HEARTBEAT
        else "its first result comes at once"
    )
    messages.success(request, f"{check.name} is watched again; {next_one}.")
    return HttpResponseRedirect(page_of(check))


@require_http_methods(["GET", "HEAD", "POST"])
@changes_check
def delete(request: ClientRequest, number: int) -> HttpResponse:
    """Asks first: typing is not needed, because history stays and only one check goes."""
    check = _check_or_404(request, number)
    if request.method != "POST":
        return render(
            request, "checks/delete.html", {"check": check, "back": page_of(check), "list": LIST}
        )
    services.delete_check(check, actor=request.user, now=timezone.now())
    messages.success(request, f"{check.name} is deleted. Its incidents stay in the history.")
    return HttpResponseRedirect(LIST)


@require_POST
@changes_check
def test(request: ClientRequest, number: int) -> HttpResponse:
    """One probe for the person who asked; a fragment for the page, or a page of its own."""
    check = _check_or_404(request, number)
    context: dict[str, Any] = {
        "check": check,
        "kind": check.kind,
        "back": page_of(check),
        "list": LIST,
    }
    status = 200
    try:
        context["result"] = test_now(
            client=request.client, actor=request.user, now=timezone.now(), check=check
        )
    except RateLimited as error:
        context["problem"], status = error.message, 429
    except ValidationError as error:
        # A stored check that today's rules refuse, for example an address that is closed by now.
        context["problem"], status = " ".join(error.messages), 422
    part = "HX-Request" in request.headers
    template = "checks/test_result.html" if part else "checks/test.html"
    return render(request, template, context, status=status)

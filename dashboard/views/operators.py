"""Operators' pages: minute runs, alerts of all clients, mail that embedded mode kept (hop 10)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from clients.access import ClientRequest, operator_required
from dashboard.selectors import alerts, operations
from dashboard.views.alerts import FILTERS, older_link
from dashboard.views.incidents import cursor_of
from dashboard.views.live import answer, live_part
from fanout_lambdas.shared.slots import minute_from_key, minute_key


@require_safe
@operator_required
def run_list(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    before = _minute(request.GET.get("before", ""))
    runs = operations.minute_runs(before=before)
    full = len(runs) == operations.PAGE_MINUTES
    older = minute_key(int(runs[-1].minute.timestamp())) if full else ""
    context = {
        "runs": [
            (
                run,
                operations.run_state(run, now),
                minute_key(int(run.minute.timestamp())),
                operations.hitches(run),
            )
            for run in runs
        ],
        "hour": operations.totals(now=now, span=timedelta(hours=1)),
        "day": operations.totals(now=now, span=timedelta(hours=24)),
        "older": f"?before={older}" if older else "",
        "now": now,
    }
    part = live_part(request, "dashboard/ops_runs_live.html", context)
    return answer(request, "dashboard/ops_runs.html", part, context)


@require_safe
@operator_required
def run_detail(request: HttpRequest, key: str) -> HttpResponse:
    """One minute: its counters as a funnel, and every batch that reported."""
    minute = _minute(key)
    runs = operations.runs_of(minute) if minute else []
    if minute is None or not runs:
        raise Http404("no run of that minute")
    now = timezone.now()
    step = timedelta(minutes=1)
    context = {
        "minute": minute,
        "runs": [
            (
                run,
                operations.run_state(run, now),
                run.planned - run.excluded,
                operations.invocations(run),
            )
            for run in runs
        ],
        "dead_letters": operations.dead_letters_of(minute),
        "batches": operations.batches_of(minute),
        "earlier": minute_key(int((minute - step).timestamp())),
        "later": minute_key(int((minute + step).timestamp())),
    }
    part = live_part(request, "dashboard/ops_run_live.html", context)
    return answer(request, "dashboard/ops_run.html", part, context)


@require_safe
@operator_required
def alert_list(request: ClientRequest) -> HttpResponse:
    state = request.GET.get("state", "")
    state = state if state in {value for value, _ in FILTERS} else ""
    page = alerts.delivery_page(None, state=state, before=cursor_of(request))
    return render(
        request,
        "dashboard/ops_alerts.html",
        {
            "deliveries": page.rows,
            "older": older_link(state, page.older),
            "state": state,
            "filters": FILTERS,
        },
    )


@require_safe
@operator_required
def mail_list(request: HttpRequest) -> HttpResponse:
    folder = Path(settings.EMAIL_FILE_PATH)
    return render(
        request,
        "dashboard/ops_mail.html",
        {"letters": operations.letters(folder), "folder": folder},
    )


@require_safe
@operator_required
def mail_detail(request: HttpRequest, name: str) -> HttpResponse:
    letter = operations.letter(Path(settings.EMAIL_FILE_PATH), name)
    if letter is None:
        raise Http404("no such message")
    return render(request, "dashboard/ops_letter.html", {"letter": letter})


def _minute(key: str) -> datetime | None:
    try:
        return datetime.fromtimestamp(minute_from_key(key), UTC)
    except ValueError:
        return None

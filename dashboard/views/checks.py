"""A client's checks: overview, list, one check, one result (hop 10)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from checks.heartbeats.page import heartbeat_page
from checks.models import Check, Kind, State
from checks.schedules import KEPT, schedules_of
from checks.selectors import live_checks
from clients.access import ClientRequest, member_required
from dashboard.charts import phases_in
from dashboard.facts import facts_of
from dashboard.phases import PHASES, waterfall
from dashboard.selectors import checks as listing
from dashboard.selectors import detail, incidents, results
from dashboard.strips import minute_strip
from dashboard.views.live import answer, live_part
from fanout_lambdas.shared.slots import phase

if TYPE_CHECKING:
    from dashboard.selectors.checks import ListedCheck

RESULTS_PER_PAGE = 20
OVERVIEW_ROWS = 8
CHANGES_SHOWN = 10
_A_SECOND = timedelta(seconds=1)
_FIRST_SLOT_WITHIN = timedelta(seconds=60)
_OUR_FAULT_AFTER = timedelta(minutes=3)


@require_safe
def home(request: ClientRequest) -> HttpResponse:
    """The overview; operators who belong to no client begin with the machinery."""
    if request.user.is_authenticated and request.user.is_staff and not request.membership:
        return redirect("dashboard:ops-runs")
    return overview(request)


@member_required
def overview(request: ClientRequest) -> HttpResponse:
    """One sentence on how things are, what needs somebody, and the worst checks first."""
    now, zone = timezone.now(), timezone.get_current_timezone()
    client = request.client
    counts = listing.counts_by_state(client)
    page = listing.check_page(
        client, listing.CheckFilter(), counts, now=now, zone=zone, size=OVERVIEW_ROWS
    )
    ongoing, over = incidents.open_and_latest(client, count=5)
    context = {
        "counts": counts,
        "total": sum(counts.values()),
        "rows": page.rows,
        "more": page.total - len(page.rows),
        "verdict": verdict_of(
            counts, confirming=any(row.state == "confirming" for row in page.rows)
        ),
        "tiles": tiles_of(counts),
        "incidents": ongoing,
        "recent": over,
        "expiring": listing.expiring_checks(client, now=now),
        "listening": listing.listens(client),
        "can_write": request.membership.can_write,
        "now": now,
    }
    part = live_part(request, "dashboard/overview_live.html", context, down=counts["down"])
    return answer(request, "dashboard/overview.html", part, context)


def verdict_of(counts: dict[str, int], *, confirming: bool = False) -> tuple[str, str]:
    """(state, sentence) for all checks together: the worst gives the colour, each has its number."""
    words = {"down": "down", "degraded": "slow", "unknown": "without data"}
    bad = [(state, f"{counts[state]} {word}") for state, word in words.items() if counts[state]]
    total = sum(counts.values())
    running = total - counts["paused"]
    if bad:
        return bad[0][0], ", ".join(words for _, words in bad)
    if not running:
        return "paused", "Everything is paused"
    if counts["new"] == running:
        if confirming:
            return "confirming", "A first failure is being confirmed"
        return "new", "Waiting for the first results"
    up = counts["up"]
    return "up", f"All {up} up" if up > 1 else "Your check is up"


def tiles_of(counts: dict[str, int]) -> list[tuple[str, str, int]]:
    words = {"down": "Down", "degraded": "Slow", "unknown": "No data", "up": "Up"}
    words |= {"paused": "Paused", "new": "New"}
    always = {"down", "degraded", "up"}
    return [(s, word, counts[s]) for s, word in words.items() if counts[s] or s in always]


@require_safe
@member_required
def check_list(request: ClientRequest) -> HttpResponse:
    now, zone = timezone.now(), timezone.get_current_timezone()
    client = request.client
    wanted = listing.CheckFilter(
        state=request.GET.get("state", "") if request.GET.get("state") in State.values else "",
        kind=request.GET.get("kind", "") if request.GET.get("kind") in Kind.values else "",
        text=_search_text(request.GET.get("q", "")),
        page=_page_number(request.GET.get("page", "")),
    )
    counts = listing.counts_by_state(client)
    page = listing.check_page(client, wanted, counts, now=now, zone=zone)
    total = sum(counts.values())
    given = {"kind": wanted.kind, "q": wanted.text}
    kept = {name: value for name, value in given.items() if value}
    query = ({"state": wanted.state} if wanted.state else {}) | kept
    context = {
        "page": page,
        "wanted": wanted,
        "kept": urlencode(kept),
        "kinds": Kind.choices,
        "tiles": tiles_of(counts),
        "total": total,
        "limit": client.check_limit,
        "listening": listing.listens(client),
        "newer": f"?{urlencode({**query, 'page': page.page - 1})}" if page.page > 1 else "",
        "older": f"?{urlencode({**query, 'page': page.page + 1})}"
        if page.page < page.pages
        else "",
        "can_write": request.membership.can_write,
        "now": now,
    }
    part = live_part(request, "dashboard/check_list_live.html", context, down=counts["down"])
    return answer(request, "dashboard/check_list.html", part, context)


def _search_text(text: str) -> str:
    """What is looked for. PostgreSQL knows no NUL, so no name or address holds one either."""
    return text.replace("\0", "").strip()[:100]


def _page_number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 1


def _check_or_404(request: ClientRequest, number: int, now: datetime) -> ListedCheck:
    rows = listing.with_signs(request.client, live_checks(request.client), now=now)
    check = rows.filter(pk=number).first()
    if check is None:
        raise Http404("no such check of this client")
    return check


@require_safe
@member_required
def check_detail(request: ClientRequest, number: int) -> HttpResponse:
    """Everything known of one check: state, figures, chart, results, incidents, deliveries."""
    now, zone = timezone.now(), timezone.get_current_timezone()
    client, check = request.client, _check_or_404(request, number, now)
    span = request.GET.get("range", "24h")
    span = span if span in detail.RANGES else "24h"
    failures = request.GET.get("failures") == "1"
    before = _moment(request.GET.get("before", ""))
    schedules = schedules_of(client, [check], since=now - KEPT)[check.pk]
    found = results.newest_results(
        client,
        check,
        schedules,
        before=before or now + timedelta(seconds=1),
        count=RESULTS_PER_PAGE,
        failures=failures,
    )
    rows = found[:RESULTS_PER_PAGE]
    evidence = results.evidence_of(client, check, rows)
    (row,) = listing.check_rows(client, [check], now=now, zone=zone)
    figures = detail.figures_of(row.record, now=now)
    measured = detail.measurements_of(client, check, schedules, span=detail.RANGES[span], now=now)
    changes = detail.changes_of(client, check)
    latest = detail.incidents_of(client, check)
    regions = results.region_names()
    down, told = listing.standing_of(client)
    context: dict[str, Any] = {
        "check": check,
        "row": row,
        "incident": next((one for one in latest if one.resolved_at is None), None),
        "strip": minute_strip(row.cells, zone=zone, stretch=True),
        "figures": figures,
        "day": figures[-1],
        "chart": detail.chart_of(check, measured, changes, zone=zone),
        "phases": [PHASES[place] for place in phases_in(measured.buckets)],
        "p95_ms": measured.p95_ms,
        "range": span,
        "range_words": detail.RANGE_WORDS[span],
        "ranges": list(detail.RANGE_WORDS.items()),
        "results": [
            (one, evidence[one.key].message if one.key in evidence else "") for one in rows
        ],
        "failures": failures,
        "paged": before is not None,
        "older": _older(rows, span, failures) if len(found) > RESULTS_PER_PAGE else "",
        "regions": regions,
        "incidents": latest,
        "deliveries": detail.deliveries_of(client, check),
        "changes": changes[:CHANGES_SHOWN],
        "facts": facts_of(check, regions),
        "heartbeat": heartbeat_page(client, check, may_edit=request.membership.can_write, now=now)
        if check.kind == Kind.HEARTBEAT
        else None,
        "next_at": next_slot(check, now),
        "first_soon": first_soon(check, row.last_at, now),
        "resumed": check.state == State.NEW and check.state_since - check.created_at > _A_SECOND,
        "silent_since": silent_since(check, row.last_at, now),
        "listening": told,
        "can_write": request.membership.can_write,
        "now": now,
    }
    part = live_part(request, "dashboard/check_live.html", context, down=down)
    return answer(request, "dashboard/check.html", part, context)


def next_slot(check: Check, now: datetime) -> datetime | None:
    """When the check is due next; None while it is paused."""
    if check.paused_at is not None or check.kind == Kind.HEARTBEAT:
        return None
    second = int(now.timestamp())
    behind = (second - phase(check.pk, check.interval_s)) % check.interval_s
    return datetime.fromtimestamp(second - behind + check.interval_s, UTC)


def first_soon(check: Check, last_at: datetime | None, now: datetime) -> bool:
    """Is the slot under way that a new or resumed check gets at once?"""
    fresh = check.state == State.NEW and last_at is None and check.kind != Kind.HEARTBEAT
    return fresh and now - check.state_since < _FIRST_SLOT_WITHIN


def silent_since(check: Check, last_at: datetime | None, now: datetime) -> datetime | None:
    """Since when we, not the target, owe results; None while they come."""
    if check.paused_at is not None or check.state == State.NEW or last_at is None:
        return None
    if check.kind == Kind.HEARTBEAT:  # whose silence is its job's
        return None
    allowed = max(_OUR_FAULT_AFTER, timedelta(seconds=3 * check.interval_s))
    return last_at if now - last_at > allowed else None


def _older(rows: list[results.Seen], span: str, failures: bool) -> str:
    query: dict[str, str] = {"range": span, "before": str(int(rows[-1].at.timestamp()))}
    if failures:
        query["failures"] = "1"
    return f"?{urlencode(query)}#results"


def _moment(text: str) -> datetime | None:
    if not (text.isascii() and text.isdigit() and len(text) <= 11):
        return None
    return datetime.fromtimestamp(int(text), UTC)


@require_safe
@member_required
def result_detail(request: ClientRequest, number: int, second: int, region: int) -> HttpResponse:
    """One result: its phases on one axis, and what it had to show."""
    client, check = request.client, _check_or_404(request, number, timezone.now())
    seen = results.one_result(client, check, second=second, region=region)
    if seen is None:
        raise Http404("no such result; results are kept for two days")
    evidence = results.evidence_of(client, check, [seen]).get(seen.key)
    return render(
        request,
        "dashboard/result.html",
        {
            "check": check,
            "seen": seen,
            "region": results.region_names().get(seen.region, ""),
            "waterfall": waterfall(detail.phases_of(seen)),
            "evidence": evidence,
        },
    )

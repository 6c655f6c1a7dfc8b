"""The part of a page that is asked for again and again: swapped when it changed, 204 when it did not (hop 10)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

# "12 s ago" is counted on by the page's own script and is no news.
_RELATIVE = re.compile(r"(<time[^>]*data-(?:relative|countdown)[^>]*>)[^<]*")
_TOKEN = re.compile(r'(name="csrfmiddlewaretoken" value=")[^"]*')


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A rendered part, its mark, and the address that asks for it anew."""

    html: SafeString
    mark: str
    address: str
    down: int | None


def live_part(
    request: HttpRequest, template: str, context: Mapping[str, Any], *, down: int | None = None
) -> Live:
    if down is not None:
        request.checks_down = down  # type: ignore[attr-defined]  # the frame need not count again
    html = render_to_string(template, dict(context), request)
    plain = _TOKEN.sub(r"\1", _RELATIVE.sub(r"\1", html))
    mark = hashlib.sha256(plain.encode()).hexdigest()[:16]
    query = request.GET.copy()
    query["part"], query["seen"] = "live", mark
    return Live(
        html=mark_safe(html), mark=mark, address=f"{request.path}?{query.urlencode()}", down=down
    )


def answer(
    request: HttpRequest, template: str, part: Live, context: Mapping[str, Any]
) -> HttpResponse:
    """The whole page, or only its live part when the page asks for it."""
    if request.GET.get("part") != "live":
        return render(request, template, {**context, "live": part})
    if request.GET.get("seen") == part.mark:
        return HttpResponse(status=204)
    return render(request, "parts/live.html", {"live": part})

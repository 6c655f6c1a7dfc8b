"""What templates say in one word: icons, states, times and figures (hop 10)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from alerts.models import Delivery
from checks.models import Incident
from clients.models import AuditEvent
from dashboard import figures, icons
from dashboard.changes import Change, changes_in, field_word
from dashboard.strips import Strip
from dashboard.visible import visible

register = template.Library()


@dataclass(frozen=True, slots=True, kw_only=True)
class Badge:
    """How a state looks and reads."""

    css: str
    icon: str
    word: str


# States of a check, outcomes of a result and states of a delivery, with one look for one meaning.
BADGES: Final = {
    "up": Badge(css="is-up", icon="state-up", word="Up"),
    "degraded": Badge(css="is-slow", icon="state-slow", word="Slow"),
    "down": Badge(css="is-down", icon="state-down", word="Down"),
    "checking": Badge(css="is-checking", icon="state-checking", word="Checking again"),
    "maintenance": Badge(css="is-maintenance", icon="state-maintenance", word="Maintenance"),
    "paused": Badge(css="is-paused", icon="state-paused", word="Paused"),
    "unknown": Badge(css="is-none", icon="state-none", word="No data"),
    "new": Badge(css="is-new", icon="state-new", word="New"),
    "confirming": Badge(css="is-checking", icon="state-checking", word="Being confirmed"),
    "missed": Badge(css="is-none", icon="state-none", word="Missed"),
    "void": Badge(css="is-none", icon="state-none", word="Not counted"),
    "open": Badge(css="is-down", icon="state-down", word="Ongoing"),
    "ended": Badge(css="is-up", icon="state-up", word="Resolved"),
    "sent": Badge(css="is-up", icon="state-up", word="Delivered"),
    "queued": Badge(css="is-checking", icon="state-checking", word="Waiting"),
    "sending": Badge(css="is-checking", icon="state-checking", word="Being sent"),
    "dead": Badge(css="is-down", icon="state-down", word="Failed"),
    "withheld": Badge(css="is-paused", icon="mute", word="Not sent"),
}
_UNKNOWN_BADGE: Final = Badge(css="is-none", icon="state-none", word="")


@register.simple_tag
def icon(name: str, extra_class: str = "") -> SafeString:
    return mark_safe(icons.icon(name, extra_class))


@register.simple_tag
def logo() -> SafeString:
    return mark_safe(icons.LOGO)


@register.simple_tag
def state(value: str, form: str = "", word: str = "") -> SafeString:
    """A state as shape and word; `form` is empty, "pill" or "large"."""
    badge = BADGES.get(str(value), _UNKNOWN_BADGE)
    css = {"pill": "state-pill", "large": "state-pill state-large"}.get(form, "")
    return format_html(
        '<span class="state {} {}">{}<span>{}</span></span>',
        badge.css,
        css,
        mark_safe(icons.icon(badge.icon)),
        word or badge.word or str(value).capitalize(),
    )


@register.filter
def state_class(value: str) -> str:
    return BADGES.get(str(value), _UNKNOWN_BADGE).css


@register.filter
def state_icon(value: str) -> SafeString:
    return mark_safe(icons.icon(BADGES.get(str(value), _UNKNOWN_BADGE).icon))


@register.simple_tag
def drawing(value: Any) -> SafeString:
    """A strip's or a chart's SVG; `dashboard.charts` has escaped whatever stands in it."""
    return mark_safe(value.svg if value else "")


@register.filter("visible")
def visible_text(text: object) -> SafeString:
    """A stranger's text: what hides in it is shown, and its direction stays its own."""
    return format_html("<bdi>{}</bdi>", visible(str(text)))


@register.filter
def words(value: Strip) -> str:
    return value.label


# Times -------------------------------------------------------------------------------------------


def zone_name(at: datetime) -> str:
    """The zone as people write it beside a time."""
    name = at.tzname() or "UTC"
    return f"UTC{name}" if name[:1] in "+-" else name


def _local(at: datetime) -> datetime:
    zone: tzinfo = timezone.get_current_timezone()
    return at.astimezone(zone)


def relative_words(at: datetime, now: datetime) -> str:
    """12 s ago, 5 min ago, in 23 s; the script of the page keeps it current."""
    seconds = int((now - at).total_seconds())
    if abs(seconds) < 5:
        return "just now"
    length = figures.format_duration(abs(seconds)).split(" ")
    coarse = " ".join(length[:2])
    return f"{coarse} ago" if seconds > 0 else f"in {coarse}"


@register.simple_tag
def ago(at: datetime | None, empty: str = "never") -> SafeString:
    """Relative, with the absolute time and its zone in the tooltip."""
    if at is None:
        return format_html('<span class="muted">{}</span>', empty)
    local = _local(at)
    return format_html(
        '<time datetime="{}" title="{}" data-relative>{}</time>',
        at.astimezone(UTC).isoformat(timespec="seconds"),
        f"{local.day} {local:%b %Y, %H:%M:%S} {zone_name(local)}",
        relative_words(at, timezone.now()),
    )


@register.simple_tag
def moment(at: datetime | None, precision: str = "minute", zone: bool = True) -> SafeString:
    """Absolute, in the reader's zone, with the zone beside it: 23 Nov 14:02 UTC."""
    if at is None:
        return mark_safe('<span class="muted">–</span>')
    local = _local(at)
    clock = f"{local:%H:%M:%S}" if precision == "second" else f"{local:%H:%M}"
    year = f" {local.year}" if local.year != timezone.localtime().year else ""
    text = f"{local.day} {local:%b}{year} {clock}"
    return format_html(
        '<time datetime="{}" class="whitespace-nowrap">{}{}</time>',
        at.astimezone(UTC).isoformat(timespec="seconds"),
        text,
        f" {zone_name(local)}" if zone else "",
    )


# Figures -----------------------------------------------------------------------------------------

register.filter("ms", figures.format_ms)
register.filter("us", figures.format_us)
register.filter("duration", figures.format_duration)
register.filter("interval", figures.format_interval)
register.filter("bytes", figures.format_bytes)
register.filter("uptime", figures.format_uptime_figure)
register.filter("coverage", figures.format_coverage)


@register.filter
def grouped(number: int) -> str:
    """1,204"""
    return f"{number:,}"


@register.filter
def why_given_up(condition: str) -> str:
    """Lambda's word for why an event became a dead letter, in plain words; a word that we do not know stays."""
    return {"RetriesExhausted": "failed", "EventAgeExceeded": "too old"}.get(condition, condition)


@register.simple_tag
def count(number: int, singular: str, plural: str = "") -> str:
    return figures.format_count(number, singular, plural or None)


@register.filter
def monogram(name: str) -> str:
    """Two letters for a name: the initials, or the first two."""
    parts = [part for part in str(name).replace("@", " ").split() if part[:1].isalnum()]
    return (parts[0][:1] + parts[1][:1] if len(parts) > 1 else str(name)[:2]).upper()


_TITLE_WORD: Final = re.compile(r"(?<=[\s-])[A-Z](?=[a-z])")


@register.filter
def sentence_case(title: str) -> SafeString:
    """Titles Of Foreign Pages as we write titles; the text comes out of a template and is escaped already."""
    return mark_safe(_TITLE_WORD.sub(lambda found: found[0].lower(), " ".join(str(title).split())))


# Rows ------------------------------------------------------------------------------------------


@register.filter
def incident_length(incident: Incident) -> str:
    """How long it lasted, or has lasted."""
    end = incident.ended_at or timezone.now()
    length = figures.format_duration((end - incident.started_at).total_seconds())
    return length if incident.ended_at else f"{length} so far"


@register.filter
def delivery_delay(delivery: Delivery) -> str:
    """From the moment the fact was known to the moment the other side accepted the message."""
    if delivery.sent_at is None:
        return "–"
    return figures.format_duration((delivery.sent_at - delivery.occurred_at).total_seconds())


@register.filter
def change_words(event: AuditEvent) -> str:
    """An audit line in words: "Changed interval_s, url"."""
    verb = event.action.rpartition(".")[2]
    changed = event.detail.get("changes") if isinstance(event.detail, dict) else None
    if changed:
        return "Changed " + ", ".join(field_word(name) for name in sorted(changed))
    return verb.capitalize()


@register.filter
def changed_settings(event: AuditEvent, regions: Mapping[int, str]) -> list[Change]:
    """What the line changed, with old and new values where they are no secret."""
    return changes_in(event.detail, regions=regions)


@register.filter
def hears_words(kinds: Sequence[str]) -> str:
    known = {"down": "outages", "up": "recoveries", "degraded": "slowness", "recovered": "its end"}
    chosen = [word for kind, word in known.items() if kind in kinds]
    return ", ".join(chosen) or "nothing"


_RUN_BADGES: Final = {
    "planned": ("new", "Planned"),
    "running": ("checking", "Running"),
    "done": ("up", "Complete"),
    "partial": ("degraded", "Partial"),
    "missed": ("down", "Missed"),
}


@register.filter
def run_badge(run_state: str) -> SafeString:
    value, word = _RUN_BADGES[run_state]
    return state(value, "", word)


@register.filter
def share(value: float | None) -> str:
    return "–" if value is None else figures.format_share(value, 2)


@register.filter
def epoch(second: int) -> SafeString:
    return moment(datetime.fromtimestamp(second, UTC))


@register.filter
def item(mapping: Mapping[Any, Any], key: Any) -> Any:
    return mapping.get(key, "")

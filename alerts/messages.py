"""Story + kind of channel > the message, fixed when it is queued (hop 8): mail parts or the exact JSON body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import css_inline
from django.conf import settings
from django.template.loader import render_to_string

from alerts import wording
from alerts.models import TEST, Channel, ChannelKind
from alerts.story import Story
from checks.models import Event
from fanout_lambdas.shared.contracts import Reason

MAX_BODY: Final = 20_000
"""Bytes of a webhook's body; Standard Webhooks asks for less than 20 kB."""
MAX_SUBJECT: Final = 200
MAX_SUMMARY: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a delivery stores: one line for lists, and the document its transport understands."""

    summary: str
    document: dict[str, Any]


def render(story: Story, channel_kind: str) -> Message:
    """The message that a channel of this kind carries for this event."""
    summary = wording.one_line(headline(story), MAX_SUMMARY)
    if channel_kind == ChannelKind.EMAIL:
        return Message(summary=summary, document=_mail(story))
    return Message(summary=summary, document={"body": webhook_body(story)})


def render_test(channel: Channel, *, client_name: str, at: datetime) -> Message:
    """What a person sends to try a channel."""
    summary = wording.one_line(f"Test of {channel.name}", MAX_SUMMARY)
    if channel.kind == ChannelKind.EMAIL:
        context = {
            "channel": wording.one_line(channel.name, 100),
            "client": wording.one_line(client_name, 100),
            "at": wording.moment(at, wording.zone_of(channel.client.time_zone)),
            "link": settings.SITE_URL,
            "tone": "up",
        }
        subject = wording.one_line(f"Test: {channel.name} works", MAX_SUBJECT)
        return Message(summary=summary, document=_parts("test", subject, context))
    data = {"channel": {"id": channel.pk, "name": channel.name}, "client": client_name}
    return Message(
        summary=summary,
        document={"body": _json({"type": TEST, "timestamp": _iso(at), "data": data})},
    )


def headline(story: Story) -> str:
    """One sentence without a full stop: what happened to which check."""
    name = story.check_name
    if story.kind == Event.Kind.DOWN:
        return f"{name} is down" + (f": {story.because}" if story.because else "")
    if story.kind == Event.Kind.UP:
        lasted = story.lasted_s
        return f"{name} is up again" + (
            f" after {wording.duration(lasted)}" if lasted is not None else ""
        )
    if story.kind == Event.Kind.DEGRADED:
        if story.reason == Reason.CERT_EXPIRY:
            return f"The certificate of {name} ends soon"
        return f"{name} is slow"
    return f"{name} is back to normal"


def webhook_body(story: Story) -> str:
    """The JSON text whose bytes are signed and sent on every attempt; docs/webhooks.md describes it."""
    told = story
    while True:
        body = _json(_webhook(told, total=len(story.confirmations)))
        if len(body.encode()) <= MAX_BODY or not told.confirmations:
            return body
        told = replace(told, confirmations=told.confirmations[: len(told.confirmations) // 2])


def _webhook(story: Story, *, total: int) -> dict[str, Any]:
    incident = None
    if story.incident_id is not None:
        incident = {
            "id": story.incident_id,
            "started_at": _iso(story.since),
            "opened_at": _iso(story.opened_at),
            "ended_at": _iso(story.ended_at),
            "last_good_at": _iso(story.last_good_at),
            "duration_s": story.lasted_s,
        }
    return {
        "type": f"check.{story.kind}",
        "timestamp": _iso(story.at),
        "data": {
            "event_id": story.event_id,
            "summary": headline(story),
            "check": {"id": story.check_id, "name": story.check_name, "url": story.check_url},
            "incident": incident,
            "reason": story.reason,
            "message": story.message,
            "http_status": story.http_status,
            "since": _iso(story.since),
            "confirmed_by": [
                {"at": _iso(each.at), "region": each.region, "message": each.message}
                for each in story.confirmations
            ],
            "confirmations": total,
            "failed_assertions": [
                {"kind": each.kind, "expected": each.expected, "got": each.got}
                for each in story.comparisons
            ],
            "links": {"check": story.link},
        },
    }


SUBJECTS: Final = {
    Event.Kind.DOWN.value: "Down",
    Event.Kind.UP.value: "Up again",
    Event.Kind.DEGRADED.value: "Slow",
    Event.Kind.RECOVERED.value: "Normal again",
}
TONES: Final = {
    Event.Kind.DOWN.value: "down",
    Event.Kind.DEGRADED.value: "slow",
}


def _mail(story: Story) -> dict[str, str]:
    zone = story.zone
    over = story.kind in (Event.Kind.UP, Event.Kind.RECOVERED)
    lasted = story.lasted_s if story.kind == Event.Kind.UP else None
    context = {
        "headline": headline(story),
        "client": story.client_name,
        "check_name": story.check_name,
        "target": story.target,
        "link": story.link,
        "tone": TONES.get(story.kind, "up"),
        "over": over,
        "message": story.message,
        "lasted": wording.duration(lasted) if lasted is not None else "",
        "times": [(label, wording.moment(at, zone)) for label, at in _times(story) if at],
        "confirmations": [
            (wording.moment(each.at, zone), each.region, each.message)
            for each in story.confirmations
        ],
        "comparisons": story.comparisons,
        "excerpt": "" if over else story.excerpt,
        "excerpt_title": "What the job said" if story.heartbeat else "Start of the answer",
    }
    word = SUBJECTS[story.kind]
    if story.kind == Event.Kind.DEGRADED and story.reason == Reason.CERT_EXPIRY:
        word = "Certificate ends soon"
    tail = ""
    if lasted is not None:
        tail = f" (was down {wording.duration(lasted)})"
    elif story.kind == Event.Kind.DOWN and story.because:
        tail = f" ({story.because})"
    room = MAX_SUBJECT - len(word) - len(tail) - 2
    subject = f"{word}: {wording.one_line(story.check_name, room)}{tail}"
    parts = _parts("event", subject, context)
    if story.incident_id is not None:
        parts["thread"] = f"incident-{story.incident_id}"
    return parts


def _times(story: Story) -> list[tuple[str, datetime | None]]:
    if story.kind == Event.Kind.DOWN and story.heartbeat:
        return [("Down since", story.since), ("Last success", story.last_good_at)]
    if story.kind == Event.Kind.DOWN:
        return [
            ("Failing since", story.since),
            ("Confirmed", story.opened_at or story.at),
            ("Last good answer", story.last_good_at),
        ]
    if story.kind == Event.Kind.UP:
        return [
            ("Down since", story.since),
            ("Up since", story.ended_at or story.at),
            ("Recovery confirmed", story.at),
        ]
    return [("Since", story.at)]


def _parts(template: str, subject: str, context: Mapping[str, Any]) -> dict[str, str]:
    full = {**context, "subject": subject, "site_url": settings.SITE_URL}
    text = render_to_string(f"alerts/mail/{template}.txt", full)
    html = render_to_string(f"alerts/mail/{template}.html", full)
    return {"subject": subject, "text": _tidy(text), "html": _inliner().inline(html)}


def _tidy(text: str) -> str:
    """No trailing spaces, no more than one empty line in a row."""
    lines: list[str] = []
    for line in (line.rstrip() for line in text.strip().splitlines()):
        if line or (lines and lines[-1]):
            lines.append(line)
    return "\n".join(lines) + "\n"


@lru_cache(maxsize=1)
def _inliner() -> css_inline.CSSInliner:
    """Mail readers drop style sheets; what they keep, the media query for dark mode, stays in the head."""
    return css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _iso(at: datetime | None) -> str | None:
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

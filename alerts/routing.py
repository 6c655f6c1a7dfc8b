"""Which channels hear of which event (hop 8), now or not, and why not. Looks at rows already loaded; reads nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from alerts.models import Channel
from checks.models import Event

NEW_TROUBLE = frozenset((Event.Kind.DOWN, Event.Kind.DEGRADED))


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One event's way to one channel: open, or withheld with the reason that the history shows."""

    channel: Channel
    withheld: str = ""


def routes(event: Event, channels: Iterable[Channel]) -> list[Route]:
    """One route for each of the client's channels; the event comes with its check, incident and client."""
    whole = _withheld_from_all(event)
    return [
        Route(channel=channel, withheld=whole or _withheld_from(channel, event))
        for channel in channels
        if channel.deleted_at is None and channel.client_id == event.client_id
    ]


def _withheld_from_all(event: Event) -> str:
    if event.client.suspended_at is not None:
        return "The account is suspended."
    if event.incident is not None and event.incident.silent and event.kind == Event.Kind.UP:
        return "The incident was closed by pausing or deleting the check."
    # Good news is told even then: whoever heard of the outage must hear of its end.
    if event.kind in NEW_TROUBLE:
        if event.subject.deleted_at is not None:
            return "The check was deleted before the alert was sent."
        if event.subject.paused_at is not None:
            return "The check was paused before the alert was sent."
    return ""


def _withheld_from(channel: Channel, event: Event) -> str:
    if not channel.enabled:
        why = channel.disabled_reason
        return f"The channel is switched off: {why}" if why else "The channel is switched off."
    if event.kind not in channel.hears:
        return f"The channel is not told of “{event.get_kind_display().lower()}” events."
    return ""

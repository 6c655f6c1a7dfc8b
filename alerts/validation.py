"""What may be said of a channel: its name, its target through transport and guard, and what it hears."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from django.core.exceptions import ValidationError

from alerts.models import ChannelKind
from alerts.transports.base import BadTarget
from alerts.transports.registry import TRANSPORTS
from checks.models import Event
from clients.texts import clean_line

log = logging.getLogger(__name__)


def clean_channel(
    client_id: int, values: Mapping[str, Any], *, partial: bool = False
) -> dict[str, Any]:
    """The values as they are stored, or ValidationError with every field that breaks a rule."""
    errors: dict[str, list[str]] = {}
    clean: dict[str, Any] = {}
    kind = values.get("kind")
    if isinstance(kind, str) and kind in ChannelKind.values:
        clean["kind"] = kind
    else:
        errors["kind"] = [f"The kind must be one of: {', '.join(ChannelKind.values)}."]
    readers: dict[str, Callable[[Any], Any]] = {
        "name": lambda value: clean_line(value, label="The name", longest=100),
        "target": lambda value: _clean_target(client_id, clean.get("kind"), value),
        "hears": _clean_hears,
    }
    for name, read in readers.items():
        if name not in values and partial:
            continue
        try:
            clean[name] = read(values.get(name))
        except ValidationError as error:
            errors[name] = error.messages
    if errors:
        raise ValidationError(errors)
    return clean


def _clean_target(client_id: int, kind: str | None, value: Any) -> str:
    label = "The URL" if kind == ChannelKind.WEBHOOK else "The address"
    text = clean_line(value, label=label, longest=2_048)
    if kind is None:
        return text
    try:
        return TRANSPORTS[kind].clean_target(text)
    except BadTarget as error:
        if error.rule:
            # Somebody who tries the addresses of our own network leaves a trace.
            log.warning("refused channel url client=%s rule=%s", client_id, error.rule)
        raise ValidationError(str(error), code="target") from None


def _clean_hears(value: Any) -> list[str]:
    known = list(Event.Kind.values)
    if not isinstance(value, (list, tuple)) or not all(
        isinstance(each, str) and each in known for each in value
    ):
        raise ValidationError(f"Give a list of event kinds out of: {', '.join(known)}.")
    if not value:
        raise ValidationError("Choose at least one kind of event, or switch the channel off.")
    return [kind for kind in known if kind in value]

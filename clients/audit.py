"""The audit log: who did what to which object of a client, in the transaction that did it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clients.models import ApiKey, AuditEvent, Client, User

Actor = User | ApiKey | None
"""Who acts: a person, a program with a key, or (None) the service itself."""

HIDDEN = "(hidden)"


def record(
    *,
    client: Client,
    actor: Actor,
    action: str,
    subject_kind: str,
    subject_id: int | None = None,
    detail: Mapping[str, Any] | None = None,
) -> AuditEvent:
    """Write one line. The label stays readable when the person or the key is gone."""
    return AuditEvent.objects.create(
        client=client,
        actor=person_of(actor),
        actor_label=label_of(actor),
        action=action,
        subject_kind=subject_kind,
        subject_id=subject_id,
        detail=dict(detail or {}),
    )


def person_of(actor: Actor) -> User | None:
    """The user behind an act, None for keys and for the service."""
    return actor if isinstance(actor, User) else None


def label_of(actor: Actor) -> str:
    if isinstance(actor, User):
        return actor.email
    if isinstance(actor, ApiKey):
        return f"API key {actor.name} ({actor.prefix}…)"
    return "Uptime"


def changes(
    before: Mapping[str, Any], after: Mapping[str, Any], *, secret: frozenset[str] = frozenset()
) -> dict[str, list[Any]]:
    """`{field: [old, new]}` of what differs; the values of secret fields stay out of the log."""
    return {
        name: [HIDDEN, HIDDEN] if name in secret else [before.get(name), after[name]]
        for name in after
        if before.get(name) != after[name]
    }

"""What people do with channels and deliveries: create, change, switch, delete, rotate, try, send again.

Bad input raises Django's ValidationError with a list of messages for each field.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from alerts import messages
from alerts.claims import DELETED, LEASE, OFF, claim_of, end_waiting
from alerts.models import TEST, Attempt, Channel, ChannelKind, Delivery, default_hears
from alerts.records import record
from alerts.sending import send_once
from alerts.transports.registry import TRANSPORTS
from alerts.validation import clean_channel
from clients import audit, rate
from clients.audit import Actor
from clients.models import Client

SECRET_BYTES: Final = 32
OVERLAP: Final = timedelta(hours=24)
"""After a rotation messages are signed by both secrets for this long."""
CHANNEL_LIMIT: Final = 50
TESTS_A_MINUTE: Final = 5
CHANGEABLE: Final = ("name", "target", "hears")
HEALTH: Final = ("failures_in_a_row", "failing_since", "last_success_at")


def create_channel(
    *,
    client: Client,
    actor: Actor,
    kind: str,
    name: str,
    target: str,
    hears: Iterable[str] | None = None,
    now: datetime,
) -> Channel:
    """A new channel, switched on."""
    wanted = list(hears) if isinstance(hears, (list, tuple, set)) else hears
    values = {
        "kind": kind,
        "name": name,
        "target": target,
        "hears": default_hears() if wanted is None else wanted,
    }
    clean = clean_channel(client.pk, values)
    with transaction.atomic():
        # The client's row serialises the count against another creation.
        Client.objects.select_for_update().get(pk=client.pk)
        if Channel.objects.for_client(client).filter(deleted_at=None).count() >= CHANNEL_LIMIT:
            raise ValidationError({"name": [f"A client can have {CHANNEL_LIMIT} channels."]})
        channel = Channel.objects.create(
            client=client,
            kind=clean["kind"],
            name=clean["name"],
            target=clean["target"],
            hears=clean["hears"],
            secret=new_secret() if kind == ChannelKind.WEBHOOK else "",
            updated_at=now,
        )
        _log(channel, actor, "channel.created", _shown(clean))
    return channel


def update_channel(
    channel: Channel, *, actor: Actor, changes: Mapping[str, Any], now: datetime
) -> Channel:
    """Change name, target or what it hears; anything else in `changes` is refused by name."""
    unknown = sorted(set(changes) - set(CHANGEABLE))
    if unknown:
        raise ValidationError({name: ["This cannot be changed."] for name in unknown})
    clean = clean_channel(channel.client_id, {"kind": channel.kind, **changes}, partial=True)
    clean.pop("kind")
    before = {name: getattr(channel, name) for name in clean}
    changed = {name: value for name, value in clean.items() if value != before[name]}
    if not changed:
        return channel
    with transaction.atomic():
        for name, value in changed.items():
            setattr(channel, name, value)
        written = [*changed, "updated_at"]
        if "target" in changed:  # another endpoint: what the old one did says nothing
            channel.failures_in_a_row, channel.failing_since = 0, None
            channel.last_success_at = None
            written += HEALTH
        channel.updated_at = now
        channel.save(update_fields=written)
        shown_before = _shown({"kind": channel.kind, **before})
        shown_after = _shown({"kind": channel.kind, **changed})
        _log(channel, actor, "channel.changed", audit.changes(shown_before, shown_after))
    return channel


def enable_channel(channel: Channel, *, actor: Actor, now: datetime) -> Channel:
    if channel.enabled:
        return channel
    with transaction.atomic():
        channel.enabled, channel.disabled_reason = True, ""
        channel.failures_in_a_row, channel.failing_since = 0, None
        channel.updated_at = now
        channel.save(
            update_fields=[
                "enabled",
                "disabled_reason",
                "failures_in_a_row",
                "failing_since",
                "updated_at",
            ]
        )
        _log(channel, actor, "channel.enabled")
    return channel


def disable_channel(channel: Channel, *, actor: Actor, now: datetime) -> Channel:
    """Switch off; what still waits to be sent ends as a dead letter that can be sent again."""
    if not channel.enabled:
        return channel
    with transaction.atomic():
        channel.enabled, channel.updated_at = False, now
        channel.save(update_fields=["enabled", "updated_at"])
        end_waiting(channel, OFF)
        _log(channel, actor, "channel.disabled")
    return channel


def delete_channel(channel: Channel, *, actor: Actor, now: datetime) -> None:
    """Gone from lists; its deliveries stay in the history, its secrets do not stay in the database."""
    if channel.deleted_at is not None:
        return
    with transaction.atomic():
        channel.deleted_at = channel.updated_at = now
        channel.enabled = False
        channel.target = channel.secret = channel.previous_secret = ""
        channel.save(
            update_fields=[
                "deleted_at",
                "updated_at",
                "enabled",
                "target",
                "secret",
                "previous_secret",
            ]
        )
        end_waiting(channel, DELETED)
        _log(channel, actor, "channel.deleted")


def rotate_secret(channel: Channel, *, actor: Actor, now: datetime) -> str:
    """A new signing secret; for 24 hours messages are signed by the old one too."""
    if channel.kind != ChannelKind.WEBHOOK:
        raise ValidationError({"secret": ["Only webhooks have a signing secret."]})
    with transaction.atomic():
        channel.previous_secret, channel.previous_secret_until = channel.secret, now + OVERLAP
        channel.secret, channel.updated_at = new_secret(), now
        channel.save(
            update_fields=["secret", "previous_secret", "previous_secret_until", "updated_at"]
        )
        _log(channel, actor, "channel.secret_rotated")
    return channel.secret


def send_test(
    channel: Channel,
    *,
    actor: Actor,
    now: datetime,
    clock: Callable[[], datetime] = timezone.now,
) -> Attempt:
    """Send a test at once, through guard and transport, and return the attempt with the raw answer.

    Works on a channel that is switched off too. Raises `clients.rate.RateLimited`; call it outside a transaction.
    """
    _refuse_deleted(channel)
    rate.take(
        f"channel-test:{channel.client_id}",
        limit=TESTS_A_MINUTE,
        per_s=60,
        now=now,
        message=f"{TESTS_A_MINUTE} tests a minute are allowed. Wait a moment, then try again.",
    )
    message = messages.render_test(channel, client_name=channel.client.name, at=now)
    with transaction.atomic():
        delivery = Delivery.objects.create(
            client_id=channel.client_id,
            channel=channel,
            kind=TEST,
            summary=message.summary,
            message=message.document,
            state=Delivery.State.SENDING,
            lease_until=now + LEASE,
            occurred_at=now,
        )
        _log(channel, actor, "channel.tested")
    claim = claim_of(delivery, channel, number=1, now=now)
    tried = send_once(claim, clock=clock, transports=TRANSPORTS)
    record([(claim, tried)], now=clock(), jitter=float)
    attempts = Attempt.objects.for_client(channel.client).select_related("delivery")
    return attempts.get(delivery=delivery)


def resend(delivery: Delivery, *, actor: Actor, now: datetime) -> Delivery:
    """Put a message that failed or was delivered back into the queue: same id and bytes, a fresh schedule."""
    with transaction.atomic():
        row = (
            Delivery.objects.for_client(delivery.client)
            .select_for_update(of=("self",))
            .select_related("channel", "client")
            .get(pk=delivery.pk)
        )
        _refuse_deleted(row.channel)
        if row.state not in (Delivery.State.DEAD, Delivery.State.SENT):
            raise ValidationError({"state": ["This message is still on its way."]})
        if row.kind == TEST:
            raise ValidationError({"kind": ["A test is not sent again: send a new one."]})
        if not row.channel.enabled:
            raise ValidationError({"channel": ["Switch the channel on first."]})
        row.state = Delivery.State.QUEUED
        row.next_attempt_at, row.lease_until = now, None
        row.attempts_before = row.attempts_made
        row.last_error = ""
        row.save(
            update_fields=[
                "state",
                "next_attempt_at",
                "lease_until",
                "attempts_before",
                "last_error",
            ]
        )
        audit.record(
            client=row.client,
            actor=actor,
            action="delivery.resent",
            subject_kind="delivery",
            subject_id=row.pk,
            detail={"channel": row.channel.name, "message_id": str(row.message_id)},
        )
    return row


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def masked_target(kind: str, target: str) -> str:
    """What lists and the audit log show: an address whole, of a URL only the host (the rest may be a key)."""
    if kind == ChannelKind.EMAIL or not target:
        return target
    parts = urlsplit(target)
    rest = "/…" if parts.path.strip("/") or parts.query else ""
    return f"{parts.scheme}://{parts.netloc}{rest}"


def _refuse_deleted(channel: Channel) -> None:
    if channel.deleted_at is not None:
        raise ValidationError({"channel": ["This channel was deleted."]})


def _shown(values: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in values.items() if name != "target"}
    if "target" in values:
        shown["target"] = masked_target(values["kind"], values["target"])
    return shown


def _log(
    channel: Channel, actor: Actor, action: str, detail: Mapping[str, Any] | None = None
) -> None:
    audit.record(
        client=channel.client,
        actor=actor,
        action=action,
        subject_kind="channel",
        subject_id=channel.pk,
        detail={"name": channel.name, **(detail or {})},
    )

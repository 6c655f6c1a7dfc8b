"""Everything that people and programs do to checks: one verb each, used by pages, API and commands alike.

Each verb is one transaction that locks in the pipeline's order (region states before the check), writes the audit
line, and wakes the pipeline after its commit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from checks.drafts import settings_of, validate_change, validate_new
from checks.first_slots import drop_waiting_slots, plan_first_slots
from checks.heartbeats.life import begin
from checks.heartbeats.region import heartbeat_region
from checks.models import Check, Kind, RegionState
from checks.pipeline import life
from checks.pipeline.beliefs import load_beliefs
from checks.validation import POLICY_FIELDS, SCHEDULE_FIELDS
from clients import audit
from clients.audit import Actor
from clients.models import Client
from fanout_lambdas.sealing import SECRET_FIELDS

BELIEF_FIELDS = frozenset(POLICY_FIELDS)
"""A change of these changes what follows from the results so far."""
BEGIN_FIELDS = BELIEF_FIELDS | frozenset(SCHEDULE_FIELDS)
"""After a change of these the check has other slots, or another time at which its heartbeat is due."""


def create_check(*, client: Client, actor: Actor, now: datetime, **fields: Any) -> Check:
    """A new check, probed within seconds; ValidationError names each wrong field, or the plan's limit."""
    values = validate_new(client, fields)
    with transaction.atomic():
        # The client's row is the lock that lets two requests not both take the last place.
        limit = Client.objects.select_for_update(no_key=True).get(pk=client.pk).check_limit
        if Check.objects.for_client(client).filter(deleted_at=None).count() >= limit:
            raise ValidationError(limit_reached(limit), code="limit")
        check = Check(client=client, state_since=now, created_at=now, updated_at=now)
        _assign(check, values)
        if check.kind == Kind.HEARTBEAT:
            _give_heartbeat_policy(check)
        check.save(force_insert=True)
        _begin(check, now=now)
        _record(check, actor, "check.created", {"name": check.name, "url": check.url})
    return check


def update_check(check: Check, *, actor: Actor, now: datetime, **fields: Any) -> Check:
    """Change the given fields. The pipeline takes a change up within two minutes."""
    with transaction.atomic():
        _lock(check)
        before = settings_of(check)
        values = validate_change(check, fields)
        changed = audit.changes(before, values, secret=frozenset(SECRET_FIELDS))
        if not changed:
            return check

        def save() -> None:
            _assign(check, {name: values[name] for name in changed})
            check.version += 1
            check.updated_at = now
            check.save(update_fields=[*changed, "version", "updated_at"])

        if BELIEF_FIELDS & set(changed):
            life.change_policy(check.pk, save, now=now)
            drop_waiting_slots(check)  # they lie on the old grid
            _reload(check)
        else:
            save()
        if BEGIN_FIELDS & set(changed) and check.paused_at is None:
            _begin(check, now=now)
        _record(check, actor, "check.updated", {"changes": changed})
    return check


def pause_check(check: Check, *, actor: Actor, now: datetime) -> Check:
    """Stop probing. An open incident ends silently (rule 9); a second call changes nothing."""
    with transaction.atomic():
        _lock(check)
        if check.paused_at is not None:
            return check
        life.pause(check.pk, now=now)
        check.paused_at = check.updated_at = now
        check.save(update_fields=["paused_at", "updated_at"])
        _record(check, actor, "check.paused")
        _reload(check)
    return check


def resume_check(check: Check, *, actor: Actor, now: datetime) -> Check:
    """Probe again, as new, blind to what was before (rule 9); the first probe goes out at once."""
    with transaction.atomic():
        _lock(check)
        if check.paused_at is None:
            return check
        life.resume(check.pk, now=now)
        _forget_newest(check)
        check.paused_at = None
        check.updated_at = now
        check.save(update_fields=["paused_at", "updated_at"])
        _begin(check, now=now)
        _record(check, actor, "check.resumed")
        _reload(check)
    return check


def delete_check(check: Check, *, actor: Actor, now: datetime) -> None:
    """Take the check away; its incidents and results stay in the history. Frees a place in the plan."""
    with transaction.atomic():
        _lock(check)
        life.pause(check.pk, now=now)
        check.deleted_at = check.updated_at = now
        check.save(update_fields=["deleted_at", "updated_at"])
        _record(check, actor, "check.deleted", {"name": check.name, "url": check.url})
        _reload(check)


def _begin(check: Check, *, now: datetime) -> None:
    """Await the first result: of a probe that goes out at once, or of the client's job."""
    if check.kind == Kind.HEARTBEAT:
        begin(check, now=now)
    else:
        plan_first_slots(check, now=now)


def _give_heartbeat_policy(check: Check) -> None:
    """Rule 15: one pseudo-region, and its one result decides."""
    check.regions = [heartbeat_region().pk]
    check.down_after = check.up_after = check.quorum = 1


def limit_reached(limit: int) -> str:
    if limit == 0:
        return "Your plan allows no checks. Ask us for more."
    if limit == 1:
        return "Your plan allows 1 check, and it is in use. Delete it, or ask us for more."
    return (
        f"Your plan allows {limit} checks, and all {limit} are in use. "
        "Delete one, or ask us for more."
    )


def _lock(check: Check) -> None:
    """Read the check anew under the pipeline's lock; DoesNotExist when somebody deleted it."""
    load_beliefs([check.pk])
    rows = Check.objects.for_client(check.client).filter(deleted_at=None)
    check.refresh_from_db(from_queryset=rows.select_for_update(no_key=True, of=("self",)))


def _forget_newest(check: Check) -> None:
    """A resumed check shows no result of its former life."""
    RegionState.objects.for_client(check.client).filter(check_id=check.pk).update(
        last_at=None,
        last_outcome=None,
        last_reason=None,
        last_http_status=None,
        last_total_us=None,
        cert_not_after=None,
    )


def _assign(check: Check, values: Mapping[str, Any]) -> None:
    """Field values as the model's columns hold them."""
    for name, value in values.items():
        if name in {"headers", "auth"}:
            value = json.dumps(value) if value else ""
        setattr(check, name, value)


def _record(
    check: Check, actor: Actor, action: str, detail: Mapping[str, Any] | None = None
) -> None:
    audit.record(
        client=check.client,
        actor=actor,
        action=action,
        subject_kind="check",
        subject_id=check.pk,
        detail=detail,
    )


def _reload(check: Check) -> None:
    check.refresh_from_db(
        fields=["state", "state_since"], from_queryset=Check.objects.for_client(check.client)
    )

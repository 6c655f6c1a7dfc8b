"""Everything that people and programs do to checks: one verb each, used by pages, API and commands alike.

Each verb is one transaction that locks in the pipeline's order (region states before the check), writes the audit
line, and wakes the pipeline after its commit.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction

from checks.masking import SECRET_FIELDS, headers_of, refuse_carried, unmasked
from checks.models import Check, ExtraSlot, Region, RegionState
from checks.pipeline import life
from checks.pipeline.beliefs import load_beliefs
from checks.signals import recheck_due
from checks.validation import (
    DEFAULTS,
    FIELDS,
    POLICY_FIELDS,
    Bounds,
    clean_fields,
    default_timeout_ms,
    with_scheme,
)
from clients import audit
from clients.audit import Actor
from clients.models import Client
from fanout_lambdas.shared.netguard import AllowList, Guard
from fanout_lambdas.shared.slots import next_grid, phase, round_of_slot, slots_between

logger = logging.getLogger(__name__)

BELIEF_FIELDS = frozenset(POLICY_FIELDS)
"""A change of these changes what follows from the results so far."""
SNAPSHOT_LAG_S = 120
"""A change is in the snapshots, and so in the regular slots, after this time at most."""


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
        check.save(force_insert=True)
        _plan_first_slots(check, now=now)
        _record(check, actor, "check.created", {"name": check.name, "url": check.url})
    return check


def update_check(check: Check, *, actor: Actor, now: datetime, **fields: Any) -> Check:
    """Change the given fields. The pipeline takes a change up within two minutes."""
    with transaction.atomic():
        _lock(check)
        before = settings_of(check)
        values = validate_change(check, fields)
        changed = audit.changes(before, values, secret=SECRET_FIELDS)
        if not changed:
            return check

        def save() -> None:
            _assign(check, {name: values[name] for name in changed})
            check.version += 1
            check.updated_at = now
            check.save(update_fields=[*changed, "version", "updated_at"])

        if BELIEF_FIELDS & set(changed):
            life.change_policy(check.pk, save, now=now)
            _drop_waiting_slots(check)  # they lie on the old grid
            _reload(check)
            if check.paused_at is None:
                _plan_first_slots(check, now=now)
        else:
            save()
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
        _plan_first_slots(check, now=now)
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


def validate_new(client: Client, fields: Mapping[str, Any]) -> dict[str, Any]:
    """All fields of a new check: those given, cleaned, and defaults for the rest."""
    bounds = bounds_for(client)
    given = dict(fields)
    given.setdefault("regions", sorted(bounds.region_ids))
    interval = given.setdefault("interval_s", max(60, bounds.minimum_interval_s))
    if type(interval) is int and interval > 1:
        given.setdefault("timeout_ms", default_timeout_ms(interval))
    if not given.get("name") and isinstance(given.get("url"), str):
        given["name"] = _name_from(given["url"])
    return {**DEFAULTS, **_clean(client, given, {}, bounds)}


def validate_change(check: Check, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The given fields, cleaned, judged together with what the check has."""
    bounds = bounds_for(check.client, kept=check.regions)
    values = _clean(check.client, unmasked(check, fields), settings_of(check), bounds)
    refuse_carried(check, fields, url=values.get("url", check.url))
    return values


def _clean(
    client: Client, given: Mapping[str, Any], base: Mapping[str, Any], bounds: Bounds
) -> dict[str, Any]:
    try:
        return clean_fields(given, base=base, bounds=bounds)
    except ValidationError as error:
        for refused in error.error_dict.get("url", []):
            # Somebody who tries the addresses of our own network leaves a trace.
            logger.warning("refused url client=%s rule=%s", client.pk, refused.code)
        raise


def bounds_for(client: Client, *, kept: Iterable[int] = ()) -> Bounds:
    """What this installation and this client's plan allow; regions that a check has may stay."""
    active = Region.objects.filter(active=True).values_list("pk", flat=True)
    return Bounds(
        guard=url_guard(),
        minimum_interval_s=client.minimum_interval_s,
        region_ids=frozenset(active) | frozenset(kept),
    )


def url_guard() -> Guard:
    return Guard(AllowList.parse(",".join(settings.ALLOW_NETWORKS)))


def settings_of(check: Check) -> dict[str, Any]:
    """The fields of a check as people write them."""
    values = {name: getattr(check, name) for name in FIELDS}
    return {**values, "headers": headers_of(check), "regions": list(check.regions)}


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


def _drop_waiting_slots(check: Check) -> None:
    """Extra slots that nobody sent out yet."""
    slots = ExtraSlot.objects.for_client(check.client).filter(subject=check)
    slots.filter(closed_at=None, dispatched_at=None).delete()


def _plan_first_slots(check: Check, *, now: datetime) -> None:
    """One slot at once in each region, and the regular slots of the time in which no snapshot knows the check so
    (rechecks rely on them). Should a snapshot know it earlier, the second result is a duplicate, and free."""
    second, own_phase = int(now.timestamp()), phase(check.pk, check.interval_s)
    first = next_grid(own_phase, second)
    due = {(first, region) for region in check.regions}
    for slot in slots_between(check.interval_s, own_phase, first, second + SNAPSHOT_LAG_S):
        turn = round_of_slot(slot, check.interval_s, own_phase) % len(check.regions)
        asked = [check.regions[turn]] if check.rotate else check.regions
        due |= {(slot, region) for region in asked}
    slots = [
        ExtraSlot(
            client_id=check.client_id,
            subject=check,
            region_id=region,
            slot=datetime.fromtimestamp(slot, UTC),
            why=ExtraSlot.Why.FIRST,
            created_at=now,
        )
        for slot, region in sorted(due)
    ]
    ExtraSlot.objects.bulk_create(
        slots,
        # A slot that was called off by a pause a moment ago is opened again.
        update_conflicts=True,
        unique_fields=["subject", "region", "slot"],
        update_fields=["why", "created_at", "dispatched_at", "attempts", "closed_at"],
    )
    # Robust: the check is saved, and the recheck job finds the slots without the nudge.
    transaction.on_commit(lambda: recheck_due.send_robust(sender=Check))


def _assign(check: Check, values: Mapping[str, Any]) -> None:
    """Field values as the model's columns hold them."""
    for name, value in values.items():
        if name == "headers":
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


def _name_from(url: str) -> str:
    text = with_scheme(url)
    try:
        return (urlsplit(text).hostname or text)[:100]
    except ValueError:
        return text[:100]

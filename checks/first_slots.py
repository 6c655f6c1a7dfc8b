"""The slots that a check gets until the snapshots know it: the first at once, the regular ones as extra slots."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import transaction

from checks.models import Check, ExtraSlot
from checks.signals import recheck_due
from fanout_lambdas.shared.slots import next_grid, phase, round_of_slot, slots_between

SNAPSHOT_LAG_S = 120
"""A change is in the snapshots, and so in the regular slots, after this time at most."""


def drop_waiting_slots(check: Check) -> None:
    """Extra slots that nobody sent out yet."""
    slots = ExtraSlot.objects.for_client(check.client).filter(subject=check)
    slots.filter(closed_at=None, dispatched_at=None).delete()


def plan_first_slots(check: Check, *, now: datetime) -> None:
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

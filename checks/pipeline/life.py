"""What people do to a check, carried over to what is believed about it (rules 9 and 11): pause, resume, change policy.

Each call belongs into the transaction that changes the check itself, before the check's row is touched
(locking protocol in `checks.pipeline.beliefs`). A check is deleted by pausing it for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.db import connection

from checks import state
from checks.heartbeats import watched
from checks.models import ExtraSlot
from checks.pipeline.beliefs import Loaded, load_beliefs, write_beliefs
from checks.pipeline.incidents import close_incident


def pause(check_id: int, *, now: datetime) -> None:
    """Stop evaluating; an open incident ends silently at this moment, and nobody rechecks any more."""
    one = _load(check_id)
    if one is None:
        return
    decision = state.pause(one.belief, at=int(now.timestamp()))
    one.belief = decision.belief
    if decision.closed:
        close_incident(one, decision.closed)
    write_beliefs([one])
    ExtraSlot.objects.across_clients().filter(
        subject_id=check_id, closed_at=None, dispatched_at=None
    ).update(closed_at=now)
    watched.stop(check_id, at=now)


def resume(check_id: int, *, now: datetime) -> None:
    """New again, and blind to every slot before this moment."""
    one = _load(check_id)
    if one is None:
        return
    one.belief = state.resume(one.belief, one.policy, at=int(now.timestamp()))
    write_beliefs([one])


def change_policy(check_id: int, save: Callable[[], None], *, now: datetime) -> None:
    """Run `save`, which writes the check's new interval, regions or thresholds, and carry the belief over."""
    before = _load(check_id)
    save()
    after = _load(check_id)
    if before is None or after is None:
        return
    after.belief = state.change_policy(
        before.belief, before.policy, after.policy, at=int(now.timestamp())
    )
    write_beliefs([after])
    with connection.cursor() as cursor:
        cursor.execute(
            "delete from region_state where check_id = %s and region <> all(%s::smallint[])",
            [check_id, list(after.policy.regions)],
        )


def _load(check_id: int) -> Loaded | None:
    return load_beliefs([check_id]).get(check_id)

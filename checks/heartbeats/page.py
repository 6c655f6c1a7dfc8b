"""What pages and API show of heartbeats; the address of a job only to those who may change the check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from checks.heartbeats.health import deaf_since
from checks.heartbeats.keys import HIDDEN, address_of
from checks.heartbeats.schedule import span_words, words
from checks.models import Check, Heartbeat, Kind, Ping
from clients.models import Client

SHOWN_PINGS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatPage:
    """One heartbeat, for `heartbeats/detail_parts.html`."""

    check: Check
    address: str
    may_edit: bool
    schedule: str
    grace: str
    last_ping_at: datetime | None
    started_at: datetime | None
    expected_at: datetime | None
    due_at: datetime | None
    late: bool
    awaits_first: bool
    """No call ever came, so nobody is alerted yet."""
    deaf_since: datetime | None
    """Our own address does not answer us: silence raises no alarm for the time being."""
    pings: Sequence[Ping]
    total: int

    @property
    def crontab(self) -> str:
        """The five fields of the example's cron line."""
        return self.check.cron or "30 2 * * *"


def heartbeat_page(
    client: Client, check: Check, *, may_edit: bool, now: datetime
) -> HeartbeatPage | None:
    """None for checks of other kinds; three queries."""
    beat = Heartbeat.objects.for_client(client).filter(pk=check.pk).first()
    if check.kind != Kind.HEARTBEAT or beat is None:
        return None
    pings = Ping.objects.for_client(client).filter(subject_id=check.pk).order_by("-number")
    return HeartbeatPage(
        check=check,
        address=_address(beat, may_edit),
        may_edit=may_edit,
        schedule=words(check.interval_s, check.cron, check.timezone),
        grace=span_words(check.grace_s),
        last_ping_at=beat.last_ping_at,
        started_at=beat.started_at,
        expected_at=beat.expected_at,
        due_at=beat.due_at,
        late=is_late(beat, now),
        awaits_first=beat.pings == 0,
        deaf_since=deaf_since(),
        pings=list(pings[:SHOWN_PINGS]),
        total=beat.pings,
    )


def heartbeat_fields(
    client: Client, checks: Sequence[Check], *, may_edit: bool, now: datetime
) -> dict[int, Mapping[str, Any]]:
    """The API's own fields of each heartbeat among these checks; one query for all."""
    wanted = [check.pk for check in checks if check.kind == Kind.HEARTBEAT]
    rows = Heartbeat.objects.for_client(client).filter(pk__in=wanted) if wanted else []
    return {
        beat.pk: {
            "ping_url": _address(beat, may_edit),
            "last_ping_at": beat.last_ping_at,
            "expected_at": beat.expected_at,
            "due_at": beat.due_at,
            "late": is_late(beat, now),
        }
        for beat in rows
    }


def is_late(beat: Heartbeat, now: datetime) -> bool:
    """Expected, not there, and not yet down: a word for pages, no state of the rules."""
    return beat.expected_at is not None and beat.expected_at <= now and beat.started_at is None


def _address(beat: Heartbeat, may_edit: bool) -> str:
    return address_of(beat.key if may_edit else HIDDEN)

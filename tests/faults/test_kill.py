"""kill -9 of workers, web and PostgreSQL under load, in one run: nothing acknowledged is lost, nothing happens twice.

The story runs once for the module; each test reads another part of what it left behind.
"""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from bench.accounting import MINUTE_S, Account, Key, Minute, planned_slots
from bench.kills import Kill, do_kills
from bench.rig import Rig, rig
from tests.faults.receiver import Receiver

pytestmark = pytest.mark.slow(seconds=180)

CLIENTS, CHECKS = 30, 10
SWITCHED = 4
INTERVALS_S = (10, 60)
FIRST_KILL_S, APART_S = 10, 9
PARTS = ("worker", "jobs", "web", "postgres")
LAST_KILL_S = FIRST_KILL_S + (len(PARTS) - 1) * APART_S
SEEN_BY_S = 170
SETTLE_S = 90


@dataclass(kw_only=True)
class Story:
    """What happened, and what the database and the receiver held when all had settled."""

    kills: list[Kill]
    acknowledged: int = 0
    lost: list[tuple[int, int, str]] = field(default_factory=list)
    minutes: list[Minute] = field(default_factory=list)
    switched: list[int] = field(default_factory=list)
    incidents: list[dict[str, Any]] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=dict)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    open_deliveries: int = 0
    receiver: Receiver


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    receiver = Receiver()
    try:
        with rig(say=print, log_ingest=True) as running:
            told = Story(kills=[], receiver=receiver)
            _play(running, told)
            _tell(told)
            yield told
    finally:
        receiver.stop()


def _play(running: Rig, story: Story) -> None:
    installation = running.installation
    running.load(
        clients=CLIENTS,
        checks=CHECKS,
        intervals_s=INTERVALS_S,
        switches=2 * SWITCHED,
        webhook=story.receiver.url,
    )
    minute = running.wait_for_full_minute()
    with installation.connect() as connection:
        checks = Account(connection).checks()
        # The even ones are those with the short interval: three probes fail within half a minute.
        numbers = list(range(0, 2 * SWITCHED, 2))
        ids = sorted(check_id for check_id, *_ in checks)
        story.switched = [ids[number] for number in numbers]
    planned = {minute: planned_slots(checks, minute)}

    story.kills = [
        Kill(part=part, due=minute + FIRST_KILL_S + number * APART_S)
        for number, part in enumerate(PARTS)
    ]
    _pause(minute + 2, running, story)
    for number in numbers:
        _switch(running, number, "down")
    _pause(minute + LAST_KILL_S + 5, running, story)
    # A batch that died with its worker is probed again later: the outage lasts until it was seen.
    _wait_for_incidents(running, story, until=minute + SEEN_BY_S)
    for number in numbers:
        _switch(running, number, "up")
    _pause(minute + MINUTE_S, running, story)
    print(f"settling from {time.time() - minute:.0f} s on")
    _settle(running, story, planned, until=time.time() + SETTLE_S)
    print(f"settled at {time.time() - minute:.0f} s")
    _read(running, story, planned)


def _pause(until: float, running: Rig, story: Story) -> None:
    while time.time() < until:
        time.sleep(0.2)
        for kill in do_kills(story.kills, running.installation):
            print(f"kill -9 {kill.pid} ({kill.part})")
        running.installation.check()


def _tell(story: Story) -> None:
    """The figures, for whoever runs this with -s."""
    for minute in story.minutes:
        print(minute)
    for kill in story.kills:
        print(f"{kill.part}: back after {kill.back_at - kill.at:.1f} s")
    copies = sum(story.receiver.copies.values())
    print(
        f"{story.acknowledged} results acknowledged, {len(story.lost)} lost; "
        f"{len(story.receiver.copies)} messages in {copies} copies; {story.totals}"
    )


def _switch(running: Rig, number: int, position: str) -> None:
    with urllib.request.urlopen(f"{running.addresses['http']}/set/{number}/{position}") as answer:
        assert answer.status == 200


def _wait_for_incidents(running: Rig, story: Story, *, until: float) -> None:
    with running.installation.connect() as connection:
        account = Account(connection)
        while time.time() < until:
            if len(account.incidents_of(story.switched)) == len(story.switched):
                return
            _pause(time.time() + 1, running, story)


def _settle(running: Rig, story: Story, planned: dict[int, set[Key]], *, until: float) -> None:
    """Wait until every slot is accounted for and every alert is out."""
    with running.installation.connect() as connection:
        account = Account(connection)
        while time.time() < until:
            minutes = [account.minute(minute, slots) for minute, slots in planned.items()]
            alerts = _alerts(connection, story.switched)
            if (
                all(minute.unaccounted == 0 and minute.agrees for minute in minutes)
                and sum(alert["kind"] == "up" for alert in alerts) >= SWITCHED
                and all(alert["state"] == "sent" for alert in alerts)
            ):
                return
            _pause(time.time() + 2, running, story)


def _read(running: Rig, story: Story, planned: dict[int, set[Key]]) -> None:
    log = running.ingest_log
    assert log is not None
    with running.installation.connect() as connection:
        account = Account(connection)
        story.acknowledged = len(log.acknowledged)
        story.lost = log.lost(connection)
        story.minutes = [account.minute(minute, slots) for minute, slots in planned.items()]
        story.totals = account.incidents()
        story.incidents = [
            {"check": check, "closed": closed}
            for check, closed in connection.execute(
                "select subject_id, resolved_at is not null from checks_incident "
                "where subject_id = any(%s)",
                [story.switched],
            )
        ]
        story.alerts = _alerts(connection, story.switched)
        row = connection.execute(
            "select count(*) from alerts_delivery where state in ('queued', 'sending')"
        ).fetchone()
        assert row is not None
        story.open_deliveries = int(str(row[0]))


def _alerts(connection: Any, checks: list[int]) -> list[dict[str, Any]]:
    rows = connection.execute(
        "select event.subject_id, event.kind, delivery.state, delivery.message_id::text "
        "from checks_event event left join alerts_notice notice on notice.event_id = event.id "
        "left join alerts_delivery delivery on delivery.id = notice.delivery_id "
        "where event.subject_id = any(%s) and event.kind in ('down', 'up')",
        [checks],
    )
    names = ("check", "kind", "state", "message_id")
    return [dict(zip(names, row, strict=True)) for row in rows]


def test_each_part_was_killed_and_came_back(story: Story) -> None:
    assert [kill.part for kill in story.kills if kill.at] == list(PARTS)
    assert all(kill.back_at for kill in story.kills)


def test_no_acknowledged_result_is_lost(story: Story) -> None:
    assert story.acknowledged > CLIENTS * CHECKS
    assert story.lost == []


def test_every_slot_is_a_result_or_a_marker(story: Story) -> None:
    for minute in story.minutes:
        assert minute.unaccounted == 0
        assert minute.unplanned == 0
        assert minute.planned == minute.answered_in_minute + minute.late + minute.missed


def test_the_product_counted_what_really_happened(story: Story) -> None:
    for minute in story.minutes:
        assert minute.agrees, minute


def test_no_incident_is_opened_or_told_twice(story: Story) -> None:
    assert sorted(incident["check"] for incident in story.incidents) == sorted(story.switched)
    assert all(incident["closed"] for incident in story.incidents)
    assert story.totals["overlapping"] == 0
    assert story.totals["events_twice"] == 0


def test_no_alert_is_lost(story: Story) -> None:
    told = sorted((alert["check"], alert["kind"]) for alert in story.alerts)
    assert told == sorted((check, kind) for check in story.switched for kind in ("down", "up"))
    assert all(alert["state"] == "sent" for alert in story.alerts), story.alerts
    arrived = set(story.receiver.copies)
    assert {alert["message_id"] for alert in story.alerts} <= arrived
    assert story.open_deliveries == 0


def test_copies_are_no_more_than_kills(story: Story) -> None:
    extra = sum(count - 1 for count in story.receiver.copies.values())
    assert extra <= len(story.kills)

"""Who goes next: fairness between channels and clients, and limits in flight."""

from __future__ import annotations

from collections import Counter

from alerts.lanes import Candidate, InFlight, pick


def backlog(
    channel: int,
    count: int,
    *,
    client: int | None = None,
    proven: bool = True,
    kind: str = "webhook",
) -> list[Candidate]:
    return [
        Candidate(
            delivery_id=channel * 1_000 + number,
            channel_id=channel,
            client_id=client if client is not None else channel,
            channel_kind=kind,
            proven=proven,
        )
        for number in range(count)
    ]


def channels(picked: list[int]) -> Counter[int]:
    return Counter(delivery_id // 1_000 for delivery_id in picked)


def test_every_channel_has_its_first_before_any_has_its_second() -> None:
    rows = backlog(1, 50) + backlog(2, 1) + backlog(3, 1)
    assert pick(rows, InFlight(), free=3, senders=100) == [1000, 2000, 3000]


def test_ten_in_flight_for_a_channel() -> None:
    assert channels(pick(backlog(1, 50), InFlight(), free=100, senders=100)) == {1: 10}
    busy = InFlight()
    busy.add(channel_id=1, client_id=1, channel_kind="webhook", count=7)
    assert len(pick(backlog(1, 50), busy, free=93, senders=100)) == 3


def test_an_unproven_or_failing_channel_has_one_in_flight() -> None:
    assert len(pick(backlog(1, 50, proven=False), InFlight(), free=100, senders=100)) == 1


def test_fifty_in_flight_for_a_client() -> None:
    rows = [row for channel in range(1, 9) for row in backlog(channel, 20, client=7)]
    picked = pick(rows, InFlight(), free=400, senders=400)
    assert len(picked) == 50


def test_second_places_leave_half_of_the_sender_free() -> None:
    """Fifty endpoints that begin to hang at once, each with a long queue, do not fill the sender."""
    rows = [row for channel in range(1, 51) for row in backlog(channel, 20)]
    busy = InFlight()
    picked = pick(rows, busy, free=128, senders=128)
    assert len(picked) == 64
    late = backlog(99, 1)
    assert pick(rows + late, busy, free=64, senders=128) == [99_000]


def test_all_mail_shares_one_server() -> None:
    rows = [row for channel in range(1, 40) for row in backlog(channel, 1, kind="email")]
    assert len(pick(rows, InFlight(), free=100, senders=100)) == 10


def test_no_place_no_pick() -> None:
    assert pick(backlog(1, 3), InFlight(), free=0, senders=10) == []

"""PURE: which due deliveries leave next, so that one hanging endpoint delays nobody else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

PER_CHANNEL: Final = 10
PER_CLIENT: Final = 50
PER_KIND: Final[Mapping[str, int]] = {"email": 10}
"""All channels of a kind together, where they share one server of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A delivery that is due."""

    delivery_id: int
    channel_id: int
    client_id: int
    channel_kind: str
    proven: bool
    """The channel's last attempt succeeded. Others start slowly, with one in flight."""


@dataclass(slots=True)
class InFlight:
    """What is being sent now, here and in other processes."""

    channels: Counter[int] = field(default_factory=Counter)
    clients: Counter[int] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, *, channel_id: int, client_id: int, channel_kind: str, count: int = 1) -> None:
        self.channels[channel_id] += count
        self.clients[client_id] += count
        self.kinds[channel_kind] += count


def pick(
    candidates: Sequence[Candidate], in_flight: InFlight, *, free: int, senders: int
) -> list[int]:
    """Ids of the deliveries to send now, at most `free` of `senders` places, in the order to start them.

    Each channel gets its first place before any gets a second, and second places are given only while half
    of the sender is free: fifty endpoints that hang so take fifty places and leave the others.
    """
    queues: dict[int, list[Candidate]] = {}
    for candidate in candidates:
        queues.setdefault(candidate.channel_id, []).append(candidate)
    chosen: list[int] = []
    position = 0
    while queues and len(chosen) < free:
        for channel_id in list(queues):
            if len(chosen) >= free:
                break
            queue = queues[channel_id]
            if position >= len(queue) or not _has_room(
                queue[position], in_flight, left=free - len(chosen), senders=senders
            ):
                del queues[channel_id]
                continue
            one = queue[position]
            chosen.append(one.delivery_id)
            in_flight.add(
                channel_id=one.channel_id, client_id=one.client_id, channel_kind=one.channel_kind
            )
        position += 1
    return chosen


def count(rows: Iterable[tuple[int, int, str, int]]) -> InFlight:
    """From rows of (channel, client, kind of channel, how many)."""
    found = InFlight()
    for channel_id, client_id, channel_kind, how_many in rows:
        found.add(
            channel_id=channel_id, client_id=client_id, channel_kind=channel_kind, count=how_many
        )
    return found


def _has_room(one: Candidate, in_flight: InFlight, *, left: int, senders: int) -> bool:
    busy = in_flight.channels[one.channel_id]
    if busy >= (PER_CHANNEL if one.proven else 1):
        return False
    if busy and left <= senders // 2:
        return False
    if in_flight.clients[one.client_id] >= PER_CLIENT:
        return False
    limit = PER_KIND.get(one.channel_kind)
    return limit is None or in_flight.kinds[one.channel_kind] < limit

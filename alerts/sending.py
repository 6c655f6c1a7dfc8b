"""One try of one claimed delivery (hop 9), outside any transaction and without the database."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from alerts.transports.base import Failed, Letter, Sent, Transport

Clock = Callable[[], datetime]

log = logging.getLogger(__name__)

UNREADABLE = Failed(
    permanent=False,
    status="internal",
    answer="The channel's address cannot be decrypted with this installation's keys; an operator can mend that.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A delivery that is ours to send until its lease ends."""

    delivery_id: int
    number: int
    """Of this attempt; a record with another number than the row expects comes from a sender that was given up."""
    channel_id: int
    channel_kind: str
    message_id: str
    message: Mapping[str, Any]
    target: str
    """Empty when the installation's keys do not open it."""
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of it."""

    outcome: Sent | Failed
    started_at: datetime
    duration_ms: int


def send_once(claim: Claim, *, clock: Clock, transports: Mapping[str, Transport]) -> Tried:
    """Send, and say how it went. Never raises."""
    started_at = clock()
    began = time.monotonic()
    letter = Letter(
        message_id=claim.message_id,
        message=claim.message,
        target=claim.target,
        secrets=claim.secrets,
        now=started_at,
    )
    outcome: Sent | Failed
    try:
        outcome = transports[claim.channel_kind].send(letter) if claim.target else UNREADABLE
    except Exception as error:
        # Whatever one message does to a transport must not take the sender and everybody's alerts with it.
        log.exception("Delivery %d could not be handed to its transport", claim.delivery_id)
        outcome = Failed(
            permanent=False,
            status="internal",
            answer=f"Sending failed inside Uptime ({type(error).__name__}).",
        )
    duration_ms = int((time.monotonic() - began) * 1_000)
    return Tried(outcome=outcome, started_at=started_at, duration_ms=duration_ms)


def masked(answer: str, secrets: tuple[str, ...]) -> str:
    """An answer that echoes our signing secret is kept without it."""
    for secret in filter(None, secrets):
        answer = answer.replace(secret, "(hidden)")
    return answer

"""What every transport (hop 9) takes and gives: a rendered letter in, `Sent` or `Failed` out; no models, no retries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

MAX_ANSWER: Final = 4_096
"""Bytes of an answer that are read and kept."""


class BadTarget(ValueError):
    """An address that this transport cannot send to; the message is for the person who typed it."""

    def __init__(self, message: str, *, rule: str = "") -> None:
        super().__init__(message)
        self.rule = rule
        """The address guard's, where it was the guard that refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One rendered message on its way to one target; the same on every attempt but for the time."""

    message_id: str
    message: Mapping[str, Any]
    target: str
    secrets: tuple[str, ...] = ()
    """Signing secrets in force, the newest first."""
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The other side took it."""

    status: str
    answer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """It did not; `permanent` when no later try would mend that."""

    permanent: bool
    status: str
    """HTTP or SMTP code, or one word for the kind of failure."""
    answer: str
    retry_after_s: float | None = None
    gone: bool = False
    """The other side asked to be left alone: the channel is switched off."""
    rule: str = ""
    """The address guard's, where it was the guard that refused."""


class Transport(Protocol):
    """One way to reach people. Bounded in time; never raises for what the other side does."""

    def clean_target(self, target: str) -> str:
        """The target as it is stored, or BadTarget."""
        ...

    def send(self, letter: Letter) -> Sent | Failed: ...


def kept(answer: bytes | str) -> str:
    """The start of an answer as text that PostgreSQL and pages can hold."""
    raw = answer if isinstance(answer, bytes) else answer.encode("utf-8", "replace")
    text = raw[:MAX_ANSWER].decode("utf-8", "replace")
    return "".join(char if char.isprintable() or char in "\n\t" else "�" for char in text)

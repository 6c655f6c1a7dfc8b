"""How a target behaves, told by its path alone: `/<kind>/<delay in ms>/<number>`. Pure: a run can be repeated."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

KEYWORD = "All is well"
DELAY_MS = (20, 500)
FLAP_S = 120
HICCUP_EVERY = 4
FAILING_EVERY = 100
"""One check in this many misbehaves."""


class Kind(StrEnum):
    """What a target does."""

    OK = "ok"
    ERROR = "error"
    """Always 500."""
    RESET = "reset"
    """Always cuts the connection."""
    WRONG = "wrong"
    """Always 200 with a body that lacks the keyword."""
    FLAP = "flap"
    """500 for two minutes, fine for two minutes."""
    HICCUP = "hiccup"
    """One request in four fails, which a recheck must forgive."""
    SWITCH = "switch"
    """Fine until `/set/<number>/down` is asked for, and again after `/set/<number>/up`."""


FAILING = (Kind.ERROR, Kind.RESET, Kind.WRONG, Kind.FLAP, Kind.HICCUP)
FOR_EVER = (Kind.ERROR, Kind.RESET, Kind.WRONG)


class Answer(StrEnum):
    """What goes back over the wire."""

    OK = "ok"
    ERROR = "error"
    RESET = "reset"
    WRONG = "wrong"
    NOT_FOUND = "not found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One probed address."""

    kind: Kind
    delay_ms: int
    number: int
    tls: bool

    @property
    def path(self) -> str:
        return f"/{self.kind}/{self.delay_ms}/{self.number}"


def target_of(number: int) -> Target:
    """The target of the n-th check: half over TLS, 20-500 ms, one in a hundred failing."""
    low, high = DELAY_MS
    # A multiplicative hash: neighbours get delays far apart, and each run gets the same ones.
    delay_ms = low + ((number * 2_654_435_761) % (1 << 32) * (high - low + 1) >> 32)
    kind = Kind.OK
    if number % FAILING_EVERY == FAILING_EVERY // 2:
        kind = FAILING[number // FAILING_EVERY % len(FAILING)]
    return Target(
        kind=kind, delay_ms=delay_ms, number=number, tls=(number + number // FAILING_EVERY) % 2 == 1
    )


def answer_of(kind: str, *, number: int, asked: int, now: float, down: bool) -> Answer:
    """What a target of this kind says to its `asked`-th request; `down` is its switch."""
    match kind:
        case Kind.OK:
            return Answer.OK
        case Kind.ERROR:
            return Answer.ERROR
        case Kind.RESET:
            return Answer.RESET
        case Kind.WRONG:
            return Answer.WRONG
        case Kind.FLAP:
            bad = int(now + number) // FLAP_S % 2 == 0
            return Answer.ERROR if bad else Answer.OK
        case Kind.HICCUP:
            return Answer.ERROR if asked % HICCUP_EVERY == 0 else Answer.OK
        case Kind.SWITCH:
            return Answer.ERROR if down else Answer.OK
    return Answer.NOT_FOUND

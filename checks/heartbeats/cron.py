"""What a cron expression may say: the grammar of Debian's cron (crontab(5)), checked field by field. Pure.

The reader of schedules knows more, such as L and #; a job's own cron would not run by that, so it is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from fanout_lambdas.shared.contracts import ContractError

LONGEST = 100
_SOME_DAY = datetime(2026, 1, 1, tzinfo=UTC)
_TERM = re.compile(r"(?:\*|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d+))?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    word: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    """Of its values, from `low` on."""

    def check(self, text: str) -> None:
        for term in text.split(","):
            self._check_term(term)

    def _check_term(self, term: str) -> None:
        found = _TERM.fullmatch(term)
        if found is None:
            raise self._unknown(term)
        first, last, step = found["first"], found["last"], found["step"]
        if first and last and self._value(first) > self._value(last):
            raise _wrong(f'The range "{first}-{last}" of the {self.word} runs backwards.')
        if first and not last:
            self._value(first)
            if step:
                whole = f"{first}-{self.high}/{step}"
                raise _wrong(f"A step needs a range or *: write {whole} for the {self.word}.")
        if step and not 1 <= int(step) <= self.high:
            raise _wrong(f'The step of the {self.word} is 1 to {self.high}, not "{step}".')

    def _value(self, text: str) -> int:
        if text.upper() in self.names:
            return self.low + self.names.index(text.upper())
        if not text.isdigit():
            raise self._unknown(text)
        if not self.low <= int(text) <= self.high:
            bounds = f"{self.low} to {self.high}"
            raise _wrong(f'The {self.word} of a cron expression is {bounds}, not "{text}".')
        return int(text)

    def _unknown(self, term: str) -> ContractError:
        taken = "*, numbers, lists, ranges and steps"
        return _wrong(
            f'The {self.word} cannot be "{term}". It takes what cron in Debian takes: {taken}.'
        )


_FIELDS = (
    _Field(word="minute", low=0, high=59),
    _Field(word="hour", low=0, high=23),
    _Field(word="day of month", low=1, high=31),
    _Field(
        word="month",
        low=1,
        high=12,
        names=("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"),
    ),
    _Field(
        word="day of week", low=0, high=7, names=("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
    ),
)


def check_cron(cron: str) -> None:
    """ContractError for a cron text that Debian's cron would not follow."""
    if len(cron) > LONGEST:
        message = f"cron is longer than {LONGEST} characters."
        raise ContractError("cron", "length", message)
    parts = cron.split()
    if not cron.isascii() or len(parts) != len(_FIELDS):
        message = (
            "A cron expression has five fields: minute, hour, day of month, month, day of week."
        )
        raise ContractError("cron", "fields", message)
    for field, text in zip(_FIELDS, parts, strict=True):
        field.check(text)
    try:
        next(CronSim(cron, _SOME_DAY))
    except (CronSimError, StopIteration):
        message = "This cron expression never comes: there is no such date."
        raise ContractError("cron", "never", message) from None


def _wrong(message: str) -> ContractError:
    return ContractError("cron", "cron", message)

"""When a heartbeat is expected and when it is due: period or cron, zone, grace, last call (rule 15). Pure.

Cron is read as Debian's cron reads it: a fixed time that the spring change skips comes right after it, one that the
autumn change repeats comes once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from cronsim import CronSim, CronSimError

from checks.heartbeats.cron import check_cron
from fanout_lambdas.shared.contracts import ContractError

EARLY = timedelta(seconds=5)
"""A call this little before a cron time counts for that time: the job's clock may be ahead of ours."""
_NO_ZONES = {"Factory", "localtime"}
"""The system's own notes: the first says that no zone was set, the second is whatever zone our machine has."""
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


class UnreadableSchedule(Exception):
    """A schedule that was fine when it was saved and is not now: its zone may be gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """Between `start` and `due` the call had to come; `run`: the end of a run that had started at `start`."""

    start: datetime
    due: datetime
    run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How often a job has to call: by `cron`, or every `period_s` where there is none."""

    period_s: int
    grace_s: int
    cron: str = ""
    zone: str = "UTC"

    @property
    def grace(self) -> timedelta:
        return timedelta(seconds=self.grace_s)

    def expected_after(self, called: datetime) -> datetime:
        """When the call after this one is expected; UnreadableSchedule where nobody can say."""
        if not self.cron:
            return called + timedelta(seconds=self.period_s)
        counted = called + EARLY
        try:
            for each in CronSim(self.cron, counted.astimezone(ZoneInfo(self.zone))):
                at = each.astimezone(UTC)
                if at > counted:  # in the repeated hour of autumn the walk begins before it
                    return at
        except (CronSimError, ZoneInfoNotFoundError) as error:
            raise UnreadableSchedule(str(error)) from error
        raise UnreadableSchedule("it never comes again")

    def deadline(self, expected: datetime | None, *, started: datetime | None) -> Deadline | None:
        """The deadline in force. A run under way has `grace_s` from its start: that it started is a sign of life.

        None while nothing is awaited.
        """
        if started is not None:
            return Deadline(start=started, due=started + self.grace, run=True)
        if expected is not None:
            return Deadline(start=expected, due=expected + self.grace)
        return None


def check_schedule(cron: str, timezone: str) -> None:
    """ContractError for a cron text that nobody can follow, or a zone that does not exist; "" means no cron."""
    if timezone not in (zones := _zones()).values():
        meant = zones.get(timezone.lower())
        hint = f"Did you mean {meant}?" if meant else "Write one like Europe/Berlin, or UTC."
        message = f'"{timezone[:64]}" is not a time zone. {hint}'
        raise ContractError("timezone", "zone", message)
    if cron:
        check_cron(cron)


def words(period_s: int, cron: str, timezone: str) -> str:
    """The schedule as people read it: "every 5 minutes", "cron 30 2 * * *, Europe/Berlin"."""
    return f"cron {cron}, {timezone}" if cron else f"every {span_words(period_s, one=False)}"


def span_words(seconds: int, *, one: bool = True) -> str:
    """The two largest units: "1 hour 30 minutes"; without `one` a lone unit stands alone: "hour"."""
    parts: list[str] = []
    for size, unit in _UNITS:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}{'' if count == 1 else 's'}")
    shown = " ".join(parts[:2]) or "0 seconds"
    return shown if one or not shown.startswith("1 ") or len(parts) > 1 else shown[2:]


@lru_cache(maxsize=1)
def _zones() -> dict[str, str]:
    """Names of zones by what they are in small letters."""
    return {name.lower(): name for name in available_timezones() - _NO_ZONES}

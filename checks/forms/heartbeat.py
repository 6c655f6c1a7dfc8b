"""The form of a heartbeat: when the client's own job has to call."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django import forms

from checks.drafts import settings_of
from checks.forms.base import CheckForm, Rows, Section
from checks.models import Check, Kind

UNITS: Final = ((1, "seconds"), (60, "minutes"), (3_600, "hours"), (86_400, "days"))
_UNIT_CHOICES: Final = [(size, word) for size, word in UNITS]


class HeartbeatForm(CheckForm):
    kind: ClassVar[Kind] = Kind.HEARTBEAT
    FIELD_OF: ClassVar[dict[str, str]] = {"interval_s": "period", "grace_s": "grace"}
    FIRST: ClassVar[Rows] = (
        ("name",),
        ("period", "period_unit"),
        ("grace", "grace_unit"),
    )
    SECTIONS: ClassVar[tuple[Section, ...]] = (
        Section(
            key="schedule",
            title="A cron schedule instead of a period",
            rows=(("cron", "timezone"),),
        ),
    )

    name = forms.CharField(
        label="Name",
        max_length=100,
        help_text="What the job is called in lists and alerts. Its address to call comes with the check.",
    )
    period = forms.IntegerField(
        label="The job calls every",
        min_value=1,
        initial=1,
        help_text="From 60 seconds to 366 days.",
    )
    period_unit = forms.TypedChoiceField(
        label="Unit of the period", coerce=int, choices=_UNIT_CHOICES, initial=3_600
    )
    grace = forms.IntegerField(
        label="It may be late by",
        min_value=1,
        initial=5,
        help_text="After this the check is down. From 10 seconds to 31 days.",
    )
    grace_unit = forms.TypedChoiceField(
        label="Unit of the grace", coerce=int, choices=_UNIT_CHOICES, initial=60
    )
    cron = forms.CharField(
        label="Cron expression",
        required=False,
        max_length=100,
        help_text="As in the job's crontab, such as 30 2 * * *. Then the period above does not count.",
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocomplete": "off"}),
    )
    timezone = forms.CharField(
        label="Time zone",
        max_length=64,
        initial="UTC",
        help_text="In which the expression is read, such as Europe/Berlin.",
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocomplete": "off"}),
    )

    def initial_of(self, check: Check) -> dict[str, Any]:
        values = settings_of(check)
        period, period_unit = _in_units(values["interval_s"])
        grace, grace_unit = _in_units(values["grace_s"])
        return {
            **values,
            "period": period,
            "period_unit": period_unit,
            "grace": grace,
            "grace_unit": grace_unit,
        }

    def values(self) -> dict[str, Any]:
        values = super().values()
        for field, name in (("period", "interval_s"), ("grace", "grace_s")):
            values[name] = values.pop(field) * values.pop(f"{field}_unit")
        return values


def _in_units(seconds: int) -> tuple[int, int]:
    """The length in its largest whole unit: 7200 as (2, 3600)."""
    size = next(size for size, _ in reversed(UNITS) if seconds % size == 0)
    return seconds // size, size

"""What the forms of all kinds share: sections, errors at their fields, and the way to the services."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError

from checks.drafts import settings_of
from checks.heartbeats.schedule import words
from checks.models import Check, Family, Kind, LatencyOutcome, Region
from checks.models.check import INTERVALS_S
from checks.validation import default_timeout_ms
from clients.models import Client

Rows = tuple[tuple[str, ...], ...]
"""Names of fields; those of one row stand beside each other where there is room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of the form that is closed until somebody needs it."""

    key: str
    title: str
    rows: Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSection:
    """A section with its bound fields, as the template takes it."""

    key: str
    title: str
    open: bool
    rows: list[list[forms.BoundField]]


class CheckForm(forms.Form):
    """One field is enough; all others have sensible values and stand in closed sections."""

    kind: ClassVar[Kind]
    FIRST: ClassVar[Rows]
    """The rows that are always seen; the first field is the large one."""
    SECTIONS: ClassVar[tuple[Section, ...]] = ()
    FIELD_OF: ClassVar[dict[str, str]] = {}
    """Where a rule's name is not the form's."""

    name = forms.CharField(
        label="Name",
        max_length=100,
        required=False,
        help_text="How it is called in lists and alerts. Left empty, the target's name is taken.",
    )

    def __init__(
        self, *args: Any, client: Client, check: Check | None = None, **kwargs: Any
    ) -> None:
        self.check = check
        self.client = client
        if check is not None:
            kwargs.setdefault("initial", self.initial_of(check))
        super().__init__(*args, **kwargs)

    def initial_of(self, check: Check) -> dict[str, Any]:
        """What the fields of a stored check show."""
        return settings_of(check)

    def values(self) -> dict[str, Any]:
        """The fields as `checks.services` takes them; call it on a valid form."""
        values = {"kind": self.kind.value, **self.cleaned_data}
        if not values["name"]:
            del values["name"]
        return values

    def add_rules(self, error: ValidationError) -> None:
        """Put what a service refused at the field it names, or on top of the form."""
        if not hasattr(error, "error_dict"):
            self.add_error(None, error)
            return
        for name, problems in error.error_dict.items():
            field = self.FIELD_OF.get(name, name)
            self.add_error(field if field in self.fields else None, problems)

    @property
    def first(self) -> list[list[forms.BoundField]]:
        return self._bound(self.FIRST)

    @property
    def sections(self) -> list[ShownSection]:
        """Those with an error, or with something else than the usual values, are open."""
        return [
            ShownSection(
                key=section.key,
                title=section.title,
                open=any(self._stands_out(name) for row in section.rows for name in row),
                rows=self._bound(section.rows),
            )
            for section in self.SECTIONS
        ]

    def _bound(self, rows: Rows) -> list[list[forms.BoundField]]:
        return [[self[name] for name in row] for row in rows]

    def _stands_out(self, name: str) -> bool:
        field = self.fields[name]
        if self.is_bound:
            return name in self.errors or field.has_changed(field.initial, self[name].data)
        return self.check is not None and (self.initial.get(name) or "") != (field.initial or "")


class ProbedForm(CheckForm):
    """What all kinds share that are probed."""

    FIELD_OF: ClassVar[dict[str, str]] = {"timeout_ms": "timeout_s"}
    TIMING = Section(
        key="timing",
        title="Timing and confirmation",
        rows=(("timeout_s", "down_after", "up_after"),),
    )
    WHERE = Section(key="where", title="Where from", rows=(("family",), ("regions",)))
    LATENCY = ("max_latency_ms", "max_latency_outcome")

    interval_s = forms.TypedChoiceField(
        label="How often", coerce=int, help_text="How often each region asks."
    )
    family = forms.ChoiceField(label="IP version", choices=Family.choices, initial=Family.ANY)
    max_latency_ms = forms.IntegerField(
        label="Slow above (ms)",
        required=False,
        min_value=1,
        max_value=30_000,
        help_text="A good answer that takes longer is not good enough.",
    )
    max_latency_outcome = forms.ChoiceField(
        label="A slow answer means",
        choices=LatencyOutcome.choices,
        initial=LatencyOutcome.DEGRADED,
        help_text="Slow is shown and can be told; down is an outage.",
    )
    timeout_s = forms.DecimalField(
        label="Timeout (seconds)",
        min_value=1,
        max_value=30,
        max_digits=5,
        decimal_places=3,
        initial=Decimal(10),
        help_text="From 1 to 30, and shorter than the interval. Every 10 seconds, 10 means 9.",
    )
    down_after = forms.IntegerField(
        label="Down after",
        min_value=1,
        max_value=10,
        initial=3,
        help_text="Failures in a row. Each is asked again a few seconds later.",
    )
    up_after = forms.IntegerField(
        label="Up after",
        min_value=1,
        max_value=10,
        initial=2,
        help_text="Good answers in a row.",
    )
    regions = forms.TypedMultipleChoiceField(
        label="Regions",
        coerce=int,
        widget=forms.CheckboxSelectMultiple,
        help_text="A check is down when most of its regions say so.",
    )

    def __init__(
        self, *args: Any, client: Client, check: Check | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, client=client, check=check, **kwargs)
        allowed = {each for each in INTERVALS_S if each >= client.minimum_interval_s}
        if check is not None:
            allowed.add(check.interval_s)
        regions = list(Region.objects.filter(active=True).order_by("name"))
        interval, places = self.fields["interval_s"], self.fields["regions"]
        assert isinstance(interval, forms.ChoiceField)
        assert isinstance(places, forms.ChoiceField)
        interval.choices = [(each, every(each)) for each in INTERVALS_S if each in allowed]
        interval.initial = max(60, client.minimum_interval_s)
        places.choices = [(region.pk, region.name) for region in regions]
        places.initial = sorted(region.pk for region in regions)

    def initial_of(self, check: Check) -> dict[str, Any]:
        values = settings_of(check)
        timeout_s = Decimal(f"{values['timeout_ms'] / 1_000:g}")  # not as 1E+1
        return {**values, "timeout_s": timeout_s, "regions": sorted(values["regions"])}

    def values(self) -> dict[str, Any]:
        """The usual timeout is nobody's choice: with a short interval it is as long as that allows."""
        values = super().values()
        timeout_s = values.pop("timeout_s")
        values["timeout_ms"] = (
            default_timeout_ms(values["interval_s"])
            if timeout_s == self.fields["timeout_s"].initial
            else int(timeout_s * 1_000)
        )
        return values


def every(seconds: int) -> str:
    """Every minute, Every 5 minutes."""
    return words(seconds, "", "").capitalize()


def address_field(label: str, example: str, help_text: str) -> forms.CharField:
    """The field of the target."""
    attributes = {"placeholder": example, "spellcheck": "false", "autocapitalize": "none"}
    widget = forms.TextInput(attrs=attributes)
    return forms.CharField(label=label, max_length=2_048, help_text=help_text, widget=widget)

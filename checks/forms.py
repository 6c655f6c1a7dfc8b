"""The form of a check: text as people type it, to the fields that the services judge."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError

from checks.drafts import settings_of
from checks.masking import MASK
from checks.models import Check, Family, Method, Region
from checks.models.check import INTERVALS_S
from checks.validation import DEFAULTS
from clients.models import Client

_FIELD_OF: Final = {"timeout_ms": "timeout_s"}
"""Where a rule's name is not the form's."""


def interval_words(seconds: int) -> str:
    for size, word in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds % size == 0:
            return f"Every {word}" if seconds == size else f"Every {seconds // size} {word}s"
    return f"Every {seconds} seconds"


class CheckForm(forms.Form):
    """One field is enough; all others have sensible values and stand in closed sections."""

    url = forms.CharField(
        label="Address",
        max_length=2_048,
        help_text="What to ask. Without http:// or https:// in front, https:// is taken.",
        widget=forms.URLInput(
            attrs={"placeholder": "https://", "autocomplete": "url", "spellcheck": "false"}
        ),
    )
    name = forms.CharField(
        label="Name",
        max_length=100,
        required=False,
        help_text="How it is called in lists and alerts. Left empty, the host's name is taken.",
    )
    interval_s = forms.TypedChoiceField(
        label="How often", coerce=int, initial=60, help_text="How often each region asks."
    )

    method = forms.ChoiceField(label="Method", choices=Method.choices, initial=Method.GET)
    headers = forms.CharField(
        label="Headers",
        required=False,
        strip=False,
        help_text=(
            "One on each line, as Name: value. Stored values are shown as stars; leave the stars to keep them, "
            "as long as the address stays at its host."
        ),
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
    )
    body = forms.CharField(
        label="Body",
        required=False,
        strip=False,
        help_text="Sent with POST, PUT, PATCH and DELETE.",
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
    )
    follow_redirects = forms.BooleanField(
        label="Follow redirects",
        required=False,
        initial=True,
        help_text="Ten at most; headers with credentials stay with the first site.",
    )
    verify_tls = forms.BooleanField(
        label="Verify the certificate",
        required=False,
        initial=True,
        help_text="A wrong or expired certificate counts as down.",
    )
    family = forms.ChoiceField(label="IP version", choices=Family.choices, initial=Family.ANY)

    expected_status = forms.CharField(
        label="Status codes",
        required=False,
        help_text="Codes and ranges that are good, such as 200-299, 404. Empty means 200-299.",
    )
    keyword = forms.CharField(
        label="Text that must be there",
        required=False,
        help_text="One on each line; all must be found.",
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    keyword_absent = forms.CharField(
        label="Text that must not be there",
        required=False,
        help_text="One on each line.",
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    max_latency_ms = forms.IntegerField(
        label="Slow above (ms)",
        required=False,
        min_value=1,
        help_text="A good answer that takes longer makes the check slow, not down.",
    )
    cert_min_days = forms.IntegerField(
        label="Certificate days",
        required=False,
        min_value=0,
        initial=14,
        help_text="Fewer days left on the certificate make the check slow.",
    )

    timeout_s = forms.DecimalField(
        label="Timeout (seconds)",
        min_value=1,
        max_value=30,
        max_digits=5,
        decimal_places=3,
        initial=10,
        help_text="From 1 to 30, and shorter than the interval.",
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
        self.check = check
        if check is not None:
            kwargs.setdefault("initial", _initial(check))
        super().__init__(*args, **kwargs)
        allowed = {each for each in INTERVALS_S if each >= client.minimum_interval_s}
        if check is not None:
            allowed.add(check.interval_s)
        choices = [(each, interval_words(each)) for each in INTERVALS_S if each in allowed]
        regions = list(Region.objects.filter(active=True).order_by("name"))
        interval, places = self.fields["interval_s"], self.fields["regions"]
        assert isinstance(interval, forms.ChoiceField)
        assert isinstance(places, forms.ChoiceField)
        interval.choices = choices
        if check is None:
            interval.initial = max(60, client.minimum_interval_s)
            places.initial = [region.pk for region in regions]
        places.choices = [(region.pk, region.name) for region in regions]

    def clean_headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        for number, line in enumerate(self.cleaned_data["headers"].splitlines(), start=1):
            if not line.strip():
                continue
            name, colon, value = line.partition(":")
            if not colon or not name.strip():
                raise ValidationError(f"Line {number} is not of the form Name: value.", code="form")
            if name.strip().lower() in {known.lower() for known in headers}:
                raise ValidationError(f"{name.strip()} stands here twice.", code="twice")
            headers[name.strip()] = value.strip()
        return headers

    def clean_expected_status(self) -> list[str]:
        return [part for part in re.split(r"[,;\s]+", self.cleaned_data["expected_status"]) if part]

    def clean_keyword(self) -> list[str]:
        return _lines(self.cleaned_data["keyword"])

    def clean_keyword_absent(self) -> list[str]:
        return _lines(self.cleaned_data["keyword_absent"])

    def values(self) -> dict[str, Any]:
        """The fields as `checks.services` takes them; call it on a valid form."""
        values = dict(self.cleaned_data)
        values["timeout_ms"] = int(values.pop("timeout_s") * 1_000)
        values["body"] = values["body"].replace("\r\n", "\n")
        if not values["name"]:
            del values["name"]
        return values

    def add_rules(self, error: ValidationError) -> None:
        """Put what a service refused at the field it names, or on top of the form."""
        if not hasattr(error, "error_dict"):
            self.add_error(None, error)
            return
        for name, problems in error.error_dict.items():
            field = _FIELD_OF.get(name, name)
            self.add_error(field if field in self.fields else None, problems)

    def open_sections(self) -> set[str]:
        """Sections with an error, or with something else than the usual values."""
        found = set()
        for section, names in SECTIONS.items():
            wrong = any(name in self.errors for name in names)
            if wrong or (self.check is not None and any(map(self._unusual, names))):
                found.add(section)
        return found

    def _unusual(self, name: str) -> bool:
        if name == "timeout_s":
            return bool(self.initial[name] != Decimal(DEFAULTS["timeout_ms"]) / 1_000)
        usual = DEFAULTS.get(name)
        return name in DEFAULTS and self.initial.get(name) != (
            "" if usual in ({}, [], None) else usual
        )


SECTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "request": ("method", "headers", "body", "follow_redirects", "verify_tls", "family"),
    "expect": ("expected_status", "keyword", "keyword_absent", "max_latency_ms", "cert_min_days"),
    "timing": ("timeout_s", "down_after", "up_after"),
    "where": ("regions",),
}


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _initial(check: Check) -> dict[str, Any]:
    values = settings_of(check)
    return {
        **values,
        "headers": "\n".join(f"{name}: {MASK}" for name in values["headers"]),
        "body": MASK if values["body"] else "",
        "expected_status": ", ".join(values["expected_status"]),
        "keyword": "\n".join(values["keyword"]),
        "keyword_absent": "\n".join(values["keyword_absent"]),
        "max_latency_ms": "" if values["max_latency_ms"] is None else values["max_latency_ms"],
        "timeout_s": (Decimal(values["timeout_ms"]) / 1_000).normalize(),
    }

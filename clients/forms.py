"""Forms of a client's own affairs: a new API key."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from clients.models import ApiKey, Client, Scope

LONGEST_DAYS: Final = 3_650
_FIELD_OF: Final = {"scopes": "scope", "expires_at": "expires_on"}
"""Where a rule's name is not the form's."""


class KeyForm(forms.Form):
    """What a key is called, may do, and until when."""

    name = forms.CharField(
        label="Name",
        max_length=100,
        help_text="Where it will be used, such as Deploy pipeline.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    scope = forms.ChoiceField(
        label="What it may do",
        choices=[
            (Scope.READ, "Read checks, incidents, channels and messages"),
            (Scope.WRITE, "Read and write: also make, change and delete checks and channels"),
        ],
        initial=Scope.READ,
        widget=forms.RadioSelect,
    )
    expires_on = forms.DateField(
        label="Last day",
        required=False,
        help_text="It works to the end of this day. Empty means until it is revoked.",
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )

    def __init__(self, *args: Any, client: Client, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._client = client

    def clean_name(self) -> str:
        """Two live keys of one name cannot be told apart; so a page that is sent again makes no second key."""
        name: str = self.cleaned_data["name"].strip()
        rows = ApiKey.objects.for_client(self._client).filter(revoked_at=None, name=name)
        if rows.exists():
            raise ValidationError(
                "A key of this name is there already. Take another name, or revoke that one.",
                code="taken",
            )
        return name

    def clean_expires_on(self) -> date | None:
        day: date | None = self.cleaned_data["expires_on"]
        if day is None:
            return None
        today = timezone.localdate()
        if day < today:
            raise ValidationError("This day is over.", code="past")
        if day > today + timedelta(days=LONGEST_DAYS):
            raise ValidationError("Ten years from today at most.", code="range")
        return day

    def values(self) -> dict[str, Any]:
        """The fields as `clients.apikeys.create_key` takes them; call it on a valid form."""
        day: date | None = self.cleaned_data["expires_on"]
        writes = self.cleaned_data["scope"] == Scope.WRITE
        return {
            "name": self.cleaned_data["name"],
            "scopes": [Scope.READ.value, Scope.WRITE.value] if writes else [Scope.READ.value],
            "expires_at": None if day is None else _end_of(day),
        }

    def add_rules(self, error: ValidationError) -> None:
        """Put what a service refused at the field it names."""
        for name, problems in error.error_dict.items():
            self.add_error(_FIELD_OF.get(name, name), problems)


def _end_of(day: date) -> datetime:
    """The midnight after the day, where the reader lives."""
    return timezone.make_aware(datetime.combine(day + timedelta(days=1), time.min))

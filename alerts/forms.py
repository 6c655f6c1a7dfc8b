"""The form of a channel."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError

from alerts.models import Channel, ChannelKind, default_hears
from checks.models import Event

HEARS: Final = (
    (Event.Kind.DOWN.value, "A check is down"),
    (Event.Kind.UP.value, "It is up again"),
    (Event.Kind.DEGRADED.value, "A check is slow or its certificate is about to end"),
    (Event.Kind.RECOVERED.value, "It is as fast as before"),
)


class ChannelForm(forms.Form):
    """Three fields; the kind of a saved channel does not change."""

    kind = forms.ChoiceField(
        label="How to tell",
        choices=ChannelKind.choices,
        widget=forms.RadioSelect,
        initial=ChannelKind.EMAIL,
    )
    target = forms.CharField(
        label="Where to",
        max_length=2_048,
        help_text="An e-mail address, or the URL that a webhook is posted to.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    name = forms.CharField(
        label="Name", max_length=100, help_text="How it is called in lists, such as On call."
    )
    hears = forms.MultipleChoiceField(
        label="What it hears of", choices=HEARS, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args: Any, channel: Channel | None = None, **kwargs: Any) -> None:
        if channel is not None:
            kwargs.setdefault(
                "initial",
                {"target": channel.target, "name": channel.name, "hears": channel.hears},
            )
        super().__init__(*args, **kwargs)
        if channel is None:
            self.fields["hears"].initial = default_hears()
            return
        del self.fields["kind"]
        email = channel.kind == ChannelKind.EMAIL
        self.fields["target"].label = "E-mail address" if email else "URL"
        self.fields["target"].help_text = ""

    def add_rules(self, error: ValidationError) -> None:
        """Put what a service refused at the field it names, or on top of the form."""
        if not hasattr(error, "error_dict"):
            self.add_error(None, error)
            return
        for name, problems in error.error_dict.items():
            self.add_error(name if name in self.fields else None, problems)

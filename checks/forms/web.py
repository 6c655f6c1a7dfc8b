"""The form of a website or an API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError

from checks.forms.base import ProbedForm, Rows, Section
from checks.forms.lines import HeaderRules, JsonRules, Lines, Patterns
from checks.masking import masked
from checks.models import Check, Kind, Method
from checks.models.check import MAX_BODY_BYTES, MAX_REDIRECTS

_PLAIN = {"spellcheck": "false", "autocapitalize": "none", "autocomplete": "off"}


class Statuses(forms.CharField):
    """Codes and ranges, set off by commas or spaces."""

    def clean(self, value: Any) -> list[str]:
        return [part for part in re.split(r"[,;\s]+", super().clean(value)) if part]

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value


class Headers(forms.CharField):
    """Request headers, one on each line."""

    def clean(self, value: Any) -> dict[str, str]:
        headers: dict[str, str] = {}
        for number, line in enumerate(super().clean(value).splitlines(), start=1):
            if not line.strip():
                continue
            name, colon, text = line.partition(":")
            if not colon or not name.strip():
                raise ValidationError(f"Line {number} is not of the form Name: value.", code="form")
            if name.strip().lower() in {known.lower() for known in headers}:
                raise ValidationError(f"{name.strip()} stands here twice.", code="twice")
            headers[name.strip()] = text.strip()
        return headers

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return "\n".join(f"{name}: {text}" for name, text in value.items())
        return value


class WebForm(ProbedForm):
    kind: ClassVar[Kind] = Kind.HTTP
    FIELD_OF: ClassVar[dict[str, str]] = {**ProbedForm.FIELD_OF, "auth": "auth_type"}
    FIRST: ClassVar[Rows] = (("url",), ("name", "interval_s"))
    SECTIONS: ClassVar[tuple[Section, ...]] = (
        Section(
            key="expect",
            title="What a good answer is",
            rows=(
                ("expected_status",),
                ("keyword", "keyword_absent"),
                ProbedForm.LATENCY,
                ("cert_min_days",),
            ),
        ),
        Section(
            key="rules",
            title="Rules for JSON, headers and patterns",
            rows=(
                ("json",),
                ("header",),
                ("regex", "regex_absent"),
                ("expected_url", "min_body_bytes"),
            ),
        ),
        Section(
            key="request",
            title="The request",
            rows=(
                ("method",),
                ("headers",),
                ("body",),
                ("follow_redirects", "max_redirects"),
                ("verify_tls",),
            ),
        ),
        Section(
            key="auth",
            title="Sign-in",
            rows=(("auth_type",), ("username", "password"), ("token",)),
        ),
        ProbedForm.TIMING,
        ProbedForm.WHERE,
    )

    url = forms.CharField(
        label="Address",
        max_length=2_048,
        help_text="What to ask. Without http:// or https:// in front, https:// is taken.",
        widget=forms.URLInput(
            attrs={"placeholder": "https://", "autocomplete": "url", "spellcheck": "false"}
        ),
    )

    expected_status = Statuses(
        label="Status codes",
        required=False,
        help_text="Codes and ranges that are good, such as 200-299, 404. Empty means 200-299.",
    )
    keyword = Lines(
        label="Text that must be there", help_text="One on each line; all must be found."
    )
    keyword_absent = Lines(label="Text that must not be there", help_text="One on each line.")
    cert_min_days = forms.IntegerField(
        label="Certificate days",
        required=False,
        min_value=1,
        max_value=1_000,
        initial=14,
        help_text="Fewer days left on the certificate make the check slow; an expired one is down.",
    )

    json = JsonRules(
        label="JSON rules",
        rows=3,
        help_text=(
            'One on each line, such as $.status == "ok", $.items length 3, $.error absent. '
            "Comparisons: == != < <= > >= contains length exists absent."
        ),
    )
    header = HeaderRules(
        label="Header rules",
        help_text=(
            "Of the answer, one on each line, such as Content-Type matches ^text/html, Server absent. "
            "Comparisons: == != matches exists absent."
        ),
    )
    regex = Patterns(
        label="Patterns that must match",
        help_text="Regular expressions, one on each line; all must be found.",
    )
    regex_absent = Patterns(label="Patterns that must not match", help_text="One on each line.")
    expected_url = forms.CharField(
        label="Redirects end at",
        required=False,
        max_length=2_048,
        help_text="Where the last answer has to come from.",
        widget=forms.URLInput(attrs={"placeholder": "https://", **_PLAIN}),
    )
    min_body_bytes = forms.IntegerField(
        label="At least so many bytes",
        required=False,
        min_value=1,
        max_value=MAX_BODY_BYTES,
        help_text="A shorter answer is down.",
    )

    method = forms.ChoiceField(
        label="Method", choices=[(each, each) for each in Method.values], initial=Method.GET
    )
    headers = Headers(
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
        help_text="Sent with POST, PUT, PATCH, DELETE and OPTIONS.",
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
    )
    follow_redirects = forms.BooleanField(
        label="Follow redirects",
        required=False,
        initial=True,
        help_text="Headers and credentials stay with the first site.",
    )
    max_redirects = forms.IntegerField(
        label="Redirects at most", min_value=0, max_value=MAX_REDIRECTS, initial=5
    )
    verify_tls = forms.BooleanField(
        label="Verify the certificate",
        required=False,
        initial=True,
        help_text="A wrong or expired certificate counts as down.",
    )

    auth_type = forms.ChoiceField(
        label="Sign in with",
        required=False,
        choices=[("", "Nothing"), ("basic", "User name and password"), ("bearer", "Bearer token")],
        help_text="Stored credentials are shown as stars; leave the stars to keep them.",
    )
    username = forms.CharField(
        label="User name", required=False, strip=False, widget=forms.TextInput(attrs=_PLAIN)
    )
    password = forms.CharField(
        label="Password",
        required=False,
        strip=False,
        widget=forms.PasswordInput(render_value=True, attrs={"autocomplete": "new-password"}),
    )
    token = forms.CharField(
        label="Token",
        required=False,
        widget=forms.PasswordInput(render_value=True, attrs={"autocomplete": "new-password"}),
    )

    def initial_of(self, check: Check) -> dict[str, Any]:
        shown = masked(check)
        auth = shown["auth"] or {}
        return {**super().initial_of(check), **shown, **auth, "auth_type": auth.get("type", "")}

    def values(self) -> dict[str, Any]:
        values = super().values()
        values["body"] = values["body"].replace("\r\n", "\n")
        secrets = {name: values.pop(name) for name in ("username", "password", "token")}
        chosen = values.pop("auth_type")
        of_type = {"basic": ("username", "password"), "bearer": ("token",)}.get(chosen, ())
        values["auth"] = (
            {"type": chosen, **{name: secrets[name] for name in of_type}} if chosen else None
        )
        return values

"""The forms of the short kinds of probes: TCP port, TLS certificate, DNS record."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms

from checks.forms.base import ProbedForm, Rows, Section, address_field
from checks.forms.lines import Lines
from checks.masking import masked
from checks.models import Check, Kind
from fanout_lambdas.shared.contracts.request import RECORD_TYPES

_PLAIN = {"spellcheck": "false", "autocapitalize": "none", "autocomplete": "off"}


class _TargetForm(ProbedForm):
    """A target that is written without its scheme."""

    def initial_of(self, check: Check) -> dict[str, Any]:
        values = {**super().initial_of(check), **masked(check)}
        return {**values, "url": check.url.removeprefix(f"{self.kind}://")}


class TcpForm(_TargetForm):
    kind: ClassVar[Kind] = Kind.TCP
    FIRST: ClassVar[Rows] = (("url",), ("name", "interval_s"))
    SECTIONS: ClassVar[tuple[Section, ...]] = (
        Section(
            key="expect",
            title="What a good answer is",
            rows=(("send", "expect"), ProbedForm.LATENCY),
        ),
        ProbedForm.TIMING,
        ProbedForm.WHERE,
    )

    url = address_field(
        "Host and port", "db.example.com:5432", "A connection that stands is a good answer."
    )
    send = forms.CharField(
        label="Send",
        required=False,
        strip=False,
        help_text=r"Said first; \r\n ends a line. Stored text is shown as stars; leave the stars to keep it.",
        widget=forms.TextInput(attrs=_PLAIN),
    )
    expect = forms.CharField(
        label="Expect",
        required=False,
        strip=False,
        max_length=1_024,
        help_text="Text that the server has to say.",
        widget=forms.TextInput(attrs=_PLAIN),
    )


class TlsForm(_TargetForm):
    kind: ClassVar[Kind] = Kind.TLS
    FIRST: ClassVar[Rows] = (("url",), ("name", "interval_s"), ("cert_min_days",))
    SECTIONS: ClassVar[tuple[Section, ...]] = (
        Section(
            key="expect",
            title="What a good answer is",
            rows=(("verify_tls",), ProbedForm.LATENCY),
        ),
        ProbedForm.TIMING,
        ProbedForm.WHERE,
    )

    url = address_field(
        "Host", "example.com", "With its port where that is not 443: example.com:993."
    )
    cert_min_days = forms.IntegerField(
        label="Warn when fewer days are left",
        required=False,
        min_value=1,
        max_value=1_000,
        initial=14,
        help_text="The check turns slow; an expired certificate is down.",
    )
    verify_tls = forms.BooleanField(
        label="Verify the certificate",
        required=False,
        initial=True,
        help_text="One for another name, or from an unknown authority, counts as down.",
    )


class DnsForm(_TargetForm):
    kind: ClassVar[Kind] = Kind.DNS
    FIRST: ClassVar[Rows] = (("url", "record_type"), ("name", "interval_s"), ("record_values",))
    SECTIONS: ClassVar[tuple[Section, ...]] = (
        Section(
            key="expect",
            title="Name server and time",
            rows=(("name_server",), ProbedForm.LATENCY),
        ),
        ProbedForm.TIMING,
        ProbedForm.WHERE,
    )

    url = address_field("Domain name", "example.com", "The name that is looked up.")
    record_type = forms.ChoiceField(
        label="Record", choices=[(each, each) for each in RECORD_TYPES], initial="A"
    )
    record_values = Lines(
        label="Expected values",
        help_text="One on each line; all must be among the answers. Empty means that any answer is good.",
    )
    name_server = forms.CharField(
        label="Name server",
        required=False,
        max_length=300,
        help_text="Whom to ask, such as 9.9.9.9. Empty means the resolver of the region.",
        widget=forms.TextInput(attrs=_PLAIN),
    )

"""A check in the REST API: its schema, its examples, and how it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from checks.masking import MASK, masked
from checks.models import Check, Family, Kind, LatencyOutcome, Method, State
from checks.models.check import (
    GRACE_S,
    HEARTBEAT_S,
    INTERVALS_S,
    MAX_BODY_BYTES,
    MAX_REDIRECTS,
    TIMEOUT_MS,
)
from checks.serializers.regions import RegionCodes
from checks.validation import FIELDS, FIELDS_OF, HEARTBEAT_INTERVAL_S
from clients.api import RawSerializer
from fanout_lambdas.shared.contracts.expectations import HEADER_OPS, JSON_OPS
from fanout_lambdas.shared.contracts.request import RECORD_TYPES

KEPT = f"Shown as {MASK}; sent back like that, it stays as it is."
URL_HELP = (
    "The target. http: an address; without http:// or https:// in front, https:// is taken. "
    "tcp: host:port. tls: host or host:port. dns: a name. A heartbeat has none."
)
STATUS_HELP = 'http: codes and ranges such as "404" and "200-299"; empty means 200-299.'
INTERVAL_HELP = (
    f"Seconds. Probed kinds: one of {', '.join(map(str, INTERVALS_S))}. Heartbeat: how often the job calls, "
    f"{HEARTBEAT_S[0]} to {HEARTBEAT_S[1]}, by default {HEARTBEAT_INTERVAL_S}."
)
_EXAMPLES: Final = {
    "Website": {"url": "https://example.com/", "keyword": ["Welcome"], "max_latency_ms": 800},
    "API": {
        "url": "https://api.example.com/v1/health",
        "auth": {"type": "bearer", "token": "s3cret"},
        "json": [{"path": "$.status", "op": "==", "value": "ok"}],
        "header": [{"name": "Content-Type", "op": "matches", "value": "^application/json"}],
    },
    "TCP port": {"kind": "tcp", "url": "db.example.com:5432"},
    "TLS certificate": {"kind": "tls", "url": "example.com", "cert_min_days": 21},
    "DNS record": {
        "kind": "dns",
        "url": "example.com",
        "record_type": "MX",
        "record_values": ["10 mail.example.com"],
    },
    "Heartbeat": {
        "kind": "heartbeat",
        "name": "Nightly backup",
        "cron": "30 2 * * *",
        "timezone": "Europe/Berlin",
        "grace_s": 1_800,
    },
}

_NO_CALLS: Final[Mapping[str, Any]] = {
    "ping_url": "",
    "last_ping_at": None,
    "expected_at": None,
    "due_at": None,
    "late": False,
}


def _texts(help_text: str) -> serializers.ListField:
    return serializers.ListField(child=serializers.CharField(), required=False, help_text=help_text)


@extend_schema_field({"type": ["string", "number", "boolean", "null"]})
class ScalarField(serializers.JSONField):
    """A text, a number, true, false or null."""


class AuthSerializer(serializers.Serializer[Any]):
    """Credentials: basic with user name and password, or bearer with a token."""

    type = serializers.ChoiceField(choices=("basic", "bearer"))
    username = serializers.CharField(required=False, help_text=KEPT)
    password = serializers.CharField(required=False, help_text=KEPT)
    token = serializers.CharField(required=False, help_text=KEPT)


class JsonRuleSerializer(serializers.Serializer[Any]):
    """What the JSON body must hold at a path (RFC 9535)."""

    path = serializers.CharField(help_text="Such as $.status or $.items[0].price.")
    op = serializers.ChoiceField(choices=JSON_OPS)
    value = ScalarField(required=False, help_text="Not with exists and absent.")


class HeaderRuleSerializer(serializers.Serializer[Any]):
    """What a header of the answer must be."""

    name = serializers.CharField()
    op = serializers.ChoiceField(choices=HEADER_OPS)
    value = serializers.CharField(
        required=False, help_text="A regular expression for matches; not with exists and absent."
    )


@extend_schema_serializer(
    examples=[
        OpenApiExample(name, value=value, request_only=True) for name, value in _EXAMPLES.items()
    ]
)
class CheckSerializer(RawSerializer):
    """A check. It has the fields of its kind; those of another kind are refused unless they hold their default.
    Whatever is written here is judged by `checks.services`."""

    id = serializers.IntegerField(read_only=True)
    name = serializers.CharField(
        max_length=100, required=False, help_text="Default: the target's name."
    )
    kind = serializers.ChoiceField(
        choices=Kind.choices, default=Kind.HTTP, help_text="A check keeps its kind."
    )
    url = serializers.CharField(max_length=2048, required=False, help_text=URL_HELP)
    timeout_ms = serializers.IntegerField(
        min_value=TIMEOUT_MS[0], max_value=TIMEOUT_MS[1], default=10_000
    )
    family = serializers.ChoiceField(choices=Family.choices, default=Family.ANY)

    method = serializers.ChoiceField(choices=Method.choices, default=Method.GET, help_text="http.")
    headers = serializers.DictField(
        child=serializers.CharField(), required=False, help_text=f"http. Each value: {KEPT}"
    )
    body = serializers.CharField(required=False, help_text=f"http. {KEPT}")
    auth = AuthSerializer(required=False, allow_null=True, help_text="http.")
    follow_redirects = serializers.BooleanField(default=True, help_text="http.")
    max_redirects = serializers.IntegerField(
        min_value=0, max_value=MAX_REDIRECTS, default=5, help_text="http."
    )
    verify_tls = serializers.BooleanField(default=True, help_text="http, tls.")
    max_body_bytes = serializers.IntegerField(
        min_value=1,
        max_value=MAX_BODY_BYTES,
        default=MAX_BODY_BYTES,
        help_text="http: no more of an answer is read.",
    )
    send = serializers.CharField(
        required=False, help_text=rf"tcp: what is said first; \r\n ends a line. {KEPT}"
    )
    record_type = serializers.ChoiceField(choices=RECORD_TYPES, default="A", help_text="dns.")
    name_server = serializers.CharField(
        required=False, help_text="dns: whom to ask; empty means the region's own resolver."
    )

    expected_status = _texts(STATUS_HELP)
    expected_url = serializers.CharField(
        required=False, help_text="http: where the redirects have to end."
    )
    keyword = _texts("http: texts that must be there.")
    keyword_absent = _texts("http: texts that must not be there.")
    regex = _texts("http: regular expressions that must match.")
    regex_absent = _texts("http: regular expressions that must not match.")
    json = JsonRuleSerializer(many=True, required=False, help_text="http.")
    header = HeaderRuleSerializer(many=True, required=False, help_text="http.")
    min_body_bytes = serializers.IntegerField(
        allow_null=True,
        required=False,
        min_value=1,
        max_value=MAX_BODY_BYTES,
        help_text="http: a shorter answer is down.",
    )
    expect = serializers.CharField(
        required=False, max_length=1024, help_text="tcp: what the server has to say."
    )
    record_values = _texts("dns: records that must be among the answers; empty means any.")
    max_latency_ms = serializers.IntegerField(
        allow_null=True, required=False, min_value=1, help_text="Slower is not good enough."
    )
    max_latency_outcome = serializers.ChoiceField(
        choices=LatencyOutcome.choices,
        default=LatencyOutcome.DEGRADED,
        help_text="What a slower answer makes of the check.",
    )
    cert_min_days = serializers.IntegerField(
        allow_null=True,
        default=14,
        min_value=1,
        help_text="http, tls: fewer days left are degraded; expired is down.",
    )

    interval_s = serializers.IntegerField(default=60, min_value=10, help_text=INTERVAL_HELP)
    regions = RegionCodes(required=False, help_text="Default: all regions. Not for heartbeats.")
    rotate = serializers.BooleanField(default=False)
    down_after = serializers.IntegerField(min_value=1, max_value=10, default=3)
    up_after = serializers.IntegerField(min_value=1, max_value=10, default=2)
    quorum = serializers.IntegerField(allow_null=True, required=False, min_value=1)
    grace_s = serializers.IntegerField(
        min_value=GRACE_S[0],
        max_value=GRACE_S[1],
        default=300,
        help_text="heartbeat: how late the job may be, in seconds.",
    )
    cron = serializers.CharField(
        required=False,
        max_length=100,
        help_text="heartbeat: when the job calls, in five fields; interval_s then does not count.",
    )
    timezone = serializers.CharField(
        max_length=64, default="UTC", help_text="heartbeat: in which cron is read."
    )

    state = serializers.ChoiceField(choices=State.choices, read_only=True)
    state_since = serializers.DateTimeField(read_only=True)
    paused_at = serializers.DateTimeField(read_only=True, allow_null=True)
    created_at = serializers.DateTimeField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)
    version = serializers.IntegerField(read_only=True)

    ping_url = serializers.CharField(
        read_only=True,
        required=False,
        help_text="heartbeat: the address that the job calls; hidden from those who may only read.",
    )
    last_ping_at = serializers.DateTimeField(read_only=True, allow_null=True)
    expected_at = serializers.DateTimeField(
        read_only=True, allow_null=True, help_text="heartbeat: when the next call is expected."
    )
    due_at = serializers.DateTimeField(
        read_only=True, allow_null=True, help_text="heartbeat: when silence becomes an outage."
    )
    late = serializers.BooleanField(
        read_only=True, help_text="heartbeat: expected, not there, and not yet down."
    )

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        values = super().to_internal_value(data)
        if "regions" in values:
            regions = self.fields["regions"]
            assert isinstance(regions, RegionCodes)
            values["regions"] = regions.read(values["regions"])
        return values

    def to_representation(self, instance: Check) -> dict[str, Any]:
        """The fields of its kind, without secrets."""
        kind = Kind(instance.kind)
        foreign = set(FIELDS) - FIELDS_OF[kind]
        calls = self.context["heartbeats"].get(instance.pk, _NO_CALLS)
        if kind is not Kind.HEARTBEAT:
            foreign |= set(_NO_CALLS)
        shown = super().to_representation(_Shown(instance, calls))
        return {name: value for name, value in shown.items() if name not in foreign}


class _Shown:
    """A check with its secrets covered, and with the calls of its job."""

    def __init__(self, check: Check, calls: Mapping[str, Any]) -> None:
        self._check = check
        self.__dict__.update(masked(check), **calls)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._check, name)

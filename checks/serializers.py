"""Checks, results and incidents as the REST API shows them, and what it takes in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from checks.history.uptime import Uptime
from checks.masking import MASK, headers_of
from checks.models import Check, Family, Incident, Kind, Method, State
from checks.models.check import INTERVALS_S, MAX_BODY_BYTES, MAX_REDIRECTS, TIMEOUT_MS
from checks.models.result import OUTCOME_OF, REASON_OF
from checks.selectors import SeenResult
from clients.api import RawSerializer
from fanout_lambdas.shared.contracts import PHASES, Outcome, Reason

OUTCOME_NAMES = [outcome.value for outcome in Outcome]
REASON_NAMES = [reason.value for reason in Reason]
STATUS_HELP = 'Codes and ranges such as "404" and "200-299"; empty means 200-299.'
HEADERS_HELP = f"Values are shown as {MASK}; sent back like that, they stay as they are."


class RegionCodes(serializers.ListField):
    """Regions by their codes; the database knows them by number."""

    child = serializers.CharField()

    def to_representation(self, data: Any) -> list[Any]:
        codes = self._codes()
        return [codes.get(number, str(number)) for number in data]

    def read(self, value: Any) -> Any:
        """Codes as numbers; what is no code stays wrong, for the service to refuse."""
        if not isinstance(value, list):
            return value
        numbers = {code: number for number, code in self._codes().items()}
        return [numbers.get(each, -1) if isinstance(each, str) else "" for each in value]

    def _codes(self) -> dict[int, str]:
        codes: dict[int, str] = self.context["region_codes"]
        return codes


class CheckSerializer(RawSerializer):
    """A check. Whatever is written here is judged by `checks.services`."""

    id = serializers.IntegerField(read_only=True)
    name = serializers.CharField(max_length=100, required=False, help_text="Default: the host.")
    kind = serializers.ChoiceField(choices=Kind.choices, default=Kind.HTTP)
    url = serializers.CharField(
        max_length=2048, help_text="Without http:// or https:// in front, https:// is taken."
    )
    method = serializers.ChoiceField(choices=Method.choices, default=Method.GET)
    headers = serializers.DictField(
        child=serializers.CharField(), required=False, help_text=HEADERS_HELP
    )
    body = serializers.CharField(required=False, help_text="Masked like the headers.")
    timeout_ms = serializers.IntegerField(
        min_value=TIMEOUT_MS[0], max_value=TIMEOUT_MS[1], default=10_000
    )
    follow_redirects = serializers.BooleanField(default=True)
    max_redirects = serializers.IntegerField(min_value=0, max_value=MAX_REDIRECTS, default=5)
    verify_tls = serializers.BooleanField(default=True)
    family = serializers.ChoiceField(choices=Family.choices, default=Family.ANY)
    max_body_bytes = serializers.IntegerField(
        min_value=1, max_value=MAX_BODY_BYTES, default=MAX_BODY_BYTES
    )
    expected_status = serializers.ListField(
        child=serializers.CharField(), required=False, help_text=STATUS_HELP
    )
    keyword = serializers.ListField(
        child=serializers.CharField(), required=False, help_text="Texts that must be there."
    )
    keyword_absent = serializers.ListField(
        child=serializers.CharField(), required=False, help_text="Texts that must not be there."
    )
    max_latency_ms = serializers.IntegerField(
        allow_null=True, required=False, min_value=1, help_text="Slower is degraded, not down."
    )
    cert_min_days = serializers.IntegerField(allow_null=True, default=14, min_value=1)
    interval_s = serializers.ChoiceField(choices=INTERVALS_S, default=60)
    regions = RegionCodes(required=False, help_text="Default: all regions.")
    rotate = serializers.BooleanField(default=False)
    down_after = serializers.IntegerField(min_value=1, max_value=10, default=3)
    up_after = serializers.IntegerField(min_value=1, max_value=10, default=2)
    quorum = serializers.IntegerField(allow_null=True, required=False, min_value=1)

    state = serializers.ChoiceField(choices=State.choices, read_only=True)
    state_since = serializers.DateTimeField(read_only=True)
    paused_at = serializers.DateTimeField(read_only=True, allow_null=True)
    created_at = serializers.DateTimeField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)
    version = serializers.IntegerField(read_only=True)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        values = super().to_internal_value(data)
        if "regions" in values:
            regions = self.fields["regions"]
            assert isinstance(regions, RegionCodes)
            values["regions"] = regions.read(values["regions"])
        return values

    def to_representation(self, instance: Check) -> dict[str, Any]:
        shown = super().to_representation(_Masked(instance))
        return dict(shown)


class _Masked:
    """A check with its secrets covered."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self.headers = dict.fromkeys(headers_of(check), MASK)
        self.body = MASK if check.body else ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._check, name)


class ResultSerializer(serializers.Serializer[SeenResult]):
    """What one slot came to."""

    at = serializers.DateTimeField(help_text="The slot.")
    region = serializers.CharField()
    outcome = serializers.ChoiceField(choices=OUTCOME_NAMES)
    reason = serializers.ChoiceField(choices=REASON_NAMES)
    message = serializers.CharField(help_text="Why it was not simply up.")
    http_status = serializers.IntegerField(allow_null=True)
    total_us = serializers.IntegerField()
    phases = serializers.DictField(child=serializers.IntegerField(allow_null=True))
    bytes = serializers.IntegerField(allow_null=True)
    recheck = serializers.BooleanField(
        help_text="Outside the regular schedule: a recheck, or the first probe of a check that is new "
        "or resumed."
    )

    def to_representation(self, instance: SeenResult) -> dict[str, Any]:
        row = instance.row
        return {
            "at": _time(row.at),
            "region": instance.region,
            "outcome": OUTCOME_OF[row.outcome].value,
            "reason": REASON_OF[row.reason].value,
            "message": instance.message,
            "http_status": row.http_status,
            "total_us": row.total_us,
            "phases": {name: getattr(row, name) for name in PHASES},
            "bytes": row.bytes,
            "recheck": row.extra,
        }


class IncidentSerializer(serializers.ModelSerializer[Incident]):
    """One confirmed outage. Times as rule 8 means them; `confirmed_by` lists the results that proved it."""

    check_id = serializers.IntegerField(source="subject_id")
    check_name = serializers.CharField(source="subject.name")
    confirmed_by = serializers.SerializerMethodField()

    class Meta:
        model = Incident
        fields = (
            *("id", "check_id", "check_name", "started_at", "opened_at", "ended_at", "resolved_at"),
            *("last_good_at", "first_bad_at", "reason", "message", "http_status", "silent"),
            "confirmed_by",
        )
        read_only_fields = fields

    @extend_schema_field({"type": "array", "items": {"type": "object"}})
    def get_confirmed_by(self, incident: Incident) -> list[dict[str, Any]]:
        rows = incident.document.get("confirmed_by", [])
        return [{"slot": slot, "region": region, "message": said} for slot, region, said in rows]


class UptimeSerializer(serializers.Serializer[Any]):
    """Uptime and coverage in percent, rounded down; null where nothing was measured."""

    period = serializers.CharField()
    uptime = serializers.CharField(allow_null=True)
    coverage = serializers.CharField(allow_null=True)
    measured_s = serializers.IntegerField()
    incident_s = serializers.IntegerField()


def shown_uptime(period: str, found: Uptime) -> Mapping[str, Any]:
    return {
        "period": period,
        "uptime": found.share(),
        "coverage": found.coverage(),
        "measured_s": found.measured_s,
        "incident_s": found.incident_s,
    }


def _time(at: Any) -> str:
    return serializers.DateTimeField().to_representation(at)

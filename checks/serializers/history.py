"""Results, incidents and uptime as the REST API shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from checks.history.uptime import Uptime
from checks.models import Incident
from checks.models.result import OUTCOME_OF, REASON_OF
from checks.selectors import SeenResult
from fanout_lambdas.shared.contracts import PHASES, Outcome, Reason

OUTCOME_NAMES = [outcome.value for outcome in Outcome]
REASON_NAMES = [reason.value for reason in Reason]


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

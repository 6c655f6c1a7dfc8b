"""Checks, results and incidents as the REST API shows them, and what it takes in."""

from __future__ import annotations

from checks.serializers.check import CheckSerializer
from checks.serializers.history import (
    IncidentSerializer,
    ResultSerializer,
    UptimeSerializer,
    shown_uptime,
)

__all__ = [
    "CheckSerializer",
    "IncidentSerializer",
    "ResultSerializer",
    "UptimeSerializer",
    "shown_uptime",
]

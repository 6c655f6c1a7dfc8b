"""What is watched and what happened to it."""

from __future__ import annotations

from checks.models.check import Check, Family, Kind, LatencyOutcome, Method, State
from checks.models.heartbeat import Heartbeat, HeartbeatSpan, Ping, PingHealth
from checks.models.incident import Event, Incident
from checks.models.region import IngestKey, Region
from checks.models.result import Evidence, Result, RolledHour, RollupHour
from checks.models.run import BatchReport, DeadLetter, ExtraSlot, MinuteRun
from checks.models.state import RegionState

__all__ = [
    "BatchReport",
    "Check",
    "DeadLetter",
    "Event",
    "Evidence",
    "ExtraSlot",
    "Family",
    "Heartbeat",
    "HeartbeatSpan",
    "Incident",
    "IngestKey",
    "Kind",
    "LatencyOutcome",
    "Method",
    "MinuteRun",
    "Ping",
    "PingHealth",
    "Region",
    "RegionState",
    "Result",
    "RolledHour",
    "RollupHour",
    "State",
]

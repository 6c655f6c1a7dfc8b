"""What may be said of a check: every field's rule in one place, for pages, API and import alike. No I/O.

The request's rules are those of the worker's contract, so that nothing is saved that no worker would run.
"""

from __future__ import annotations

from checks.validation.cleaning import Bounds, clean_fields, default_timeout_ms
from checks.validation.fields import (
    ASSERTION_FIELDS,
    DEFAULTS,
    FIELDS,
    FIELDS_OF,
    HEARTBEAT_INTERVAL_S,
    POLICY_FIELDS,
    REQUEST_FIELDS,
    SCHEDULE_FIELDS,
)

__all__ = [
    "ASSERTION_FIELDS",
    "DEFAULTS",
    "FIELDS",
    "FIELDS_OF",
    "HEARTBEAT_INTERVAL_S",
    "POLICY_FIELDS",
    "REQUEST_FIELDS",
    "SCHEDULE_FIELDS",
    "Bounds",
    "clean_fields",
    "default_timeout_ms",
]

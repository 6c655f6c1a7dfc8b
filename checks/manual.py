"""Test now: one probe for a person who is waiting. It changes no history, alerts nobody, and is limited."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError

from checks.drafts import settings_of, validate_change, validate_new
from checks.models import Check, Kind
from checks.prober import prober_in_use
from checks.validation import ASSERTION_FIELDS, FIELDS_OF, REQUEST_FIELDS
from clients.audit import Actor, label_of
from clients.models import Client
from clients.rate import take
from fanout_lambdas.shared.contracts import Probe, Result

LIMIT = 10
PER_S = 60
PROBE_FIELDS = frozenset((*REQUEST_FIELDS, *ASSERTION_FIELDS))
NOT_PROBED = "A heartbeat is not probed: its job calls us."
TOO_MANY = f"Ten tests a minute are the limit ({LIMIT} in {PER_S} s). Try again in a moment."

logger = logging.getLogger(__name__)


def test_now(
    *,
    client: Client,
    actor: Actor,
    now: datetime,
    check: Check | None = None,  # noqa: PT028
    **fields: Any,
) -> Result:
    """Probe a saved check, a saved check with changed fields, or a draft that is not saved at all.

    ValidationError names wrong fields; RateLimited says when to come back.
    """
    known = {} if check is None else settings_of(check)
    given = validate_new(client, fields) if check is None else validate_change(check, fields)
    if given.get("kind", known.get("kind")) == Kind.HEARTBEAT:
        raise ValidationError(NOT_PROBED, code="kind")
    take(f"test-now:{client.pk}", limit=LIMIT, per_s=PER_S, now=now, message=TOO_MANY)
    check_id = 0 if check is None else check.pk
    logger.info("test now client=%s check=%s by %s", client.pk, check_id, label_of(actor))
    return prober_in_use().probe(
        probe_of(known | given, check_id=check_id, slot=int(now.timestamp()))
    )


test_now.__test__ = False  # type: ignore[attr-defined]  # its name is the product's word, not pytest's


def probe_of(values: Mapping[str, Any], *, check_id: int, slot: int) -> Probe:
    """A check's fields as one probe of the contract."""
    names = FIELDS_OF[Kind(values["kind"])] & PROBE_FIELDS
    # Empty means the contract's default.
    chosen = {name: values[name] for name in names if values[name] not in ("", [])}
    return Probe.from_json({"check_id": check_id, "slot": slot, **chosen})

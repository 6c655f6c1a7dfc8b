"""Hop 4's other way in: reports that found ingest away wait in the object store until they are taken from there."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from django.db import InterfaceError, OperationalError

from checks.models import IngestKey
from checks.pipeline.ingest import WrongRegion, ingest_batch
from fanout_lambdas.objectstore import SPOOL, NoSuchObject, ObjectStore, ObjectTooLarge
from fanout_lambdas.shared.contracts import MAX_WIRE_BYTES, ContractError, Spooled, unpack
from fanout_lambdas.shared.contracts.parsed_batch import parse_result_batch
from fanout_lambdas.shared.signing import SignatureError, key_id_of, verify

logger = logging.getLogger(__name__)

BAD = "spool-bad/"
MOST_AT_ONCE = 500
MOST_BYTES = 2 * MAX_WIRE_BYTES
"""Of a spooled report: base64 makes four bytes of three. Whoever has a worker's rights may lay anything here."""
LONGEST_NAME = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainReport:
    """What one call took in. `bad`: reports moved aside to `spool-bad/`, where an operator can look at them."""

    taken: int = 0
    bad: int = 0
    accepted: int = 0
    waiting: int = 0


def drain_spool(*, store: ObjectStore, now: datetime) -> DrainReport:
    """Take in what waits, the oldest first. The database going away stops it; nothing is lost by that."""
    keys = store.list(SPOOL)
    taken = bad = accepted = 0
    for key in keys[:MOST_AT_ONCE]:
        try:
            data = store.get(key, most=MOST_BYTES)
        except NoSuchObject:  # somebody else took it
            continue
        except ObjectTooLarge as error:
            logger.error("%s is deleted: %s, and no report has as many", key, error)
            store.delete(key)
            bad += 1
            continue
        try:
            accepted += _take(data, now)
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:
            # One report that cannot be taken must not hold up those behind it.
            known = isinstance(error, (ContractError, SignatureError, WrongRegion, LookupError))
            logger.error("%s is moved aside: %s", key, error, exc_info=not known)
            # The end of a name is what tells it from others, and the new one must not outgrow what S3 allows.
            store.put(BAD + key.removeprefix(SPOOL)[-LONGEST_NAME:].lstrip("./"), data)
            bad += 1
        else:
            taken += 1
        store.delete(key)
    waiting = max(0, len(keys) - MOST_AT_ONCE)
    return DrainReport(taken=taken, bad=bad, accepted=accepted, waiting=waiting)


def _take(data: bytes, now: datetime) -> int:
    spooled = Spooled.from_bytes(data)
    key_id = key_id_of(spooled.headers)
    key = IngestKey.objects.filter(key_id=key_id, revoked_at=None).select_related("region").first()
    if key is None:
        raise LookupError(f"There is no valid key {key_id!r}.")
    # Age is no fault here; rule 10 refuses slots that are too old one by one.
    verify(
        spooled.headers,
        spooled.body,
        key.secret.encode(),
        int(now.timestamp()),
        tolerance_s=None,
    )
    parsed = parse_result_batch(unpack(spooled.body))
    return ingest_batch(parsed, region=key.region, now=now).accepted

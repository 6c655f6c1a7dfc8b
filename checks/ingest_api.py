"""`POST /ingest/v1/results`: where workers report. Nothing is parsed or written before the signature holds (hop 5)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

import psycopg
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import UnreadablePostError
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from checks.models import IngestKey, Region
from checks.pipeline.ingest import WrongRegion, ingest_batch
from fanout_lambdas.shared.contracts import (
    MAX_WIRE_BYTES,
    ContractError,
    unpack,
)
from fanout_lambdas.shared.contracts.parsed_batch import parse_result_batch
from fanout_lambdas.shared.signing import (
    SignatureError,
    SignatureMissing,
    key_id_of,
    verify,
)

logger = logging.getLogger(__name__)

KEY_CACHE_S = 30
"""A revoked key dies within this time."""
MOST_KEYS = 1_000
RETRY_AFTER_S = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldKey:
    """A key as the last look-up found it; `region` is None when there is no such key."""

    region: Region | None
    secret: bytes
    until: float


class KeyRing:
    """Ingest keys, looked up at most once in 30 s each: a flood of forged reports costs no queries."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: dict[str, HeldKey] = {}
        self._lock = Lock()

    def find(self, key_id: str) -> HeldKey:
        held = self._held.get(key_id)
        if held is not None and self._clock() < held.until:
            return held
        row = (
            IngestKey.objects.filter(key_id=key_id, revoked_at=None)
            .select_related("region")
            .first()
        )
        held = HeldKey(
            region=row.region if row else None,
            secret=row.secret.encode() if row else b"",
            until=self._clock() + KEY_CACHE_S,
        )
        with self._lock:
            if len(self._held) >= MOST_KEYS:  # made-up key ids must not fill the memory
                self._held.clear()
            self._held[key_id] = held
        return held

    def forget(self) -> None:
        with self._lock:
            self._held.clear()


key_ring = KeyRing()


@csrf_exempt
@require_POST
def results(request: HttpRequest) -> HttpResponse:
    """One signed batch of results in, a report on what became of it out."""
    now = timezone.now()
    length = request.META.get("CONTENT_LENGTH") or ""
    if not length.isdigit():
        return _refusal(411, "length", "The request must state its Content-Length.")
    if int(length) > MAX_WIRE_BYTES:
        return _refusal(413, "too_large", f"The body is larger than {MAX_WIRE_BYTES} bytes.")
    try:
        body = request.read(MAX_WIRE_BYTES + 1)
    except (RequestDataTooBig, UnreadablePostError):
        return _refusal(400, "cut", "The body could not be read to its end.")
    if len(body) != int(length):
        return _refusal(400, "cut", "The body is not as long as its Content-Length says.")
    try:
        return _take(request, body, now)
    except (OperationalError, InterfaceError, psycopg.OperationalError) as error:
        logger.warning("a report waits, the database is away: %s", str(error).strip()[:200])
        answer = _refusal(503, "unavailable", "The database is away; send this again later.")
        answer["Retry-After"] = str(RETRY_AFTER_S)
        return answer


def _take(request: HttpRequest, body: bytes, now: datetime) -> HttpResponse:
    try:
        key = key_ring.find(key_id_of(request.headers))
        # Verified against nothing when there is no such key: the answer is the same as for a wrong signature.
        verify(request.headers, body, key.secret or b"\0", int(now.timestamp()))
    except SignatureMissing as error:
        return _refusal(401, error.rule, error.message)
    except SignatureError as error:
        logger.warning(
            "refused a report from %s: %s", request.META.get("REMOTE_ADDR"), error.message
        )
        return _refusal(403, error.rule, error.message)
    if key.region is None:
        return _refusal(403, "signature_wrong", "The signature does not match the body and key.")
    try:
        parsed = parse_result_batch(unpack(body, request.headers.get("Content-Encoding", "")))
        report = ingest_batch(parsed, region=key.region, now=now)
    except ContractError as error:
        status = 413 if error.rule == "too_large" else 400
        return JsonResponse({"error": error.to_json()}, status=status)
    except WrongRegion as error:
        logger.warning("refused a report: %s", error)
        return _refusal(403, "region", str(error))
    return JsonResponse(report.to_json())


def _refusal(status: int, rule: str, message: str) -> JsonResponse:
    return JsonResponse({"error": {"field": "", "rule": rule, "message": message}}, status=status)

"""Can jobs reach us? We call our own public ping address as they do, and keep the time in which it answered.

Silence counts against a job only if we could have heard it all through the time in which it had to call (rule 15). A
span without a gap is one row of `PingHealth`: it grows with each answer, and ends when a call fails or nobody called
for too long, be it that our jobs stood still or that the whole machine was off.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache

import certifi
import httpx
from django.conf import settings
from django.db import transaction

from checks.heartbeats.keys import address_of, own_key
from checks.heartbeats.schedule import Deadline
from checks.models import PingHealth

logger = logging.getLogger(__name__)

ANSWER = "OK"
TIMEOUT_S = 4.0
TRIES = 2
PAUSE_S = 1.0
"""A lost packet, or a web server that starts anew, is no deafness: jobs are told to try again too."""
LATE_S = 20
"""Two ticks and this long without a call of ours break a span: a late job does not, a machine that was off does."""


def listen(*, now: datetime, every_s: int) -> bool:
    """Call our own ping address and note whether it answered; to be called every `every_s` seconds."""
    fault = _call(address_of(own_key()))
    with transaction.atomic():
        newest = PingHealth.objects.select_for_update().order_by("-until").first()
        if fault is None:
            _heard(newest, now=now, gap=timedelta(seconds=2 * every_s + LATE_S))
        else:
            _not_heard(newest, fault, now=now)
    return fault is None


def _heard(newest: PingHealth | None, *, now: datetime, gap: timedelta) -> None:
    if newest is not None and newest.broken:
        logger.warning("our own ping address answers again, after %s", now - newest.until)
    if newest is None or newest.broken or now - newest.until > gap:
        PingHealth.objects.create(since=now, until=now)
    elif now > newest.until:
        newest.until = now
        newest.save(update_fields=["until"])


def _not_heard(newest: PingHealth | None, fault: str, *, now: datetime) -> None:
    """End the span; where there never was one, an empty one says since when we are deaf."""
    if newest is not None and newest.broken:
        return
    if newest is None:
        PingHealth.objects.create(since=now, until=now, broken=True)
    else:
        newest.broken = True
        newest.save(update_fields=["broken"])
    logger.error(
        "our own ping address under %s does not answer, so silent heartbeats raise no alarm: %s",
        settings.SITE_URL,
        fault,
    )


def healthy_spans(*, since: datetime) -> list[tuple[datetime, datetime]]:
    """The spans in which we could hear, as far as they end after `since`."""
    return list(PingHealth.objects.filter(until__gte=since).values_list("since", "until"))


def could_hear(deadline: Deadline, spans: Sequence[tuple[datetime, datetime]]) -> bool:
    """Was our address healthy all through the time in which the call had to come?"""
    return any(since <= deadline.start and deadline.due <= until for since, until in spans)


def deaf_since() -> datetime | None:
    """Since when our own address has not answered us; None while it does, or where we never called it."""
    newest = PingHealth.objects.order_by("-until").first()
    return newest.until if newest is not None and newest.broken else None


def _call(url: str) -> str | None:
    """None when the address answers as it must, else what was wrong, without the key."""
    fault = ""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE_S)
        try:
            with httpx.Client(verify=_trusted(), timeout=TIMEOUT_S, trust_env=False) as http:
                answer = http.get(url, headers={"User-Agent": settings.USER_AGENT})
            if answer.status_code == 200 and answer.text.strip() == ANSWER:
                return None
            fault = f"it answered {answer.status_code}"
        except httpx.HTTPError as error:
            fault = f"{type(error).__name__}: {error}"
    return fault.replace(own_key(), "(key)")


@lru_cache(maxsize=1)
def _trusted() -> ssl.SSLContext:
    """The public roots, and the operator's own where they are named."""
    context = ssl.create_default_context(cafile=certifi.where())
    if settings.PROBE_CA_FILE:
        context.load_verify_locations(settings.PROBE_CA_FILE)
    return context

"""Reporting (hop 4): results as a signed POST to ingest, tried again with patience; if ingest stays
away they go to the spool of the object store, so that nothing is lost."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from enum import StrEnum

import httpx

from fanout_lambdas.objectstore import ObjectStore, spool_key
from fanout_lambdas.shared.contracts import MAX_WIRE_BYTES, ResultBatch, Spooled, pack
from fanout_lambdas.shared.signing import sign

log = logging.getLogger(__name__)

BUDGET_S = 20.0  # for all attempts together
ATTEMPT_S = 8.0
KEEP_ALIVE_S = 50.0  # web servers keep an idle connection for about a minute
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 8.0
_HUNG_UP = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
_PASSING = frozenset({408, 425, 429})
# The body itself is at fault: sending it again, or from the spool, gives the same answer.
_BAD_BODY = frozenset({400, 413, 415, 422})


class Delivery(StrEnum):
    ACCEPTED = "accepted"
    SPOOLED = "spooled"
    REFUSED = "refused"


class Reporter:
    """One region's way to ingest, over one kept-alive client.

    `store` is opened at the first spooling: in S3 it needs the AWS library, which takes a small Lambda seconds to load.
    `tls`: a context to share, None: one of its own.
    """

    def __init__(
        self,
        *,
        ingest_url: str,
        key_id: str,
        secret: bytes,
        store: Callable[[], ObjectStore],
        tls: ssl.SSLContext | None = None,
        budget_s: float = BUDGET_S,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._url = ingest_url
        self._key_id = key_id
        self._secret = secret
        self._open_store = store
        self._store: ObjectStore | None = None
        self._client = httpx.AsyncClient(
            timeout=ATTEMPT_S,
            trust_env=False,
            verify=tls or True,
            limits=httpx.Limits(keepalive_expiry=KEEP_ALIVE_S),
        )
        self._budget_s = budget_s
        self._clock = clock
        self._sleep = sleep

    async def report(self, batch: ResultBatch) -> Delivery:
        """Deliver, else spool; raises StoreUnavailable only when both ways are closed."""
        outcome = Delivery.ACCEPTED
        for part, body in _parts(batch):
            one = await self._send(part, body)
            outcome = outcome if one is Delivery.ACCEPTED else one
        return outcome

    async def close(self) -> None:
        await self._client.aclose()

    async def _send(self, batch: ResultBatch, body: bytes) -> Delivery:
        give_up = time.monotonic() + self._budget_s
        pause = FIRST_PAUSE_S
        hung_up = False
        while True:
            left = give_up - time.monotonic()
            try:
                status, wait = await self._attempt(body, min(ATTEMPT_S, max(0.1, left)))
            except _HUNG_UP as error:
                log.warning("ingest hung up: %s", type(error).__name__)
                status, wait = None, 0.0
                if (
                    not hung_up
                ):  # a kept connection that died while we were frozen: a new one may live
                    hung_up = True
                    continue
            if status is not None and 200 <= status < 300:
                return Delivery.ACCEPTED
            if status in _BAD_BODY:
                log.error("ingest refused batch %s with %s", batch.number, status)
                return Delivery.REFUSED
            if status is not None and status < 500 and status not in _PASSING:
                break  # key or address are wrong: patience does not help, an operator may
            pause = max(pause, wait)
            if time.monotonic() + pause >= give_up:
                break
            await self._sleep(pause * random.uniform(0.8, 1.2))
            pause = min(pause * 2, LONGEST_PAUSE_S)
        await self._spool(batch, body)
        return Delivery.SPOOLED

    async def _attempt(self, body: bytes, timeout_s: float) -> tuple[int | None, float]:
        """Status and the pause the server asks for; no status when there was no answer. Raises
        what is among `_HUNG_UP` when the connection ended before the answer."""
        # Signed anew: the timestamp of an earlier attempt may be too old by now.
        headers = sign(body, self._key_id, self._secret, int(self._clock()))
        # Lambda's front doors would hand JSON on as text, and gzip does not survive that.
        headers |= {"Content-Type": "application/octet-stream", "Content-Encoding": "gzip"}
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._client.post(self._url, content=body, headers=headers)
        except _HUNG_UP:
            raise
        except (httpx.HTTPError, TimeoutError, OSError) as error:
            log.warning("ingest is away: %s", type(error).__name__)
            return None, 0.0
        if not answer.is_success:
            log.warning("ingest answered %s", answer.status_code)
        return answer.status_code, _retry_after(answer)

    async def _spool(self, batch: ResultBatch, body: bytes) -> None:
        headers = sign(body, self._key_id, self._secret, int(self._clock()))
        key = spool_key(
            region=batch.region,
            minute=batch.minute,
            number=batch.number,
            attempt=batch.attempt,
            unique=secrets.token_hex(4),
        )
        spooled = Spooled(headers=headers, body=body).to_bytes()
        await asyncio.to_thread(self._put, key, spooled)
        log.warning("spooled batch %s as %s", batch.number, key)

    def _put(self, key: str, data: bytes) -> None:
        if self._store is None:
            self._store = self._open_store()
        self._store.put(key, data)


def _parts(batch: ResultBatch) -> list[tuple[ResultBatch, bytes]]:
    """The batch as bodies that fit the wire; halved as often as needed."""
    body = pack(batch.to_json())
    if len(body) <= MAX_WIRE_BYTES or len(batch.results) < 2:
        return [(batch, body)]
    half = len(batch.results) // 2
    first = replace(batch, results=batch.results[:half])
    second = replace(batch, results=batch.results[half:], refusals=())
    return _parts(first) + _parts(second)


def _retry_after(answer: httpx.Response) -> float:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0

"""One TLS certificate probe: a handshake, its verification, and how long the certificate lasts."""

from __future__ import annotations

import time

from fanout_lambdas.probe.attempt import Attempt
from fanout_lambdas.probe.connection import Connector, Flight
from fanout_lambdas.probe.tls import CertificateRejected
from fanout_lambdas.probe.verdicts import lasting, lasting_words, latency, verdict
from fanout_lambdas.shared.contracts import Probe, Result
from fanout_lambdas.shared.netguard import Guard

_KIND = "certificate"


class CertificateProber:
    """Probes of kind "tls". Nothing is sent beyond the handshake.

    Without `verify_tls` neither chain nor name are verified; the dates always are.
    """

    def __init__(self, *, connector: Connector, guard: Guard) -> None:
        self._connector = connector
        self._guard = guard

    async def probe(self, probe: Probe, *, lag_us: int = 0) -> Result:
        """Never raises (except when cancelled) and never outlives the probe's timeout."""
        attempt, least = Attempt(probe=probe, lag_us=lag_us), probe.cert_min_days or 0
        try:
            flight = attempt.fly(self._guard.check_url(probe.url, kind=probe.kind))
            await self._connector.poller.run(self._shake_hands(flight), probe.timeout_ms / 1_000)
            total_us = attempt.watch.total_us()
            end = lasting(_KIND, least, flight.certificate, time.time())
            return attempt.judged((end, *latency(probe, total_us)), total_us=total_us)
        except CertificateRejected as rejected:
            why = rejected.message
            refused = verdict(_KIND, lasting_words(least), why, False, rejected.reason, why)
            return attempt.failed(rejected, [refused])
        except Exception as error:
            return attempt.failed(error)

    async def _shake_hands(self, flight: Flight) -> None:
        stream = await self._connector.open(flight)
        stream.close()

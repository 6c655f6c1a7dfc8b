"""One probe of a bare connection: what is known of it so far, and the result that becomes of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from fanout_lambdas.probe.connection import Flight
from fanout_lambdas.probe.evidence import scrub, secrets_of
from fanout_lambdas.probe.phases import Stopwatch
from fanout_lambdas.probe.reasons import explain
from fanout_lambdas.probe.verdicts import Verdict, worst
from fanout_lambdas.shared.contracts import Evidence, Outcome, Probe, Reason, Result
from fanout_lambdas.shared.netguard import Target

_MAX_MESSAGE = 500


@dataclass(slots=True, kw_only=True)
class Attempt:
    """A failure reports whatever was reached."""

    probe: Probe
    lag_us: int
    watch: Stopwatch = field(default_factory=Stopwatch)
    flight: Flight | None = None
    received: bytearray = field(default_factory=bytearray)

    def fly(self, target: Target) -> Flight:
        """The connection to `target`, in the probe's own way."""
        self.flight = Flight(
            target=target,
            watch=self.watch,
            family=self.probe.family,
            verify_tls=self.probe.verify_tls,
            http=False,
        )
        return self.flight

    def judged(
        self, verdicts: Iterable[Verdict], *, total_us: int, evidence: Evidence | None = None
    ) -> Result:
        """The connection came to its end; the worst verdict decides."""
        verdicts = tuple(verdicts)
        failed = worst(verdicts)
        return self._result(
            failed.outcome if failed else Outcome.UP,
            failed.reason if failed else Reason.NONE,
            failed.message if failed else "",
            verdicts=verdicts,
            total_us=total_us,
            evidence=evidence,
        )

    def failed(
        self,
        error: Exception,
        verdicts: Iterable[Verdict] = (),
        *,
        evidence: Evidence | None = None,
    ) -> Result:
        """The connection did not come to its end."""
        total_us = self.watch.total_us()
        reason, message = explain(error, self.probe, self.watch)
        outcome = Outcome.VOID if reason is Reason.INTERNAL else Outcome.DOWN
        return self._result(
            outcome, reason, message, verdicts=verdicts, total_us=total_us, evidence=evidence
        )

    def _result(
        self,
        outcome: Outcome,
        reason: Reason,
        message: str,
        *,
        verdicts: Iterable[Verdict],
        total_us: int,
        evidence: Evidence | None,
    ) -> Result:
        self.watch.enter(None)
        probe, flight = self.probe, self.flight
        return Result(
            check_id=probe.check_id,
            slot=probe.slot,
            outcome=outcome,
            reason=reason,
            message=scrub(message, secrets_of(probe))[:_MAX_MESSAGE],
            total_us=total_us,
            phases=self.watch.phases(),
            bytes=len(self.received),
            remote_address=flight.remote_address if flight else None,
            certificate=flight.certificate if flight else None,
            assertions=tuple(each.assertion for each in verdicts),
            evidence=evidence,
            lag_us=self.lag_us,
        )

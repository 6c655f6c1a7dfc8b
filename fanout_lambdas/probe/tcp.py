"""One TCP probe: connect, say what the check says, and look for what must come back."""

from __future__ import annotations

from fanout_lambdas.probe import phases
from fanout_lambdas.probe.attempt import Attempt
from fanout_lambdas.probe.connection import Connector
from fanout_lambdas.probe.escapes import unescaped
from fanout_lambdas.probe.evidence import gather
from fanout_lambdas.probe.transport import NoAnswer
from fanout_lambdas.probe.verdicts import Verdict, latency, quoted, verdict
from fanout_lambdas.shared.contracts import Evidence, Probe, Reason, Result
from fanout_lambdas.shared.netguard import Guard, Target

MAX_RECEIVED = 64 * 1024  # what is expected has to stand within so many bytes
_READ_BYTES = 16 * 1024


class TcpProber:
    """Probes of kind "tcp". Without `send` and `expect` a connection that stands is enough; with
    `expect` the answer is read until it is found, or to its end, to 64 kB, or to the deadline."""

    def __init__(self, *, connector: Connector, guard: Guard) -> None:
        self._connector = connector
        self._guard = guard

    async def probe(self, probe: Probe, *, lag_us: int = 0) -> Result:
        """Never raises (except when cancelled) and never outlives the probe's timeout."""
        attempt = Attempt(probe=probe, lag_us=lag_us)
        try:
            target = self._guard.check_url(probe.url, kind=probe.kind, sends=bool(probe.send))
            talk = self._talk(attempt, target)
            await self._connector.poller.run(talk, probe.timeout_ms / 1_000)
        except TimeoutError as error:
            # Something came, only not what was expected: that says more than "timed out".
            if not attempt.received:
                return attempt.failed(error)
        except Exception as error:
            return attempt.failed(error, evidence=_evidence(attempt))
        total_us = attempt.watch.total_us()
        evidence = _evidence(attempt)
        verdicts = [*_expectation(attempt, evidence), *latency(probe, total_us)]
        is_met = all(each.assertion.ok for each in verdicts if each.reason is Reason.KEYWORD)
        return attempt.judged(verdicts, total_us=total_us, evidence=None if is_met else evidence)

    async def _talk(self, attempt: Attempt, target: Target) -> None:
        probe, watch = attempt.probe, attempt.watch
        stream = await self._connector.open(attempt.fly(target))
        try:
            if probe.send:
                watch.enter(phases.SEND)
                await stream.write(unescaped(probe.send))
            if not probe.expect:
                return
            wanted, received = unescaped(probe.expect), attempt.received
            watch.enter(phases.WAIT)
            while len(received) < MAX_RECEIVED:
                part = await stream.read(min(_READ_BYTES, MAX_RECEIVED - len(received)))
                watch.enter(phases.RECEIVE)
                if not part:
                    break
                searched = max(0, len(received) - len(wanted) + 1)
                received += part
                if received.find(wanted, searched) >= 0:
                    return
            if not received:
                raise NoAnswer("The server closed the connection without an answer.")
        finally:
            stream.close()


def _expectation(attempt: Attempt, evidence: Evidence | None) -> list[Verdict]:
    expect = attempt.probe.expect
    if not expect:
        return []
    ok = unescaped(expect) in attempt.received
    got = _shown(evidence.body) if evidence else ""
    message = f"Expected {quoted(expect)}, got {quoted(got, 120)}."
    return [verdict("expect", expect, got, ok, Reason.KEYWORD, message)]


def _evidence(attempt: Attempt) -> Evidence | None:
    if not attempt.received:
        return None
    return gather((), bytes(attempt.received), "utf-8", attempt.probe)


def _shown(text: str) -> str:
    """On one line: control characters would make a mess of a page or a mail."""
    return "".join(char if char.isprintable() else " " for char in text).strip()

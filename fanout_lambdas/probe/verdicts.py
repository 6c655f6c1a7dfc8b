"""One assertion's verdict, and the assertions that several kinds of probe share."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from fanout_lambdas.probe.tls import days_left, shown_date
from fanout_lambdas.shared.contracts import Assertion, Certificate, Outcome, Probe, Reason

_SHOWN = 200


class Verdict(NamedTuple):
    """An assertion's result and, where it failed, what that makes of the probe."""

    assertion: Assertion
    outcome: Outcome
    reason: Reason
    message: str


def verdict(
    kind: str,
    expected: str,
    got: str,
    ok: bool,
    reason: Reason,
    message: str,
    *,
    outcome: Outcome = Outcome.DOWN,
) -> Verdict:
    shown = Assertion(kind=kind, expected=expected[:_SHOWN], got=got[:_SHOWN], ok=ok)
    return Verdict(assertion=shown, outcome=outcome, reason=reason, message=message)


@lru_cache(maxsize=1_024)
def holds(kind: str, expected: str, got: str) -> Verdict:
    """Most assertions of most probes hold, minute after minute: one object for all of these."""
    return verdict(kind, expected, got, True, Reason.NONE, "")


def worst(verdicts: Iterable[Verdict]) -> Verdict | None:
    """The failed verdict that decides: the first that means down, else the first degraded."""
    failed = [each for each in verdicts if not each.assertion.ok]
    down = (each for each in failed if each.outcome is Outcome.DOWN)
    return next(down, failed[0] if failed else None)


def latency(probe: Probe, total_us: int) -> Iterable[Verdict]:
    if probe.max_latency_ms is None:
        return ()
    expected, got = str(probe.max_latency_ms), f"{total_us / 1_000:.0f}"
    if total_us <= probe.max_latency_ms * 1_000:
        return (holds("max_latency_ms", expected, got),)
    message = f"Answered in {got} ms, slower than {expected} ms."
    outcome = probe.max_latency_outcome
    return (
        verdict("max_latency_ms", expected, got, False, Reason.LATENCY, message, outcome=outcome),
    )


def lasting(kind: str, least: int, certificate: Certificate | None, now: float) -> Verdict:
    """A certificate with fewer than `least` days left is degraded, an expired one down."""
    expected = lasting_words(least)
    if certificate is None:
        message = "The TLS certificate could not be read."
        return verdict(kind, expected, "unreadable", False, Reason.CERT_EXPIRY, message)
    left, end = days_left(certificate, now), shown_date(certificate.not_after)
    if certificate.not_after <= now:
        message = f"TLS certificate expired on {end}."
        return verdict(kind, expected, f"expired on {end}", False, Reason.CERT_EXPIRY, message)
    got = f"valid until {end}, {_days(left)} left"
    if left >= least:
        return holds(kind, expected, got)
    return verdict(
        kind,
        expected,
        got,
        False,
        Reason.CERT_EXPIRY,
        f"TLS certificate expires in {_days(left)} ({end}), warned below {least}.",
        outcome=Outcome.DEGRADED,
    )


def lasting_words(least: int) -> str:
    return f"valid, {_days(least)} or more" if least else "valid"


def quoted(text: str, longest: int = 60) -> str:
    return f"“{text if len(text) <= longest else text[: longest - 1] + '…'}”"


def _days(count: int) -> str:
    return f"{count} day{'s' * (count != 1)}"

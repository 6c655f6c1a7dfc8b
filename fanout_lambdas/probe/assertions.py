"""What an answer must be like: one table of assertions, each with its verdict in the result."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fanout_lambdas.probe.tls import days_left, shown_date
from fanout_lambdas.shared.contracts import (
    Assertion,
    Certificate,
    Outcome,
    Probe,
    Reason,
    status_ranges,
)

_SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The last answer of a chain, as assertions see it."""

    http_status: int
    body: bytes
    charset: str
    url: str
    total_us: int
    now: float
    certificate: Certificate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """An assertion's result and, where it failed, what that makes of the probe."""

    assertion: Assertion
    outcome: Outcome
    reason: Reason
    message: str


def judge(probe: Probe, answer: Answer) -> list[Verdict]:
    """All verdicts in the order of the table; every assertion is judged, none hides another."""
    return [verdict for rule in RULES for verdict in rule(probe, answer)]


def worst(verdicts: Iterable[Verdict]) -> Verdict | None:
    """The failed verdict that decides: the first that means down, else the first degraded."""
    failed = [verdict for verdict in verdicts if not verdict.assertion.ok]
    down = (verdict for verdict in failed if verdict.outcome is Outcome.DOWN)
    return next(down, failed[0] if failed else None)


def _status(probe: Probe, answer: Answer) -> Iterable[Verdict]:
    got = answer.http_status
    ok = any(low <= got <= high for low, high in status_ranges(probe.expected_status))
    expected = ", ".join(probe.expected_status)
    yield _verdict(
        "expected_status",
        expected,
        str(got),
        ok,
        Reason.STATUS,
        f"Status {got}, expected {expected}.",
    )


def _expected_url(probe: Probe, answer: Answer) -> Iterable[Verdict]:
    if probe.expected_url is not None:
        ok = _same_url(probe.expected_url, answer.url)
        message = f"Ended at {answer.url[:_SHOWN]}, expected {probe.expected_url[:_SHOWN]}."
        yield _verdict("expected_url", probe.expected_url, answer.url, ok, Reason.REDIRECT, message)


def _keyword(probe: Probe, answer: Answer) -> Iterable[Verdict]:
    for word in probe.keyword:
        found = _encoded(word, answer.charset) in answer.body
        message = f"The keyword {_quoted(word)} is missing."
        yield _verdict("keyword", word, _found(found), found, Reason.KEYWORD, message)


def _keyword_absent(probe: Probe, answer: Answer) -> Iterable[Verdict]:
    for word in probe.keyword_absent:
        found = _encoded(word, answer.charset) in answer.body
        message = f"The forbidden keyword {_quoted(word)} is there."
        yield _verdict("keyword_absent", word, _found(found), not found, Reason.KEYWORD, message)


def _latency(probe: Probe, answer: Answer) -> Iterable[Verdict]:
    if probe.max_latency_ms is not None:
        got = answer.total_us / 1_000
        yield _verdict(
            "max_latency_ms",
            str(probe.max_latency_ms),
            f"{got:.0f}",
            got <= probe.max_latency_ms,
            Reason.LATENCY,
            f"Answered in {got:.0f} ms, slower than {probe.max_latency_ms} ms.",
            outcome=Outcome.DEGRADED,
        )


def _certificate(probe: Probe, answer: Answer) -> Iterable[Verdict]:
    if probe.cert_min_days is None or not answer.url.startswith("https:"):
        return
    least, certificate = probe.cert_min_days, answer.certificate
    if certificate is None:
        got, ok, message = "unknown", False, "The TLS certificate could not be read."
    else:
        left = days_left(certificate, answer.now)
        got, ok = str(left), left >= least
        message = (
            f"TLS certificate expires in {left} day{'s' * (left != 1)} "
            f"({shown_date(certificate.not_after)}), warned below {least}."
        )
        if left < 0:
            message = f"TLS certificate expired on {shown_date(certificate.not_after)}."
    yield _verdict(
        "cert_min_days",
        str(least),
        got,
        ok,
        Reason.CERT_EXPIRY,
        message,
        outcome=Outcome.DEGRADED,
    )


# A new assertion is one function and one line here; the order decides which failure is named.
RULES: tuple[Callable[[Probe, Answer], Iterable[Verdict]], ...] = (
    _status,
    _expected_url,
    _keyword,
    _keyword_absent,
    _latency,
    _certificate,
)


def _verdict(
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


def _encoded(word: str, charset: str) -> bytes:
    try:
        return word.encode(charset)
    except (LookupError, UnicodeEncodeError):
        return word.encode("utf-8")


def _same_url(expected: str, got: str) -> bool:
    # http://example.com and http://example.com/ are one place.
    return got == expected or got == expected.partition("#")[0] or got == expected + "/"


def _found(found: bool) -> str:
    return "found" if found else "not found"


def _quoted(word: str) -> str:
    return f"“{word if len(word) <= 60 else word[:59] + '…'}”"

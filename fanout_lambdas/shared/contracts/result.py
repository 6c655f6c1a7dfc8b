"""What a worker saw of one slot, and its answer to a probe it could not read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fanout_lambdas.shared.contracts.reading import Fields, check_text, require
from fanout_lambdas.shared.contracts.words import (
    MAX_EVIDENCE_BODY,
    MAX_HEADERS,
    MAX_ID,
    MAX_MESSAGE,
    MAX_REDIRECTS,
    MAX_TIME,
    MAX_URL,
    ContractError,
    Outcome,
    Reason,
)

MAX_US = 10**9  # no phase lasts a quarter of an hour
MAX_ASSERTIONS = 128  # six lists of 20 rules, and those that stand once
MAX_SHOWN = 300  # characters of an assertion's expected and got, and of an evidence header
_WORKER_OUTCOMES = (Outcome.UP, Outcome.DEGRADED, Outcome.DOWN, Outcome.VOID)


@dataclass(frozen=True, slots=True, kw_only=True)
class Phases:
    """Microseconds on a monotonic clock, summed over redirect hops; None: did not take place."""

    dns_us: int | None = None
    connect_us: int | None = None
    tls_us: int | None = None
    send_us: int | None = None
    wait_us: int | None = None
    receive_us: int | None = None

    def to_json(self) -> dict[str, int | None]:
        return {name: getattr(self, name) for name in PHASES}


PHASES = ("dns_us", "connect_us", "tls_us", "send_us", "wait_us", "receive_us")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One redirect that was followed."""

    url: str
    http_status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    not_after: int
    issuer: str
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """One assertion's verdict; `kind` is the probe's field, both sides are shown as text."""

    kind: str
    expected: str
    got: str
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a failing target answered: redacted headers and the start of the body."""

    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    check_id: int
    slot: int
    outcome: Outcome
    reason: Reason = Reason.NONE
    message: str = ""
    http_status: int | None = None
    total_us: int = 0
    phases: Phases = Phases()
    bytes: int = 0
    remote_address: str | None = None
    http_version: str | None = None
    hops: tuple[Hop, ...] = ()
    certificate: Certificate | None = None
    assertions: tuple[Assertion, ...] = ()
    evidence: Evidence | None = None
    lag_us: int = 0

    @classmethod
    def from_json(cls, raw: Any) -> Result:
        source = Fields(raw)
        outcome = source.choice("outcome", Outcome)
        require(
            outcome in _WORKER_OUTCOMES, "outcome", "choice", f"A worker never reports {outcome}."
        )
        return cls(
            check_id=source.whole("check_id", 0, MAX_ID),
            slot=source.time("slot"),
            outcome=outcome,
            reason=source.choice("reason", Reason, Reason.NONE),
            message=source.text("message", MAX_MESSAGE, ""),
            http_status=source.whole("http_status", 100, 999, None),
            total_us=source.whole("total_us", 0, MAX_US, 0),
            phases=_phases(source),
            bytes=source.whole("bytes", 0, 2**40, 0),
            remote_address=source.text("remote_address", 64, None),
            http_version=source.text("http_version", 16, None),
            hops=_hops(source),
            certificate=_certificate(source),
            assertions=_assertions(source),
            evidence=_evidence(source),
            lag_us=source.whole("lag_us", 0, MAX_US, 0),
        )

    def to_json(self) -> dict[str, Any]:
        cert, seen = self.certificate, self.evidence
        return {
            "check_id": self.check_id,
            "slot": self.slot,
            "outcome": self.outcome.value,
            "reason": self.reason.value,
            "message": self.message,
            "http_status": self.http_status,
            "total_us": self.total_us,
            "phases": self.phases.to_json(),
            "bytes": self.bytes,
            "remote_address": self.remote_address,
            "http_version": self.http_version,
            "hops": [{"url": hop.url, "http_status": hop.http_status} for hop in self.hops],
            "certificate": cert
            and {"not_after": cert.not_after, "issuer": cert.issuer, "subject": cert.subject},
            "assertions": [
                {"kind": a.kind, "expected": a.expected, "got": a.got, "ok": a.ok}
                for a in self.assertions
            ],
            "evidence": seen and {"headers": [list(p) for p in seen.headers], "body": seen.body},
            "lag_us": self.lag_us,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The worker's answer to a probe that breaks the contract. `check_id` is echoed as it came:
    a whole number, a string or None."""

    check_id: int | str | None
    error: ContractError

    @classmethod
    def from_json(cls, raw: Any) -> Refusal:
        source = Fields(raw)
        error = source.child("error")
        if error is None:
            raise ContractError("error", "required", "error is missing.")
        check_id = source.raw.get("check_id")
        if type(check_id) is str:
            check_text(check_id, "check_id", longest=64)
        elif check_id is not None:
            check_id = source.whole("check_id", 0, MAX_ID)
        return cls(
            check_id=check_id,
            error=ContractError(
                error.text("field", 200), error.text("rule", 64), error.text("message", MAX_MESSAGE)
            ),
        )

    def to_json(self) -> dict[str, Any]:
        return {"check_id": self.check_id, "error": self.error.to_json()}


def _phases(source: Fields) -> Phases:
    child = source.child("phases")
    if child is None:
        return Phases()
    return Phases(**{name: child.whole(name, 0, MAX_US, None) for name in PHASES})


def _hops(source: Fields) -> tuple[Hop, ...]:
    hops = []
    for at, raw in enumerate(source.items("hops", MAX_REDIRECTS + 1, ())):
        hop = Fields(raw, f"hops.{at}")
        hops.append(
            Hop(url=hop.text("url", MAX_URL), http_status=hop.whole("http_status", 100, 999))
        )
    return tuple(hops)


def _certificate(source: Fields) -> Certificate | None:
    child = source.child("certificate")
    if child is None:
        return None
    return Certificate(
        not_after=child.whole("not_after", -MAX_TIME, MAX_TIME),
        issuer=child.text("issuer", MAX_SHOWN),
        subject=child.text("subject", MAX_SHOWN),
    )


def _assertions(source: Fields) -> tuple[Assertion, ...]:
    found = []
    for at, raw in enumerate(source.items("assertions", MAX_ASSERTIONS, ())):
        one = Fields(raw, f"assertions.{at}")
        found.append(
            Assertion(
                kind=one.text("kind", 32, empty=False),
                expected=one.text("expected", MAX_SHOWN),
                got=one.text("got", MAX_SHOWN),
                ok=one.flag("ok"),
            )
        )
    return tuple(found)


def _evidence(source: Fields) -> Evidence | None:
    child = source.child("evidence")
    if child is None:
        return None
    headers = []
    for at, pair in enumerate(child.items("headers", MAX_HEADERS, ())):
        name = f"evidence.headers.{at}"
        if type(pair) is not list or len(pair) != 2:
            raise ContractError(name, "type", f"{name} must be a pair of name and value.")
        key, value = (check_text(part, name, longest=MAX_SHOWN) for part in pair)
        headers.append((key, value))
    return Evidence(headers=tuple(headers), body=child.text("body", MAX_EVIDENCE_BODY, ""))

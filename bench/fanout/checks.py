"""What is watched in each experiment: pure, so that a run can be repeated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.targets.behaviour import KEYWORD, Kind
from fanout_lambdas.shared.contracts.snapshot import CheckPlan, Snapshot
from fanout_lambdas.shared.slots import MINUTE_S

REGION = "eu-central-1"
DELAYS_MS = (200, 800)
"""Of those that answer, spread evenly: half a second on average, as in the article."""
SILENT_EVERY = 100
"""One check in this many times out, and is known for it from the minute before."""
TIMEOUT_MS = 10_000
TLS_EVERY = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One check. `delay_ms` is the truth that its results are compared with; None: it never answers in time."""

    number: int
    second: int
    tls: bool
    delay_ms: int | None
    timeout_ms: int = TIMEOUT_MS

    def plan(self, minute: int, addresses: Mapping[str, str]) -> CheckPlan:
        """As the snapshot holds it; `expected_ms` is what the minutes before have shown. Its slot is
        `second` seconds after `minute`, whatever the clock says then."""
        base = addresses["https" if self.tls else "http"].replace("localhost", "127.0.0.1")
        silent = self.delay_ms is None
        return CheckPlan(
            check_id=self.number,
            interval_s=MINUTE_S,
            phase_s=(minute + self.second) % MINUTE_S,
            regions=(REGION,),
            expected_ms=self.delay_ms or self.timeout_ms,
            slow=silent,
            request={
                "kind": "http",
                "url": f"{base}/{Kind.OK}/{self.delay_ms or 3 * self.timeout_ms}/{self.number}",
                "timeout_ms": self.timeout_ms,
                "expected_status": ["200-299"],
                "keyword": [KEYWORD],
            },
        )


def watched(
    count: int,
    *,
    tls_every: int = TLS_EVERY,
    over_s: int = MINUTE_S,
    timeout_ms: int = TIMEOUT_MS,
) -> tuple[Watched, ...]:
    """So many checks, numbered from 1, evenly over the first `over_s` seconds of a minute."""
    low, high = DELAYS_MS
    found = []
    for number in range(1, count + 1):
        # A multiplicative hash: neighbours get delays far apart, and each run gets the same ones.
        delay_ms = low + ((number * 2_654_435_761) % (1 << 32) * (high - low + 1) >> 32)
        silent = number % SILENT_EVERY == SILENT_EVERY // 2
        # Neither the second of the minute nor TLS goes with silence.
        tls = (number + number // MINUTE_S + number // SILENT_EVERY) % tls_every == 0
        found.append(
            Watched(
                number=number,
                second=(number + number // SILENT_EVERY) % over_s,
                tls=tls,
                delay_ms=None if silent else delay_ms,
                timeout_ms=timeout_ms,
            )
        )
    return tuple(found)


def snapshot(checks: Sequence[Watched], *, minute: int, addresses: Mapping[str, str]) -> Snapshot:
    return Snapshot(
        minute=minute,
        taken_at=minute - 1,
        checks=tuple(each.plan(minute, addresses) for each in checks),
    )

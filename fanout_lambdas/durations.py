"""How long the fan-out functions run and what they send: the measured figures behind every cost, in one place.

Change a figure together with the command and the day it comes from.
"""

from __future__ import annotations

from dataclasses import dataclass

LAMBDA_MB_A_CORE = 1769
"""AWS: "At 1,769 MB, a function has the equivalent of one vCPU"; below, its share falls in proportion."""
MOST_OF_A_CORE = 0.75
"""A worker gives no more than this to starting probes (`fanout_lambdas.probe.pace`); less than that it uses whole."""
ARTICLE_INVOKE_S = 60 / 1_049
"""The article's loop: 1,049 workers in 60 seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """Seconds, of one invocation; CPU seconds are those of a whole core."""

    source: str
    worker_mb: int
    """Of `batched`; a worker with one check has the article's."""
    dispatcher_mb: int
    triggerer_mb: int
    check_cpu_s: float
    """To start one probe, read its answer and report it."""
    worker_cpu_s: float
    """Beside the probes: reading the batch, signing and sending the report."""
    worker_wait_s: float
    """For ingest to answer the report."""
    last_answer: float
    """From the last start to the last answer of a batch of 100, in mean answer times."""
    invoke_cpu_s: float
    """To start one function."""
    init_s: float
    """At the worker's memory."""
    cold_share: float
    """Of the invocations, those that find no warm environment."""
    log_bytes: float
    """Of an invocation without trouble: the template's SystemLogLevel WARN leaves START and REPORT out."""

    def worker_s(self, checks: int, *, latency_s: float, memory_mb: int) -> float:
        """A worker that starts `checks` probes at once, as fast as its CPU allows, and waits for all answers."""
        last = latency_s * (1 if checks == 1 else self.last_answer)
        return (checks - 1) * self.start_s(memory_mb) + last + self.own_s(memory_mb)

    def start_s(self, memory_mb: int) -> float:
        """From one probe's start to the next one's."""
        return self.check_cpu_s / min(MOST_OF_A_CORE, core_of(memory_mb))

    def own_s(self, memory_mb: int) -> float:
        """What an invocation takes beside starting its probes and waiting for them."""
        return (self.worker_cpu_s + self.check_cpu_s) / core_of(memory_mb) + self.worker_wait_s


def core_of(memory_mb: int) -> float:
    """The share of a processor that goes with a memory size."""
    return min(1.0, memory_mb / LAMBDA_MB_A_CORE)


MEASURED = Durations(
    source="bench.fanout and bench.accuracy --memory 192, 2026-11-23 (decision 0012), half of the checks over TLS; the "
    "share of cold starts is assumed",
    worker_mb=192,
    dispatcher_mb=128,
    triggerer_mb=256,
    check_cpu_s=0.0020,
    worker_cpu_s=0.015,
    worker_wait_s=0.05,
    last_answer=0.7,
    invoke_cpu_s=0.0020,
    init_s=0.4,
    cold_share=0.01,
    log_bytes=0.0,
)

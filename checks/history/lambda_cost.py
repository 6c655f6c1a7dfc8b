"""What this installation's probing costs on Lambda, by client and by check, from what its workers measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from checks.history.worker_time import OwnTime, RegionTime, Window, worker_time
from checks.models import Check
from clients.models import Client
from fanout_lambdas.costs import MB_A_GB, Bill, FunctionUse, Usage, monthly_bill
from fanout_lambdas.designs import (
    BEFORE_MINUTE_S,
    LOG_RETENTION_DAYS,
    MINUTES,
    egress_gb,
    usage_of,
)
from fanout_lambdas.durations import Durations
from fanout_lambdas.prices import MONTH_S, TODAY, Architecture
from fanout_lambdas.shared.slots import MINUTE_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, of whole minutes. `measured`: the workers ran on this memory, so their own durations hold."""

    since: datetime
    until: datetime
    durations: Durations
    memory_mb: int
    architecture: Architecture
    measured: bool
    top: int
    client: Client | None = None
    free_tier: bool = False

    @property
    def window(self) -> Window:
        return Window(
            since=self.since,
            until=self.until,
            own_s=self.durations.own_s(self.memory_mb),
            start_s=self.durations.start_s(self.memory_mb),
            measured=self.measured,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A client's or a check's part; `gb_s` and `usd` of a month at the rate of the window."""

    own: OwnTime
    gb_s: float
    usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LambdaCost:
    """A month at the rate of the window: the whole bill, and the part of it that grows with each client and check."""

    covered_s: float
    batches: int
    results: int
    unmatched: int
    """Results that were stored at no batch's time: nobody's share."""
    bill: Bill
    shared_usd: float
    """Dispatcher, object store, schedules, alarms: nobody's share."""
    clients: tuple[Share, ...]
    checks: tuple[Share, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rates:
    """A month's dollars for what was counted in the window."""

    gb_s: float
    invocation: float
    probe: float
    memory_gb: float
    factor: float
    """From the window to a month."""

    def share(self, own: OwnTime) -> Share:
        gb_s = own.billed_s * self.memory_gb * self.factor
        counted = own.invocations * self.invocation + own.results * self.probe
        return Share(own=own, gb_s=gb_s, usd=gb_s * self.gb_s + counted * self.factor)


def lambda_cost(question: Question) -> LambdaCost:
    """Raises NothingMeasured."""
    time = worker_time(question.window, top=question.top, client=question.client)
    factor = MONTH_S / time.covered_s
    known = Check.objects.across_clients().filter(deleted_at=None).count()
    growing = [_growing(question, region, factor) for region in time.regions]
    usages = [
        usage_of(
            [_dispatcher(question, region), *part.functions],
            checks=known,
            probes=region.results * factor,
            reports=part.invocations,
            home=number == 0,
        )
        for number, (region, part) in enumerate(zip(time.regions, growing, strict=True))
    ]
    bill, part = _bill(question, usages), _bill(question, growing)
    seconds = sum(region.billed_s for region in time.regions) * factor
    rates = _rates(question, growing, part, seconds=seconds, factor=factor)
    return LambdaCost(
        covered_s=time.covered_s,
        batches=sum(region.batches for region in time.regions),
        results=time.results,
        unmatched=time.unmatched,
        bill=bill,
        shared_usd=bill.total - part.total,
        clients=tuple(map(rates.share, time.clients)),
        checks=tuple(map(rates.share, time.checks)),
    )


def _growing(question: Question, region: RegionTime, factor: float) -> Usage:
    """The part of a region's month that grows with checks."""
    own = question.durations
    invocations = region.batches * factor
    cold = region.cold * factor if question.measured else invocations * own.cold_share
    worker = FunctionUse(
        name="worker",
        memory_mb=question.memory_mb,
        seconds=region.billed_s / region.batches,
        invocations=invocations,
        cold_starts=cold,
        init_s=own.init_s,
        log_bytes=own.log_bytes,
    )
    return Usage(
        functions=(worker,),
        log_retention_days=LOG_RETENTION_DAYS,
        egress_gb=egress_gb(probes=region.results * factor, reports=invocations),
        reports=invocations,
    )


def _dispatcher(question: Question, region: RegionTime) -> FunctionUse:
    own = question.durations
    usual_s = BEFORE_MINUTE_S + MINUTE_S
    return FunctionUse(
        name="dispatcher",
        memory_mb=own.dispatcher_mb,
        seconds=usual_s if region.dispatcher_s is None else region.dispatcher_s,
        invocations=MINUTES,
        cold_starts=MINUTES * own.cold_share,
        init_s=own.init_s,
        log_bytes=own.log_bytes,
    )


def _bill(question: Question, usages: Sequence[Usage]) -> Bill:
    return monthly_bill(
        usages,
        prices=TODAY,
        architecture=question.architecture,
        free_tier=question.free_tier,
    )


def _rates(
    question: Question, growing: Sequence[Usage], part: Bill, *, seconds: float, factor: float
) -> _Rates:
    memory_gb = question.memory_mb / MB_A_GB
    invocations = sum(usage.invocations for usage in growing)
    gb_usd = part.egress / sum(usage.egress_gb for usage in growing)
    return _Rates(
        gb_s=(part.compute + part.init) / (seconds * memory_gb),
        invocation=(part.requests + part.logs + part.ingest) / invocations
        + egress_gb(probes=0, reports=1) * gb_usd,
        probe=egress_gb(probes=1, reports=0) * gb_usd,
        memory_gb=memory_gb,
        factor=factor,
    )

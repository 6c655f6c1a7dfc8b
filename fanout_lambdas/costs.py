"""What AWS charges for what was used: usage of a month in, a bill out. Pure; prices come from `prices`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from fanout_lambdas.prices import GB, Architecture, FreeTier, PriceList, tiered

MB_A_GB = 1024
"""Memory sizes are binary: 128 MB for a second is an eighth of a GB-second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionUse:
    """A month of one function's invocations. Durations in seconds, one invocation's mean, INIT not among them."""

    name: str
    memory_mb: int
    seconds: float
    invocations: float
    cold_starts: float = 0.0
    init_s: float = 0.0
    log_bytes: float = 0.0
    """Written by one invocation."""

    def gb_s(self, prices: PriceList) -> float:
        """Billed, INIT not among them."""
        return self.invocations * prices.billed_s(self.seconds) * self.memory_mb / MB_A_GB

    def init_gb_s(self, prices: PriceList) -> float:
        if not prices.bills_init:
            return 0.0
        return self.cold_starts * prices.billed_s(self.init_s) * self.memory_mb / MB_A_GB


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """A month of one region."""

    functions: tuple[FunctionUse, ...] = ()
    log_retention_days: float = 0.0
    s3_puts: float = 0.0
    """And lists."""
    s3_gets: float = 0.0
    s3_gb: float = 0.0
    """Stored at any moment."""
    schedules: float = 0.0
    alarms: int = 0
    egress_gb: float = 0.0
    interregion_gb: float = 0.0
    reports: float = 0.0
    """Calls of ingest, which is in one region."""

    @property
    def invocations(self) -> float:
        return sum(use.invocations for use in self.functions)

    def gb_s(self, prices: PriceList) -> float:
        """INIT among them."""
        return sum(use.gb_s(prices) + use.init_gb_s(prices) for use in self.functions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """US dollars a month."""

    compute: float = 0.0
    init: float = 0.0
    requests: float = 0.0
    logs: float = 0.0
    s3: float = 0.0
    scheduler: float = 0.0
    alarms: float = 0.0
    egress: float = 0.0
    ingest: float = 0.0
    """The way in alone, not the function behind it."""

    @property
    def on_lambda(self) -> float:
        """What stands under Lambda: the part that the article worked out."""
        return self.compute + self.init + self.requests

    @property
    def total(self) -> float:
        return float(sum(getattr(self, part.name) for part in fields(self)))

    def __add__(self, other: Bill) -> Bill:
        return Bill(
            **{
                part.name: getattr(self, part.name) + getattr(other, part.name)
                for part in fields(self)
            }
        )

    def to_json(self) -> dict[str, float]:
        parts = {part.name: round(getattr(self, part.name), 4) for part in fields(self)}
        return {**parts, "lambda": round(self.on_lambda, 4), "total": round(self.total, 4)}


def monthly_bill(
    regions: Sequence[Usage],
    *,
    prices: PriceList,
    architecture: Architecture,
    free_tier: bool = False,
) -> Bill:
    """The bill of all regions. Tiers of volume count in each region by itself, the free tier once for all."""
    free = prices.free if free_tier else FreeTier()
    bill = Bill()
    for usage in regions:
        bill += _region(usage, prices, architecture, free)
        free = _left(free, usage, prices)
    reports = sum(usage.reports for usage in regions)
    return bill + Bill(ingest=tiered(reports, prices.http_api))


def compute_usd(gb_s: float, *, prices: PriceList, architecture: Architecture) -> float:
    """GB-seconds of one region and month in dollars."""
    return tiered(gb_s, prices.compute[architecture])


def _region(usage: Usage, prices: PriceList, architecture: Architecture, free: FreeTier) -> Bill:
    gb_s = usage.gb_s(prices)
    init = sum(use.init_gb_s(prices) for use in usage.functions)
    compute = compute_usd(_beyond(gb_s, free.gb_s), prices=prices, architecture=architecture)
    log_gb = _log_gb(usage)
    stored = log_gb * usage.log_retention_days / 30
    return Bill(
        compute=compute * (1 - init / gb_s) if gb_s else 0.0,
        init=compute * init / gb_s if gb_s else 0.0,
        requests=_beyond(usage.invocations, free.requests) * prices.request,
        logs=tiered(_beyond(log_gb, free.log_gb), prices.log_gb) + stored * prices.log_gb_month,
        s3=usage.s3_puts * prices.s3_put
        + usage.s3_gets * prices.s3_get
        + usage.s3_gb * prices.s3_gb_month,
        scheduler=_beyond(usage.schedules, free.schedules) * prices.schedule,
        alarms=_beyond(usage.alarms, free.alarms) * prices.alarm_month,
        egress=tiered(_beyond(usage.egress_gb, free.egress_gb), prices.egress_gb)
        + usage.interregion_gb * prices.interregion_gb,
    )


def _left(free: FreeTier, usage: Usage, prices: PriceList) -> FreeTier:
    return FreeTier(
        gb_s=_beyond(free.gb_s, usage.gb_s(prices)),
        requests=_beyond(free.requests, usage.invocations),
        log_gb=_beyond(free.log_gb, _log_gb(usage)),
        egress_gb=_beyond(free.egress_gb, usage.egress_gb),
        schedules=_beyond(free.schedules, usage.schedules),
        alarms=max(0, free.alarms - usage.alarms),
    )


def _log_gb(usage: Usage) -> float:
    return sum(use.invocations * use.log_bytes for use in usage.functions) / GB


def _beyond(amount: float, free: float) -> float:
    return max(0.0, amount - free)

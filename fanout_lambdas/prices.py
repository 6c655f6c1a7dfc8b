"""List prices of AWS, in US dollars, and the article's own: the one place where amounts of money stand.

All are of us-east-1, before taxes, savings plans and credits. They were read in stored public pages, not in a bill:
where only a third party's page said so, the comment names it, and `unverified` marks what none confirmed. Before you
decide by them, look at https://calculator.aws. To renew them: change the figures and `as_of` together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

GB = 1_000_000_000
"""Transfer, logs and storage are billed in units whose size the pages leave open; 10^9 is the dearer reading."""
MONTH_S = 30 * 86_400
"""The article's month."""
HOURS_A_MONTH = MONTH_S / 3600


class Architecture(StrEnum):
    """Names as Lambda spells them."""

    X86 = "x86_64"
    ARM = "arm64"


Tiers = tuple[tuple[float, float], ...]
"""(amount up to which this price holds, price of a unit), cheapest last; the last amount is infinite."""


def flat(price: float) -> Tiers:
    return ((math.inf, price),)


def tiered(amount: float, tiers: Tiers) -> float:
    """What an amount costs when each tier's price holds for the part of it that lies there."""
    total = start = 0.0
    for end, price in tiers:
        total += max(0.0, min(amount, end) - start) * price
        start = end
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeTier:
    """What an account gets free each month without an end date, once for all regions."""

    gb_s: float = 0.0
    requests: float = 0.0
    log_gb: float = 0.0
    egress_gb: float = 0.0
    schedules: float = 0.0
    alarms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceList:
    """Prices of units; `Tiers` where volume makes them cheaper, in a region and month for compute and logs."""

    name: str
    as_of: date
    compute: Mapping[Architecture, Tiers]
    """A GB-second of a function's memory."""
    round_s: float
    """Each invocation is billed in whole multiples of this."""
    bills_init: bool
    """Whether the start of an environment (INIT) is billed too."""
    request: float
    """An invocation."""
    log_gb: Tiers
    log_gb_month: float
    s3_put: float
    """Also LIST."""
    s3_get: float
    s3_gb_month: float
    schedule: float
    """An invocation by EventBridge Scheduler."""
    alarm_month: float
    egress_gb: Tiers
    """To the internet."""
    interregion_gb: float
    http_api: Tiers
    """A request to an HTTP API of API Gateway, of 512 KB at most."""
    free: FreeTier = FreeTier()

    def billed_s(self, seconds: float) -> float:
        """An invocation's duration as it stands on the bill."""
        # Rounded first: 0.6 / 0.1 is more than 6 in binary fractions.
        return math.ceil(round(seconds / self.round_s, 6)) * self.round_s


TODAY = PriceList(
    name="AWS list prices, us-east-1",
    as_of=date(2026, 11, 23),
    # Prices and tiers: aws.amazon.com/lambda/pricing and cloudchipr.com/blog/aws-lambda-pricing; the tiers also in
    # aws.amazon.com/blogs/compute/introducing-tiered-pricing-for-aws-lambda (2022). The last of arm64 is 20 % off,
    # as that page says; its digits are unverified.
    compute={
        Architecture.X86: ((6e9, 0.0000166667), (15e9, 0.000015), (math.inf, 0.0000133334)),
        Architecture.ARM: (
            (7.5e9, 0.0000133334),
            (18.75e9, 0.0000120001),
            (math.inf, 0.0000106667),
        ),
    },
    # 1 ms since December 2020, INIT since 1 August 2025: aws.amazon.com/blogs/compute/
    # aws-lambda-standardizes-billing-for-init-phase.
    round_s=0.001,
    bills_init=True,
    request=0.20e-6,
    # Logs of Lambda are tiered since 1 May 2025 (duckbillgroup.com, which gives 12,500 for 60 TB: so do these, with
    # 1 TB = 1,000 GB); the digits of each tier are those of vended logs. Storage: c3x.dev, June 2026.
    log_gb=((10e3, 0.50), (30e3, 0.25), (50e3, 0.10), (math.inf, 0.05)),
    log_gb_month=0.03,
    # S3 Standard; the request prices are unverified in the pages at hand, and have stood for ten years.
    s3_put=0.005e-3,
    s3_get=0.0004e-3,
    s3_gb_month=0.023,
    schedule=1.00e-6,  # cloudburn.io, March 2026; scheduled rules of EventBridge cost nothing
    alarm_month=0.10,  # c3x.dev: standard resolution
    # usage.ai and wring.co, 2026.
    egress_gb=((10e3, 0.09), (50e3, 0.085), (150e3, 0.07), (math.inf, 0.05)),
    interregion_gb=0.02,
    http_api=((300e6, 1.00e-6), (math.inf, 0.90e-6)),  # apigatewaycost.com and go-cloud.io, 2026
    # aws.amazon.com/lambda/pricing, aws.amazon.com/cloudwatch/pricing; egress as above.
    free=FreeTier(
        gb_s=400_000,
        requests=1e6,
        log_gb=5,
        egress_gb=100,
        schedules=14e6,
        alarms=10,
    ),
)

# "How to run 1000s of AWS Lambda functions each minute": $0.000000208 for each 100 ms of 128 MB, $0.20 a million.
# It counts nothing else, so nothing else has a price here.
ARTICLE = PriceList(
    name="the article's prices",
    as_of=date(2018, 12, 1),
    compute={architecture: flat(0.000000208 * 8 * 10) for architecture in Architecture},
    round_s=0.1,
    bills_init=False,
    request=0.20e-6,
    log_gb=flat(0.0),
    log_gb_month=0.0,
    s3_put=0.0,
    s3_get=0.0,
    s3_gb_month=0.0,
    schedule=0.0,
    alarm_month=0.0,
    egress_gb=flat(0.0),
    interregion_gb=0.0,
    http_api=flat(0.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPrices:
    """What stands beside the fan-out: the database, secrets. For the whole bill."""

    secret_month: float
    database_month: Mapping[str, float]
    """One instance class of RDS for PostgreSQL in one zone; twice that in two."""
    database_gb_month: float
    proxy_vcpu_month: float
    nat_month: float


HOSTS = HostPrices(
    secret_month=0.40,  # unverified; a parameter of SSM's standard tier costs nothing
    # infratally.com, 2026: $0.032 and $0.065 an hour.
    database_month={
        "db.t4g.small": 0.032 * HOURS_A_MONTH,
        "db.t4g.medium": 0.065 * HOURS_A_MONTH,
    },
    database_gb_month=0.115,  # gp3, usage.ai, June 2026
    proxy_vcpu_month=0.015 * HOURS_A_MONTH,  # unverified; two vCPU at least
    nat_month=0.045 * HOURS_A_MONTH,  # leanopstech.com, April 2026
)

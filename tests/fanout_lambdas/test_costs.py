"""The cost model against sums worked out by hand, and against the article's."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from fanout_lambdas.costs import FunctionUse, Usage, compute_usd, monthly_bill
from fanout_lambdas.designs import Design, Load, article_month, plan
from fanout_lambdas.durations import MEASURED
from fanout_lambdas.planning import BATCHED, plan_batches
from fanout_lambdas.prices import ARTICLE, TODAY, Architecture, tiered
from fanout_lambdas.shared.contracts.snapshot import CheckPlan, Snapshot
from fanout_lambdas.shared.slots import phase

X86, ARM = Architecture.X86, Architecture.ARM
MINUTE = 1_795_000_020
LOAD = Load(checks=10_000)


def use(**fields: float) -> FunctionUse:
    given = {"memory_mb": 1024, "seconds": 1.0, "invocations": 1_000_000.0} | fields
    return FunctionUse(name="worker", **given)  # type: ignore[arg-type]


def test_the_article_s_sum_comes_out_to_the_dollar() -> None:
    bill = monthly_bill([article_month()], prices=ARTICLE, architecture=X86)
    assert bill.total == pytest.approx(807.27, abs=1.0)
    assert bill.requests == pytest.approx(86.40 + 0.87, abs=0.01)
    assert bill.total == bill.on_lambda  # it counts neither logs nor anything else


def test_today_s_prices_give_the_article_s_workers_and_triggerers() -> None:
    worker, triggerer = article_month().functions
    both = (worker, replace(triggerer, invocations=43_200 * 100))
    bill = monthly_bill([Usage(functions=both)], prices=TODAY, architecture=X86)
    assert bill.total == pytest.approx(626.40 + 180.86, abs=0.02)
    on_arm = monthly_bill([Usage(functions=both)], prices=TODAY, architecture=ARM)
    assert on_arm.total == pytest.approx(663.27, abs=0.02)


def test_durations_are_billed_in_whole_steps() -> None:
    assert ARTICLE.billed_s(0.6) == pytest.approx(0.6)
    assert ARTICLE.billed_s(0.601) == pytest.approx(0.7)
    assert TODAY.billed_s(0.6) == pytest.approx(0.6)
    assert TODAY.billed_s(0.60001) == pytest.approx(0.601)


@pytest.mark.parametrize(
    ("gb_s", "architecture", "usd"),
    [
        (6e9, X86, 100_000.2),
        (7e9, X86, 100_000.2 + 1e9 * 0.000015),
        (16e9, X86, 100_000.2 + 9e9 * 0.000015 + 1e9 * 0.0000133334),
        (7.5e9, ARM, 100_000.5),
        (8.5e9, ARM, 100_000.5 + 1e9 * 0.0000120001),
    ],
)
def test_volume_is_cheaper_from_each_tier_on(
    gb_s: float, architecture: Architecture, usd: float
) -> None:
    assert compute_usd(gb_s, prices=TODAY, architecture=architecture) == pytest.approx(usd)


def test_tiers_count_in_each_region_by_itself() -> None:
    usage = Usage(functions=(use(seconds=5_000.0),))  # 5e9 GB-s: below the first tier's end
    one = monthly_bill([usage], prices=TODAY, architecture=X86)
    two = monthly_bill([usage, usage], prices=TODAY, architecture=X86)
    assert two.compute == pytest.approx(2 * one.compute)


def test_every_part_of_the_bill() -> None:
    usage = Usage(
        functions=(use(cold_starts=10_000.0, init_s=0.5, log_bytes=550.0),),
        log_retention_days=15,
        s3_puts=1_000,
        s3_gets=10_000,
        s3_gb=2.0,
        schedules=500_000,
        alarms=3,
        egress_gb=10_100.0,
        interregion_gb=50.0,
        reports=2_000_000,
    )
    bill = monthly_bill([usage], prices=TODAY, architecture=ARM)
    assert bill.compute == pytest.approx(1e6 * 0.0000133334)
    assert bill.init == pytest.approx(5_000 * 0.0000133334)
    assert bill.requests == pytest.approx(0.20)
    assert bill.logs == pytest.approx(0.55 * 0.50 + 0.55 / 2 * 0.03)
    assert bill.s3 == pytest.approx(0.005 + 0.004 + 0.046)
    assert bill.scheduler == pytest.approx(0.50)
    assert bill.alarms == pytest.approx(0.30)
    assert bill.egress == pytest.approx(900 + 100 * 0.085 + 50 * 0.02)
    assert bill.ingest == pytest.approx(2.0)
    assert bill.total == pytest.approx(bill.on_lambda + sum(_beside(bill.to_json())), abs=0.01)


def _beside(bill: dict[str, float]) -> list[float]:
    return [bill[name] for name in ("logs", "s3", "scheduler", "alarms", "egress", "ingest")]


def test_all_regions_report_to_one_ingest() -> None:
    bill = monthly_bill([Usage(reports=200e6)] * 2, prices=TODAY, architecture=ARM)
    assert bill.total == bill.ingest == pytest.approx(300 + 100 * 0.90)


def test_the_free_tier_is_given_once_for_all_regions() -> None:
    usage = Usage(functions=(use(seconds=0.3, log_bytes=1_000.0),), egress_gb=80.0, alarms=6)
    paid = monthly_bill([usage] * 2, prices=TODAY, architecture=ARM)
    free = monthly_bill([usage] * 2, prices=TODAY, architecture=ARM, free_tier=True)
    assert paid.compute - free.compute == pytest.approx(400_000 * 0.0000133334)
    assert paid.requests - free.requests == pytest.approx(0.20)
    assert free.egress == pytest.approx(60 * 0.09)
    assert free.alarms == pytest.approx(2 * 0.10)
    assert free.logs == 0.0  # 2 GB of the 5 that are free, kept for no day


def test_a_price_holds_only_for_the_part_of_its_tier() -> None:
    assert tiered(60_000, TODAY.log_gb) == pytest.approx(12_500)
    assert tiered(0, TODAY.egress_gb) == 0


def test_a_design_is_cheaper_the_fewer_functions_it_starts() -> None:
    totals = {
        design: monthly_bill(
            plan(design, LOAD, MEASURED).regions, prices=TODAY, architecture=ARM
        ).on_lambda
        for design in Design
    }
    assert totals[Design.BATCHED] < totals[Design.FANOUT] / 10


def test_one_loop_starts_no_more_than_its_minute_allows() -> None:
    assert plan(Design.DIRECT, LOAD, MEASURED).started == pytest.approx(1_049)
    assert plan(Design.DIRECT, Load(checks=500), MEASURED).started == 500
    assert plan(Design.FANOUT, LOAD, MEASURED).started == 10_000
    assert plan(Design.FANOUT, Load(checks=1_000_000), MEASURED).started == 104_900


def test_triggerers_come_with_the_load() -> None:
    def names(checks: int) -> set[str]:
        (region,) = plan(Design.BATCHED, Load(checks=checks), MEASURED).regions
        return {one.name for one in region.functions}

    assert "triggerer" not in names(100_000)
    assert "triggerer" in names(1_000_000)


@pytest.mark.parametrize("checks", [200, 1_000, 10_000])
def test_batches_are_as_many_as_the_planner_cuts(checks: int) -> None:
    """The model's packing against the real one's."""
    slow_from = checks - checks // 100
    snapshot = Snapshot(
        minute=MINUTE,
        taken_at=MINUTE - 30,
        checks=tuple(
            CheckPlan(
                check_id=number,
                interval_s=60,
                phase_s=phase(number, 60),
                regions=("eu-central-1",),
                request={"kind": "http", "url": "http://shop.test/"},
                slow=number >= slow_from,
            )
            for number in range(checks)
        ),
    )
    cut = plan_batches(snapshot, MINUTE, "eu-central-1", replace(BATCHED, billed=True))
    modelled = plan(Design.BATCHED, Load(checks=checks, new_share=0.0), MEASURED).workers
    assert modelled == pytest.approx(len(cut), rel=0.2)


def test_new_timeouts_hold_up_quick_batches() -> None:
    steady = plan(Design.BATCHED, replace(LOAD, new_share=0.0), MEASURED)
    restless = plan(Design.BATCHED, replace(LOAD, new_share=1.0), MEASURED)
    assert restless.worker_s > 2 * steady.worker_s
    # One in a hundred checks: 63 % of batches of 100 have at least one.
    clean = MEASURED.worker_s(100, latency_s=0.5, memory_mb=MEASURED.worker_mb)
    held = (restless.worker_s - clean) / (10.0 - 0.5 * MEASURED.last_answer)
    assert held == pytest.approx(1 - 0.99**100, abs=0.01)


def test_regions_multiply_and_only_one_is_home() -> None:
    one = plan(Design.BATCHED, LOAD, MEASURED).regions
    three = plan(Design.BATCHED, replace(LOAD, regions=3), MEASURED).regions
    assert three[0] == one[0]
    assert [usage.schedules > 0 for usage in three] == [True, False, False]
    assert [usage.interregion_gb > 0 for usage in three] == [False, True, True]


def test_nothing_is_infinite_under_odd_loads() -> None:
    for load in (
        Load(checks=1, interval_s=86_400, timeout_share=0.0),
        Load(checks=1, timeout_share=1.0),
        Load(checks=100, interval_s=10, regions=4),
    ):
        for design in Design:
            bill = monthly_bill(
                plan(design, load, MEASURED).regions, prices=TODAY, architecture=ARM
            )
            assert math.isfinite(bill.total)
            assert bill.total > 0

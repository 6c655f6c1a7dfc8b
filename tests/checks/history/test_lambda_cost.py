"""Who pays for which part of a worker's time, from batches that came in through ingest."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import transaction

from checks.history.lambda_cost import LambdaCost, Question, lambda_cost
from checks.history.partitions import ensure_partitions
from checks.history.worker_time import NothingMeasured
from checks.models import Check, MinuteRun, Region
from checks.pipeline.ingest import ingest_batch
from checks.pipeline.slots import marker, take_slots
from fanout_lambdas.durations import MEASURED
from fanout_lambdas.prices import MONTH_S, Architecture
from fanout_lambdas.shared.contracts import EXTRA_BATCHES_FROM, Outcome, Result, WorkerFigures
from tests.checks.pipeline.fleet import MINUTE, at, batch, check, client, result
from tests.regions import local_region

pytestmark = pytest.mark.django_db

OWN_S, START_S = MEASURED.own_s(512), MEASURED.start_s(512)
FACTOR = MONTH_S / 60


@pytest.fixture(autouse=True)
def region(db: None) -> Region:
    ensure_partitions(now=at(MINUTE), days_ahead=1)
    return local_region()


def question(**fields: Any) -> Question:
    given = Question(
        since=at(MINUTE),
        until=at(MINUTE) + timedelta(hours=1),
        durations=MEASURED,
        memory_mb=512,
        architecture=Architecture.ARM,
        measured=True,
        top=10,
    )
    return replace(given, **fields)


def arrive(
    results: Sequence[Result],
    *,
    number: int = 0,
    seconds: float = 0.9,
    received: float = 5.25,
    cold: bool = False,
) -> None:
    """A batch whose worker took so long, stored so many seconds after the minute began."""
    parsed = batch(results, number=number)
    figures = WorkerFigures(
        started_ms=MINUTE * 1000, duration_ms=int(seconds * 1000), cold_start=cold
    )
    parsed = replace(parsed, batch=replace(parsed.batch, worker=figures))
    ingest_batch(parsed, region=local_region(), now=at(MINUTE + received))


def seen(one: Check, *, second: int = 1, answer_s: float = 0.5) -> Result:
    return result(one, MINUTE + second, total_us=int(answer_s * 1e6))


def gb_s(cost: LambdaCost) -> dict[str, float]:
    return {share.own.name: share.gb_s for share in cost.checks}


def test_a_batch_is_shared_by_what_each_check_took_of_it() -> None:
    quick, slow = check(name="quick"), check(name="slow")
    arrive([seen(quick, answer_s=0.2), seen(slow, answer_s=4.0)], seconds=4.5)
    cost = lambda_cost(question())
    billed = 4.5 + OWN_S
    occupied = {"quick": START_S + 0.2, "slow": START_S + 4.0}
    for name, seconds in occupied.items():
        share = billed * seconds / sum(occupied.values())
        assert gb_s(cost)[name] == pytest.approx(share * 0.5 * FACTOR)
    assert [share.own.name for share in cost.checks] == ["slow", "quick"]


def test_batches_of_one_minute_are_told_apart() -> None:
    """The slow lane's seconds are not the quick lane's."""
    quick, slow = check(name="quick"), check(name="slow")
    arrive([seen(quick)], number=0, seconds=1.0, received=3.1)
    arrive([seen(slow)], number=1, seconds=10.0, received=3.2)
    cost = lambda_cost(question())
    assert gb_s(cost)["quick"] == pytest.approx((1.0 + OWN_S) * 0.5 * FACTOR)
    assert gb_s(cost)["slow"] == pytest.approx((10.0 + OWN_S) * 0.5 * FACTOR)
    assert cost.unmatched == 0


def test_batches_stored_in_one_millisecond_are_shared_together() -> None:
    quick, slow = check(name="quick"), check(name="slow")
    arrive([seen(quick)], number=0, seconds=1.0)
    arrive([seen(slow)], number=1, seconds=10.0)
    cost = lambda_cost(question())
    both = (11.0 + 2 * OWN_S) * 0.5 * FACTOR
    assert sum(gb_s(cost).values()) == pytest.approx(both)


def test_clients_add_up_to_the_whole_bill() -> None:
    for number in range(6):
        one = check(client(f"client-{number % 3}"))
        arrive([seen(one, answer_s=0.1 * (number + 1))], number=number, received=4 + number)
    cost = lambda_cost(question())
    assert len(cost.clients) == 3
    assert sum(share.usd for share in cost.clients) + cost.shared_usd == pytest.approx(
        cost.bill.total
    )
    assert sum(share.usd for share in cost.checks) == pytest.approx(
        sum(share.usd for share in cost.clients)
    )


def test_one_client_s_share_is_the_same_asked_for_alone() -> None:
    acme, other = client("acme"), client("other")
    mine, theirs = check(acme, name="mine"), check(other, name="theirs")
    arrive([seen(mine), seen(theirs)])
    of_all = lambda_cost(question())
    alone = lambda_cost(question(client=acme))
    assert [share.own.name for share in alone.checks] == ["mine"]
    assert [share.own.client for share in alone.clients] == ["acme"]
    assert gb_s(alone)["mine"] == pytest.approx(gb_s(of_all)["mine"])
    assert alone.bill == of_all.bill


def test_without_lambda_the_durations_follow_from_the_answers() -> None:
    """A worker of one's own waits for each slot inside the batch; Lambda's does not."""
    checks = [check() for _ in range(4)]
    arrive(
        [seen(one, second=number, answer_s=0.3) for number, one in enumerate(checks)], seconds=3.3
    )
    cost = lambda_cost(question(measured=False))
    billed = 3 * START_S + 0.3 + OWN_S
    assert sum(share.gb_s for share in cost.checks) == pytest.approx(billed * 0.5 * FACTOR)


def test_markers_and_duplicates_are_nobody_s() -> None:
    one, two = check(), check()
    take_slots(
        [
            marker(
                slot=MINUTE + 1,
                check_id=two.pk,
                client_id=two.client_id,
                outcome=Outcome.MISSED,
                now=at(MINUTE + 90),
            )
        ],
        region_id=local_region().id,
    )
    arrive([seen(one)])
    arrive([seen(one)], received=7.0)  # the same batch once more
    cost = lambda_cost(question())
    assert (cost.batches, cost.results, cost.unmatched) == (1, 1, 0)
    assert len(cost.checks) == 1


def test_rechecks_are_paid_by_their_check() -> None:
    one = check()
    arrive([seen(one)])
    arrive([seen(one, second=11)], number=EXTRA_BATCHES_FROM, received=16.0)
    (share,) = lambda_cost(question()).checks
    assert share.own.results == 2
    assert share.own.invocations == pytest.approx(2.0)


def test_cold_starts_and_the_dispatcher_are_those_that_were_seen() -> None:
    arrive([seen(check())], cold=True)
    report = {"started_ms": MINUTE * 1000, "finished_ms": MINUTE * 1000 + 58_000}
    MinuteRun.objects.create(minute=at(MINUTE), region=local_region(), dispatch_report=report)
    warm = question(durations=replace(MEASURED, cold_share=0.0))
    measured, modelled = lambda_cost(warm), lambda_cost(replace(warm, measured=False))
    assert measured.bill.init > 0
    assert modelled.bill.init == 0
    longer = {**report, "finished_ms": MINUTE * 1000 + 118_000}
    MinuteRun.objects.update(dispatch_report=longer)
    extra = lambda_cost(warm).bill.compute - measured.bill.compute
    per_minute = 60 * MEASURED.dispatcher_mb / 1024 * 0.0000133334
    assert extra == pytest.approx(43_200 * per_minute, rel=1e-3)


def test_an_empty_window_is_named() -> None:
    with pytest.raises(NothingMeasured, match=r"2026-11-23 10:00 to 2026-11-23 11:00 UTC"):
        lambda_cost(question())


def test_it_can_be_asked_twice_on_one_connection() -> None:
    arrive([seen(check())])
    with transaction.atomic():
        first = lambda_cost(question())
    assert lambda_cost(question()) == first


class TestCommand:
    @pytest.fixture(autouse=True)
    def an_hour_later(self) -> Iterator[None]:
        with time_machine.travel(MINUTE + 3_600, tick=False):
            yield

    def run(self, *argv: str) -> str:
        out = StringIO()
        call_command("lambda_cost", *argv, stdout=out)
        return out.getvalue()

    def test_the_tables_name_clients_and_checks(self) -> None:
        arrive([seen(check(name="Shop [red]sale"))])
        said = self.run()
        assert "1 results of 1 batches" in said
        assert "acme" in said
        assert "Shop [red]sale" in said
        assert "worked out from the probes' times" in said

    def test_the_object_for_programs(self) -> None:
        for slug in ("acme", "other"):
            one = check(client(slug), name=slug)
            arrive([seen(one)], number=one.pk, received=one.pk % 50 + 5)
        found = json.loads(self.run("--json", "--client", "acme", "--memory", "1024"))
        assert found["memory_mb"] == 1024
        assert [share["client"] for share in found["clients"]] == ["acme"]
        assert found["checks"][0]["usd"] > 0
        assert found["usd_month"]["total"] > found["usd_month"]["lambda"] > 0

    def test_on_lambda_the_measured_durations_hold(self, settings: Any) -> None:
        arrive([seen(check())], seconds=30.0)
        settings.PROBE_ENGINE = "lambda"
        own, other = (
            json.loads(self.run("--json", *argv))["usd_month"]["compute"]
            for argv in ((), ("--memory", str(MEASURED.worker_mb)))
        )
        assert own > other

    @pytest.mark.parametrize(
        ("argv", "words"),
        [
            (("--hours", "49"), "--hours: 49 is not from 1 to 48."),
            (("--top", "0"), "--top: 0 is not from 1"),
            (("--memory", "64"), "--memory: 64 is not from 128 to 10,240."),
            (("--architecture", "mips"), "--architecture: 'mips' is not x86_64 or arm64."),
            (("--client", "nobody"), "--client: there is no client 'nobody'."),
            ((), "No batch reported from 2026-11-22 11:00 to 2026-11-23 11:00 UTC."),
        ],
    )
    def test_what_it_refuses(self, argv: tuple[str, ...], words: str) -> None:
        with pytest.raises(CommandError) as caught:
            self.run(*argv)
        assert words in str(caught.value)

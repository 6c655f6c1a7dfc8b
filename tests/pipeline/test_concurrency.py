"""Everybody at once: the same batches on many connections while the watch closes their minute."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction

from checks.history.partitions import ensure_partitions
from checks.models import Check, DeadLetter, Event, Incident, MinuteRun, Region, RegionState, Result
from checks.pipeline.beliefs import load_beliefs
from checks.pipeline.dead_letters import LetterReport, count_dead_letters
from checks.pipeline.ingest import IngestReport, ingest_batch
from checks.pipeline.snapshot import take_snapshot
from checks.pipeline.watch import watch
from checks.regions import ensure_local_region
from fanout_lambdas.invoke import Invoked
from fanout_lambdas.objectstore import ObjectStore
from fanout_lambdas.shared.contracts import Outcome
from fanout_lambdas.shared.contracts.parsed_batch import ParsedBatch
from tests.checks.pipeline.fleet import MINUTE, at, batch, check, result, slot_of
from tests.checks.pipeline.test_dead_letters import Queue, letter

pytestmark = pytest.mark.django_db(transaction=True)
CONNECTIONS = 8


class Nowhere:
    def invoke(self, function: str, payload: Mapping[str, Any]) -> Invoked:
        """Nothing is started."""
        return Invoked()


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """Each call on a connection of its own."""

    def run(call: Callable[[], Any]) -> Any:
        try:
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return [future.result() for future in [pool.submit(run, call) for call in calls]]


@pytest.fixture
def region() -> Region:
    ensure_partitions(now=at(MINUTE), days_ahead=1)
    return ensure_local_region()


def test_who_makes_a_missing_row_holds_no_other(region: Region) -> None:
    new, known = check(), check()
    with transaction.atomic():
        load_beliefs([known.id])
    made, asked = threading.Event(), threading.Event()

    def first() -> None:
        with transaction.atomic():
            load_beliefs([new.id])
            made.set()
            assert asked.wait(10)
            time.sleep(0.2)  # the second waits for the new row by now
            load_beliefs([known.id])

    def second() -> None:
        assert made.wait(10)
        with transaction.atomic():
            asked.set()
            assert set(load_beliefs([new.id, known.id])) == {new.id, known.id}

    at_once([first, second])


def shuffled(parsed: ParsedBatch, seed: int) -> ParsedBatch:
    results = list(parsed.batch.results)
    random.Random(seed).shuffle(results)
    return batch(results, number=parsed.batch.number)


def test_one_batch_on_eight_connections_has_one_effect(region: Region) -> None:
    checks = [check(down_after=1) for _ in range(30)]
    run = MinuteRun.objects.create(minute=at(MINUTE), region=region, planned=30)
    outcomes = [Outcome.DOWN, *[Outcome.UP] * 29]
    parsed = batch([result(c, outcome=o) for c, o in zip(checks, outcomes, strict=True)])
    now = at(MINUTE + 60)

    def send(seed: int) -> Callable[[], IngestReport]:
        return lambda: ingest_batch(shuffled(parsed, seed), region=region, now=now)

    reports = at_once([send(seed) for seed in range(CONNECTIONS)])

    assert sum(report.accepted for report in reports) == 30
    assert sum(report.duplicate for report in reports) == 30 * (CONNECTIONS - 1)
    run.refresh_from_db()
    assert (run.answered, run.duplicates) == (30, 30 * (CONNECTIONS - 1))
    assert Incident.objects.across_clients().count() == 1
    assert Event.objects.across_clients().count() == 1
    assert RegionState.objects.across_clients().count() == 30


def test_letters_that_many_receive_at_once_count_once(region: Region) -> None:
    run = MinuteRun.objects.create(minute=at(MINUTE), region=region, planned=30)
    letters = [letter(number) for number in range(20)]

    def count(seed: int) -> Callable[[], LetterReport]:
        some = random.Random(seed).sample(letters, len(letters))
        return lambda: count_dead_letters({"local": Queue(*some)})

    reports = at_once([count(seed) for seed in range(CONNECTIONS)])

    run.refresh_from_db()
    assert run.dead_letters == sum(report.counted for report in reports) == 20
    assert DeadLetter.objects.count() == 20


def test_the_watch_and_late_results_agree_on_every_slot(region: Region, store: ObjectStore) -> None:
    checks = [check() for _ in range(40)]
    take_snapshot(MINUTE, now=at(MINUTE - 30), store=store)
    over = at(MINUTE + 180)

    def close() -> None:
        watch(now=over, store=store, invoker=Nowhere())

    def send(some: list[Check]) -> Callable[[], IngestReport]:
        return lambda: ingest_batch(batch([result(c) for c in some]), region=region, now=over)

    answered = checks[:30]
    calls: list[Callable[[], Any]] = [send(answered[n::6]) for n in range(6)]
    at_once([close, *calls[:3], close, *calls[3:], close])

    run = MinuteRun.objects.get(minute=at(MINUTE))
    assert run.closed_at is not None
    assert (run.planned, run.answered, run.late, run.missed, run.excluded) == (40, 0, 30, 10, 0)
    held = Counter(Result.objects.across_clients().values_list("check_id", flat=True))
    assert set(held.values()) == {1}
    assert len(held) == 40
    assert all(
        row.at == at(slot_of(Check.objects.across_clients().get(pk=row.check_id)))
        for row in Result.objects.across_clients()
    )

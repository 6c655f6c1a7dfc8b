"""A small `python -m bench.fanout --faults`: events come twice, workers are killed and throttled, ingest is away for
ten seconds; afterwards every slot is accounted for and no result is lost.

The checks' slots lie within some seconds of one minute, so that nobody waits for the rest of it, and the minute is
closed at a time that is said to be later.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from bench.emulator import Emulator, Faults
from bench.emulator.template import functions_in
from bench.fanout.faults_aws import (
    BUCKET,
    DEAD_LETTERS,
    MOVED_ASIDE,
    REGION,
    STACK,
    Aws,
    aws,
    function_environment,
)
from bench.ingest_log import IngestLog, lost_of
from bench.rig import INGEST_PATH
from checks.history.partitions import ensure_partitions
from checks.ingest_api import key_ring
from checks.models import Check, MinuteRun, Region
from checks.pipeline.closing import close_runs
from checks.pipeline.dead_letters import count_dead_letters
from checks.pipeline.runs import as_time
from checks.pipeline.snapshot import take_snapshot, topology
from checks.pipeline.spool import drain_spool
from checks.pipeline.watch import watch
from checks.regions import ensure_region, newest_ingest_key
from fanout_lambdas.dead_letters_sqs import SqsDeadLetters
from fanout_lambdas.invoke import DISPATCHER
from fanout_lambdas.invoke_aws import LambdaInvoker
from fanout_lambdas.objectstore import SPOOL
from fanout_lambdas.objectstore_s3 import S3Store
from fanout_lambdas.planning import BATCHED
from fanout_lambdas.shared.slots import MINUTE_S, minute_of, phase
from tests.checks.pipeline.fleet import client
from tests.targets import answer, replies, serve
from uptime.embedded.places import PROJECT

pytestmark = [pytest.mark.slow(seconds=26), pytest.mark.django_db(transaction=True)]

CHECKS, CHECKS_PER_WORKER, WORKERS = 300, 10, 4
LEAD_S, SPREAD_S, OUTAGE_S = 3, 6, 10.0
FAULTS = Faults(duplicates=0.15, kills=0.1, seed=7)
SETTLE_S = 25.0
CLOSED_BY = timedelta(minutes=4)
HURRY = 0.2
"""Events wait in their queue, and grow old, in a fifth of the time."""


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    with aws() as made:
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.fixture
def region(settings: Any) -> Region:
    settings.PROBE_ENGINE = "lambda"
    settings.PROBE_TOPOLOGY = replace(BATCHED, checks_per_worker=CHECKS_PER_WORKER)
    ensure_partitions(now=timezone.now())
    key_ring.forget()
    return ensure_region(REGION)


@pytest.fixture
def ingest(live_server: Any) -> Iterator[IngestLog]:
    log = IngestLog()
    log.start(live_server.url)
    yield log
    log.stop()


@pytest.fixture
def emulator(
    cloud: Aws, region: Region, ingest: IngestLog, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Emulator]:
    key = newest_ingest_key(region)
    assert key is not None
    secrets = {
        "UPTIME_INGEST_KEY_ID": key.key_id,
        "UPTIME_INGEST_SECRET": key.secret,
        "UPTIME_SEALING_KEYS": region.sealing_key,
    }
    functions = functions_in(
        PROJECT / "fanout_lambdas" / "template.yaml",
        code=PROJECT,
        region=REGION,
        stack=STACK,
        parameters={"Bucket": BUCKET, "WorkerConcurrency": str(WORKERS)},
        environment=function_environment(
            secrets,
            ingest_url=ingest.address + INGEST_PATH,
            ca_file="",
            objects=cloud.environment,
        ),
    )
    with Emulator(
        functions, faults=FAULTS, sqs_endpoint=cloud.endpoint, time_scale=HURRY
    ) as emulator:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", emulator.endpoint)
        emulator.warm(f"{STACK}-worker", WORKERS)
        emulator.warm(f"{STACK}-dispatcher", 1)
        yield emulator


def test_a_minute_of_faults_loses_nothing(
    cloud: Aws, region: Region, ingest: IngestLog, emulator: Emulator
) -> None:
    store, invoker = S3Store(BUCKET, client=cloud.s3()), LambdaInvoker(STACK)
    with ExitStack() as stack:
        target = stack.enter_context(serve(replies(answer())))
        begin = _coming_seconds()
        minute = minute_of(begin)
        _make_checks(region, target.url(), range(begin - minute, begin - minute + SPREAD_S))
        assert take_snapshot(minute, now=timezone.now(), store=store).planned == CHECKS
        shape = topology()
        invoker.invoke(
            DISPATCHER,
            {
                "minute": minute,
                "region": REGION,
                "topology": {
                    "checks_per_worker": shape.checks_per_worker,
                    "workers_per_triggerer": shape.workers_per_triggerer,
                    "billed": shape.billed,
                },
            },
        )
        run = MinuteRun.objects.get(minute=as_time(minute))
        queues = {REGION: SqsDeadLetters(REGION, DEAD_LETTERS)}
        outage = begin + 1.0, begin + 1.0 + OUTAGE_S
        until = begin + SPREAD_S + SETTLE_S
        while time.time() < until and not (time.time() > outage[1] and _answered(run)):
            ingest.away = outage[0] <= time.time() < outage[1]
            drain_spool(store=store, now=timezone.now())
            watch(now=timezone.now(), store=store, invoker=invoker)
            time.sleep(0.3)
        assert emulator.drain(30)
    reports, spooled = cloud.spooled()
    drain_spool(store=store, now=timezone.now())
    close_runs(now=as_time(minute) + CLOSED_BY, store=store)
    count_dead_letters(queues)
    run.refresh_from_db()
    ledger = emulator.ledger()[f"{STACK}-worker"]

    # Everything that was to go wrong went wrong.
    assert reports > 0
    assert ledger.duplicates > 0
    assert ledger.errors > 0
    assert ledger.throttles > 0
    assert ingest.unreachable > 0

    # Each slot is one row: an answer, or a marker that says that there is none.
    assert run.closed_at is not None
    assert _rows() == CHECKS
    assert run.planned == CHECKS == run.answered + run.late + run.missed + run.excluded
    assert run.duplicates > 0
    letters = emulator.dead_letters(DEAD_LETTERS)
    assert len(letters) == ledger.dead
    # An event that came twice is one invocation, also where both came to nothing.
    assert run.dead_letters == len({letter["requestContext"]["requestId"] for letter in letters})

    # What was acknowledged or spooled is there, and nothing is left behind.
    connection.ensure_connection()
    held = connection.connection
    assert ingest.acknowledged
    assert ingest.lost(held) == []
    assert lost_of(spooled, held) == []
    assert cloud.keys(SPOOL) == cloud.keys(MOVED_ASIDE) == []


def _coming_seconds() -> int:
    """The first of `SPREAD_S` seconds of one minute, soon."""
    begin = int(time.time()) + 1 + LEAD_S
    if begin % MINUTE_S > MINUTE_S - SPREAD_S:
        begin = minute_of(begin) + MINUTE_S
    return begin


def _make_checks(region: Region, url: str, seconds: range) -> None:
    """Checks with ids whose phases lie in these seconds of a minute."""
    owner = client()
    ids: list[int] = []
    while len(ids) < CHECKS:
        after = ids[-1] if ids else 0
        ids += [each for each in range(after + 1, after + 1_000) if phase(each, 60) in seconds]
    Check.objects.bulk_create(
        Check(
            id=each,
            client=owner,
            name=f"Shop {each}",
            url=url,
            regions=[region.id],
            timeout_ms=1_000,
            state_since=timezone.now(),
        )
        for each in ids[:CHECKS]
    )


def _answered(run: MinuteRun) -> bool:
    run.refresh_from_db()
    return run.answered + run.late == run.planned


def _rows() -> int:
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from result where not extra")
        return int(cursor.fetchone()[0])

"""One minute with everything going wrong at once, on the real parts, and what the database holds of it afterwards.

A whole installation with PROBE_ENGINE=lambda: its own PostgreSQL, web server, jobs and clock; S3 and SQS from moto; the
functions of the template as AWS's runtime client runs them in the emulator. Workers report through a proxy that writes
down what was acknowledged.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg

from bench.accounting import MINUTE_S, Account, Key, Minute, planned_slots
from bench.emulator import Emulator, Faults, FunctionLedger
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
from bench.installation import free_port
from bench.rig import INGEST_PATH, Rig, Say, rig
from fanout_lambdas.objectstore import SPOOL
from uptime.embedded.places import PROJECT

Connection = psycopg.Connection[tuple[Any, ...]]

PUBLIC_INGEST = "https://uptime.example.org/ingest/v1/results"
"""What the installation believes; its workers are told the proxy."""
TEMPLATE = PROJECT / "fanout_lambdas" / "template.yaml"
OUTAGE_FROM_S, OUTAGE_S = 15, 60
MINUTES = 2
"""The outage reaches into the second."""
SETTLE_S = 300
"""After the last minute: 60 s each for late answers, for what is sent again and for its events' age, then the jobs."""
LOOK_S = 0.5
RUN_COUNTERS = (
    *("planned", "answered", "late", "missed", "excluded", "void", "duplicates"),
    *("redispatched", "throttled", "retried", "failed", "dead_letters"),
)
COUNTS = (
    *("accepted", "invocations", "finished", "errors", "timeouts", "throttles", "refused"),
    *("retries", "duplicates", "dead", "cold_starts", "init_s", "billed_s", "gb_s"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What goes wrong, and under which load. `workers`: how many may run at once, the other events wait; `throttles`:
    the share of Invoke calls that are refused."""

    clients: int
    checks: int
    workers: int
    duplicates: float = 0.05
    kills: float = 0.02
    throttles: float = 0.05
    seed: int = 1


@dataclass(slots=True, kw_only=True)
class Story:
    """What happened, and what was found when all had settled."""

    outage_s: float = 0.0
    minutes: list[Minute] = field(default_factory=list)
    runs: list[dict[str, int]] = field(default_factory=list)
    """The product's counters of each minute."""
    acknowledged: int = 0
    lost: list[tuple[int, int, str]] = field(default_factory=list)
    """Acknowledged results that the database does not have."""
    spooled_reports: int = 0
    spooled: int = 0
    lost_from_spool: list[tuple[int, int, str]] = field(default_factory=list)
    left_in_spool: int = 0
    moved_aside: int = 0
    ledger: Mapping[str, FunctionLedger] = field(default_factory=dict)
    dead_letters: int = 0


def play(order: Order, *, say: Say) -> Story:
    """Start everything, let it go wrong for a minute, wait until each slot is accounted for."""
    with aws() as cloud:
        port = free_port()
        settings = {
            **cloud.environment,
            "PROBE_ENGINE": "lambda",
            "UPTIME_REGIONS": REGION,
            "UPTIME_STACK": STACK,
            "UPTIME_INGEST_URL": PUBLIC_INGEST,
            "AWS_ENDPOINT_URL_LAMBDA": f"http://127.0.0.1:{port}",
        }
        log = IngestLog()
        with contextlib.ExitStack() as stack, rig(say=say, settings=settings) as running:
            stack.callback(log.stop)
            log.start(running.installation.web)
            say("starting the emulator")
            with _functions(order, running, cloud, log, port) as emulator:
                return _Play(order, running, cloud, emulator, log, say).to_its_end()


def _functions(order: Order, running: Rig, cloud: Aws, log: IngestLog, port: int) -> Emulator:
    """The template's functions as this installation would deploy them."""
    installation = running.installation
    secrets = json.loads(installation.manage("manage.py", "region_parameters", REGION))
    environment = function_environment(
        secrets,
        ingest_url=log.address + INGEST_PATH,
        ca_file=running.addresses["ca"],
        objects=cloud.environment,
    )
    functions = functions_in(
        TEMPLATE,
        code=PROJECT,
        region=REGION,
        stack=STACK,
        parameters={"Bucket": BUCKET, "WorkerConcurrency": str(order.workers)},
        environment=environment,
    )
    return Emulator(
        functions,
        faults=Faults(
            duplicates=order.duplicates,
            kills=order.kills,
            throttles=order.throttles,
            seed=order.seed,
        ),
        sqs_endpoint=cloud.endpoint,
        log_folder=installation.folder / "lambda",
        port=port,
    )


class _Play:
    """From a loaded installation to its account."""

    def __init__(
        self,
        order: Order,
        running: Rig,
        cloud: Aws,
        emulator: Emulator,
        log: IngestLog,
        say: Say,
    ) -> None:
        self._order, self._rig, self._cloud = order, running, cloud
        self._emulator, self._log, self._say = emulator, log, say
        self._story = Story()

    def to_its_end(self) -> Story:
        order, say = self._order, self._say
        self._emulator.warm(f"{STACK}-worker", order.workers)
        say(f"loading {order.clients:,} clients with {order.checks} checks each")
        self._rig.load(clients=order.clients, checks=order.checks)
        say("waiting for the first full minute")
        first = self._rig.wait_for_full_minute()
        self._sleep_until(first)
        before = self._emulator.ledger()
        self._stop_ingest(first + OUTAGE_FROM_S)
        with self._rig.installation.connect() as connection:
            account = Account(connection)
            checks = account.checks()
            planned = {
                minute: planned_slots(checks, minute)
                for minute in range(first, first + MINUTES * MINUTE_S, MINUTE_S)
            }
            self._sleep_until(first + MINUTES * MINUTE_S)
            say("settling: what was spooled, what is sent again, what was missed")
            self._settle(connection, account, planned)
            self._read(connection, account, planned)
        self._story.ledger = since(before, self._emulator.ledger())
        return self._story

    def _stop_ingest(self, moment: float) -> None:
        """The web server's processes stop where they are: it takes connections and never answers."""
        self._sleep_until(moment)
        group = os.getpgid(self._rig.installation.roots()["web"].pid)
        self._say(f"the web server stops for {OUTAGE_S} s")
        began = time.monotonic()
        os.killpg(group, signal.SIGSTOP)
        try:
            self._sleep_until(moment + OUTAGE_S)
        finally:
            os.killpg(group, signal.SIGCONT)
        self._story.outage_s = time.monotonic() - began
        self._say("the web server goes on")

    def _settle(
        self, connection: Connection, account: Account, planned: Mapping[int, set[Key]]
    ) -> None:
        until = time.time() + SETTLE_S
        while time.time() < until:
            self._sleep_until(time.time() + 3)
            accounted = all(
                account.minute(minute, slots).unaccounted == 0 for minute, slots in planned.items()
            )
            # Read together, because letters go on coming: one of these minutes may grow old until now.
            self._story.dead_letters = self._letters(planned)
            self._story.runs = runs = [_run(connection, minute) for minute in planned]
            if (
                accounted
                and not any(run["open"] for run in runs)
                and not self._cloud.keys(SPOOL)
                and sum(run["dead_letters"] for run in runs) == self._story.dead_letters
            ):
                return

    def _read(
        self, connection: Connection, account: Account, planned: Mapping[int, set[Key]]
    ) -> None:
        story, log = self._story, self._log
        story.minutes = [account.minute(minute, slots) for minute, slots in planned.items()]
        story.acknowledged, story.lost = len(log.acknowledged), log.lost(connection)
        story.spooled_reports, spooled = self._cloud.spooled()
        story.spooled = len(spooled)
        story.lost_from_spool = lost_of(spooled, connection)
        story.left_in_spool = len(self._cloud.keys(SPOOL))
        story.moved_aside = len(self._cloud.keys(MOVED_ASIDE))

    def _letters(self, minutes: Container[int]) -> int:
        """Invocations of these minutes that came to nothing; an event that came twice is one of them."""
        return len(
            {
                letter["requestContext"]["requestId"]
                for letter in self._emulator.dead_letters(DEAD_LETTERS)
                if letter["requestPayload"]["minute"] in minutes
            }
        )

    def _sleep_until(self, moment: float) -> None:
        while (left := moment - time.time()) > 0:
            time.sleep(min(LOOK_S, left))
            self._rig.installation.check()


def since(
    before: Mapping[str, FunctionLedger], after: Mapping[str, FunctionLedger]
) -> dict[str, FunctionLedger]:
    """What was entered in between; peaks are those of all time."""
    return {
        name: replace(
            ledger,
            **{count: getattr(ledger, count) - getattr(before[name], count) for count in COUNTS},
        )
        for name, ledger in after.items()
    }


def _run(connection: Connection, minute: int) -> dict[str, int]:
    """The product's own counters of a minute; `open`: its runs that are not closed."""
    sums = ", ".join(f"coalesce(sum({name}), 0)" for name in RUN_COUNTERS)
    found = connection.execute(
        f"select {sums}, count(*) filter (where closed_at is null) from checks_minuterun "
        "where minute = to_timestamp(%s)",
        [minute],
    ).fetchone()
    assert found is not None
    return dict(zip((*RUN_COUNTERS, "open"), (int(str(each)) for each in found), strict=True))

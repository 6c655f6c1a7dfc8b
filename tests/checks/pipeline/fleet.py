"""A fleet for the tests of the pipeline: checks, batches of results, and what the database then holds."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from checks.models import Check, Region
from checks.pipeline.slots import marker, take_slots
from clients.models import Client
from fanout_lambdas.shared.contracts import (
    Outcome,
    Reason,
    Result,
    ResultBatch,
    WorkerFigures,
)
from fanout_lambdas.shared.contracts.parsed_batch import ParsedBatch
from fanout_lambdas.shared.slots import minute_of, phase
from tests.regions import local_region

MINUTE = int(datetime(2026, 11, 23, 10, 0, tzinfo=UTC).timestamp())


def at(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(epoch_s, UTC)


def client(slug: str = "acme", **fields: Any) -> Client:
    return Client.objects.get_or_create(slug=slug, defaults={"name": slug.title(), **fields})[0]


def check(owner: Client | None = None, region: Region | None = None, **fields: Any) -> Check:
    region = region or local_region()
    defaults = {
        "name": "Shop",
        "url": "http://shop.test/",
        "regions": [region.id],
        "state_since": at(MINUTE),
    }
    one = Check()
    for name, value in {"client": owner or client(), **defaults, **fields}.items():
        setattr(one, name, value)
    one.save(force_insert=True)
    return one


def slot_of(one: Check, minute: int = MINUTE) -> int:
    """The check's first slot in the minute."""
    return minute + (phase(one.pk, one.interval_s) - minute) % one.interval_s


def result(
    one: Check | int, slot: int | None = None, outcome: Outcome = Outcome.UP, **fields: Any
) -> Result:
    check_id = one if isinstance(one, int) else one.pk
    if slot is None:
        assert isinstance(one, Check)
        slot = slot_of(one)
    if outcome is Outcome.DOWN:
        fields = {"reason": Reason.STATUS, "message": "500 instead of 200-299"} | fields
    return Result(
        check_id=check_id,
        slot=slot,
        outcome=outcome,
        **({"total_us": 120_000, "http_status": 200} | fields),
    )


def stored(
    one: Check, slot: int, outcome: Outcome = Outcome.UP, *, total_us: int = 120_000
) -> None:
    """A row as ingest would have left it, without the ways there."""
    row = marker(
        slot=slot, check_id=one.pk, client_id=one.client_id, outcome=outcome, now=at(slot + 2)
    )
    take_slots([row._replace(total_us=total_us)], region_id=one.regions[0])


def batch(
    results: Iterable[Result],
    *,
    number: int = 0,
    attempt: int = 1,
    region: str = "local",
    started: int = MINUTE,
) -> ParsedBatch:
    found = tuple(results)
    return ParsedBatch(
        batch=ResultBatch(
            minute=minute_of(found[0].slot) if found else MINUTE,
            number=number,
            attempt=attempt,
            region=region,
            results=found,
            worker=WorkerFigures(started_ms=started * 1000, duration_ms=900, lag_p99_us=2_000),
        ),
        indexes=tuple(range(len(found))),
    )

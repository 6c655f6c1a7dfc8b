"""Hop 5: a batch of results becomes rows, exactly once, and is evaluated in the same transaction."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction

from checks.models import Region
from checks.models.result import OUTCOMES, REASONS
from checks.pipeline.blocked import log_blocked
from checks.pipeline.evaluate import evaluate
from checks.pipeline.fresh import FreshResult
from checks.pipeline.runs import RunCounts, count_results
from checks.pipeline.slots import Key, SlotRow, Taken, stored_ms, take_slots
from checks.state import is_refused
from fanout_lambdas.planning import ANSWER_WITHIN_S
from fanout_lambdas.shared.contracts import (
    EXTRA_BATCHES_FROM,
    Outcome,
    Result,
    ResultBatch,
)
from fanout_lambdas.shared.contracts.parsed_batch import ItemError, ParsedBatch
from fanout_lambdas.shared.slots import minute_of

ROLLED_AFTER = timedelta(minutes=5)
"""An hour is rolled up this long after its end; what comes later has it rolled again."""
_INT4_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport:
    """accepted: took a slot. late: those of them that came more than 60 s after it. duplicate: the slot was held.
    refused: broke a rule; each stands in `errors`."""

    accepted: int = 0
    duplicate: int = 0
    late: int = 0
    refused: int = 0
    errors: tuple[ItemError, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "accepted": self.accepted,
            "duplicate": self.duplicate,
            "late": self.late,
            "refused": self.refused,
            "errors": [error.to_json() for error in self.errors],
        }


class WrongRegion(Exception):
    """A batch of one region, signed with another's key."""

    def __init__(self, batch: str, key: str) -> None:
        super().__init__(f"The batch is of region {batch!r}, but the key belongs to {key!r}.")


def ingest_batch(parsed: ParsedBatch, *, region: Region, now: datetime) -> IngestReport:
    """Store what is new, count it, and evaluate it: one transaction, all or nothing."""
    batch = parsed.batch
    if batch.region != region.code:
        raise WrongRegion(batch.region, region.code)
    with transaction.atomic():
        owners = _owners({result.check_id for result in batch.results})
        sound, errors = _sift(parsed, owners, now)
        rows = [_row(result, owners[result.check_id], batch, now) for result in sound.values()]
        taken = take_slots(rows, region_id=region.id)
        fresh = [
            _fresh(sound[key], owners[key[0]], region, batch)
            for key in sorted([*taken.inserted, *taken.replaced])
        ]
        keep_evidence(fresh)
        late = sum(now.timestamp() - result.slot > ANSWER_WITHIN_S for result in fresh)
        report = IngestReport(
            accepted=len(fresh),
            duplicate=len(batch.results) - len(fresh) - len(errors),
            late=late,
            refused=len(errors) + len(parsed.errors) + len(batch.refusals),
            errors=tuple(sorted((*parsed.errors, *errors), key=lambda error: error.index)),
        )
        if _is_extra(batch):
            _close_extra_slots(sound, region, now)
        roll_again(fresh, now)
        evaluate(fresh, now=now)
        _report_batch(batch, region, report, now)
        # Last, because all batches of a minute meet at its run.
        count_results(_counts(fresh, taken, report, batch, now), region_id=region.id)
    log_blocked(fresh)
    return report


def _is_extra(batch: ResultBatch) -> bool:
    return batch.number >= EXTRA_BATCHES_FROM


def _owners(check_ids: Iterable[int]) -> dict[int, int]:
    """The client of each check that exists; what the wire says of clients does not count."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select id, client_id from checks_check where id = any(%s) and deleted_at is null",
            [list(check_ids)],
        )
        return dict(cursor.fetchall())


def _sift(
    parsed: ParsedBatch, owners: Mapping[int, int], now: datetime
) -> tuple[dict[Key, Result], list[ItemError]]:
    """One result a slot, real before void, the first before the second; the rest is refused by index."""
    sound: dict[Key, Result] = {}
    errors: list[ItemError] = []
    arrived = int(now.timestamp())
    results = parsed.batch.results
    indexes = parsed.indexes or range(len(results))
    for index, result in zip(indexes, results, strict=True):
        if result.check_id not in owners:
            message = f"There is no check {result.check_id}."
            errors.append(ItemError(index=index, field="check_id", rule="unknown", message=message))
        elif is_refused(result.slot, arrived=arrived):
            message = "The slot is more than 60 s ahead of our clock or more than 24 h behind it."
            errors.append(ItemError(index=index, field="slot", rule="window", message=message))
        else:
            key = result.check_id, result.slot
            held = sound.get(key)
            if held is None or (result.outcome.is_real and not held.outcome.is_real):
                sound[key] = result
    return sound, errors


def _row(result: Result, client_id: int, batch: ResultBatch, now: datetime) -> SlotRow:
    phases = result.phases
    return SlotRow(
        result.slot,
        result.check_id,
        client_id,
        result.total_us,
        phases.dns_us,
        phases.connect_us,
        phases.tls_us,
        phases.send_us,
        phases.wait_us,
        phases.receive_us,
        min(result.bytes, _INT4_MAX),
        result.lag_us // 1000,
        stored_ms(result.slot, now=now),
        OUTCOMES[result.outcome],
        REASONS[result.reason],
        result.http_status,
        _is_extra(batch),
    )


def _fresh(result: Result, client_id: int, region: Region, batch: ResultBatch) -> FreshResult:
    certificate = result.certificate
    return FreshResult(
        check_id=result.check_id,
        client_id=client_id,
        region_id=region.id,
        slot=result.slot,
        outcome=result.outcome,
        reason=result.reason,
        message=result.message,
        http_status=result.http_status,
        total_us=result.total_us,
        certificate_not_after=certificate.not_after if certificate else None,
        document={} if result.outcome is Outcome.UP else _document(result),
        resent_after_s=batch.worker.started_ms // 1000 - result.slot if batch.attempt > 1 else 0,
        extra=_is_extra(batch),
    )


def _document(result: Result) -> dict[str, Any]:
    shown = result.to_json()
    names = ("remote_address", "http_version", "hops", "certificate", "assertions", "evidence")
    return {name: shown[name] for name in names}


def keep_evidence(fresh: Sequence[FreshResult]) -> None:
    """What a result that is not plainly up had to show."""
    telling = [result for result in fresh if result.outcome is not Outcome.UP]
    if not telling:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            insert into evidence (at, check_id, region, client_id, message, document)
            select to_timestamp(slot), check_id, region, client_id, message, document
            from unnest(%s::bigint[], %s::int[], %s::smallint[], %s::bigint[], %s::text[], %s::jsonb[])
              as given(slot, check_id, region, client_id, message, document)
            on conflict (at, check_id, region) do update
            set message = excluded.message, document = excluded.document
            """,
            [
                [result.slot for result in telling],
                [result.check_id for result in telling],
                [result.region_id for result in telling],
                [result.client_id for result in telling],
                [result.message for result in telling],
                [json.dumps(result.document) for result in telling],
            ],
        )


def _close_extra_slots(keys: Iterable[Key], region: Region, now: datetime) -> None:
    pairs = list(keys)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            update checks_extraslot as extra set closed_at = %s
            from unnest(%s::bigint[], %s::bigint[]) as given(check_id, slot)
            where extra.subject_id = given.check_id and extra.slot = to_timestamp(given.slot)
              and extra.region_id = %s and extra.closed_at is null
            """,
            [now, [check for check, _ in pairs], [slot for _, slot in pairs], region.id],
        )


def roll_again(fresh: Iterable[FreshResult], now: datetime) -> None:
    """Hours that were rolled up without these results are due once more."""
    closed_before = int((now - ROLLED_AFTER).timestamp())
    closed_before -= closed_before % 3600
    hours = {result.slot - result.slot % 3600 for result in fresh if result.slot < closed_before}
    if hours:
        with connection.cursor() as cursor:
            cursor.execute(
                "delete from checks_rolledhour where hour = any(%s)",
                [[datetime.fromtimestamp(hour, UTC) for hour in sorted(hours)]],
            )


def _counts(
    fresh: Iterable[FreshResult],
    taken: Taken,
    report: IngestReport,
    batch: ResultBatch,
    now: datetime,
) -> dict[int, RunCounts]:
    """What changes in the run of each minute that the batch touched."""
    tallies: dict[int, Counter[str]] = {minute_of(batch.minute): Counter()}
    tallies[minute_of(batch.minute)]["duplicates"] = report.duplicate
    for result in fresh:
        tally = tallies.setdefault(minute_of(result.slot), Counter())
        marker = taken.replaced.get((result.check_id, result.slot))
        if result.extra:
            tally["rechecks"] += marker is None
            continue
        if not result.outcome.is_real:
            tally["void"] += 1
            continue
        late = now.timestamp() - result.slot > ANSWER_WITHIN_S
        tally["late" if late else "answered"] += 1
        if marker is not None:
            tally["replaced_late" if late else "replaced_answered"] += 1
            tally["replaced_void"] += marker is Outcome.VOID
    return {minute: RunCounts(**tally) for minute, tally in tallies.items()}


def _report_batch(batch: ResultBatch, region: Region, report: IngestReport, now: datetime) -> None:
    """The proof that this batch was not lost. A repeat adds what it brought."""
    worker = batch.worker
    with connection.cursor() as cursor:
        cursor.execute(
            """
            insert into checks_batchreport (minute, region_id, batch, attempt, received_at, results, accepted,
              duplicates, started_at, duration_ms, in_flight, lag_p50_ms, lag_p99_ms, cold_start)
            values (to_timestamp(%s), %s, %s, %s, %s, %s, %s, %s, to_timestamp(%s), %s, %s, %s, %s, %s)
            on conflict (minute, region_id, batch, attempt) do update
            set accepted = checks_batchreport.accepted + excluded.accepted,
                duplicates = checks_batchreport.duplicates + excluded.duplicates
            """,
            [
                minute_of(batch.minute),
                region.id,
                batch.number,
                min(batch.attempt, 32_767),
                now,
                len(batch.results),
                report.accepted,
                report.duplicate,
                worker.started_ms / 1000,
                worker.duration_ms,
                worker.in_flight,
                worker.lag_p50_us // 1000,
                worker.lag_p99_us // 1000,
                worker.cold_start,
            ],
        )

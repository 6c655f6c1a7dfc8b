"""A report as ingest reads it (hop 5): what is good in it, and what is wrong with the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fanout_lambdas.shared.contracts.batch import MAX_ATTEMPT, MAX_BATCH_NUMBER
from fanout_lambdas.shared.contracts.reading import Fields, decode, require
from fanout_lambdas.shared.contracts.report import ResultBatch, WorkerFigures
from fanout_lambdas.shared.contracts.result import Refusal, Result
from fanout_lambdas.shared.contracts.words import (
    MAX_DECODED_BYTES,
    MAX_REGION,
    MAX_RESULTS,
    VERSION,
    ContractError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemError:
    """What is wrong with one entry of `results`; the others stand."""

    index: int
    field: str
    rule: str
    message: str

    def to_json(self) -> dict[str, Any]:
        return {
            "index": self.index,
            "field": self.field,
            "rule": self.rule,
            "message": self.message,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedBatch:
    """`indexes`: where each of the batch's results stood in the document."""

    batch: ResultBatch
    errors: tuple[ItemError, ...] = ()
    indexes: tuple[int, ...] = ()


def parse_result_batch(data: bytes) -> ParsedBatch:
    """Read a decoded body. A bad envelope raises ContractError; bad items are listed by index."""
    require(
        len(data) <= MAX_DECODED_BYTES,
        "",
        "too_large",
        f"The document is larger than {MAX_DECODED_BYTES} bytes.",
    )
    source = Fields(decode(data))
    source.version(VERSION)
    results: list[Result] = []
    refusals: list[Refusal] = []
    errors: list[ItemError] = []
    indexes: list[int] = []
    for index, raw in enumerate(source.items("results", MAX_RESULTS)):
        try:
            if isinstance(raw, dict) and "error" in raw:
                refusals.append(Refusal.from_json(raw))
            else:
                results.append(Result.from_json(raw))
                indexes.append(index)
        except ContractError as error:
            errors.append(
                ItemError(index=index, field=error.field, rule=error.rule, message=error.message)
            )
    batch = ResultBatch(
        minute=source.time("minute"),
        number=source.whole("batch", 0, MAX_BATCH_NUMBER),
        attempt=source.whole("attempt", 1, MAX_ATTEMPT, 1),
        region=source.text("region", MAX_REGION, empty=False),
        worker=WorkerFigures.read(source.child("worker")),
        results=tuple(results),
        refusals=tuple(refusals),
    )
    return ParsedBatch(batch=batch, errors=tuple(errors), indexes=tuple(indexes))

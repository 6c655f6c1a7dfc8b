"""Dead letters: invocations that AWS Lambda accepted and then gave up, as its records tell of them.

The record of an asynchronous invocation's destination has version, timestamp, requestContext (requestId, functionArn,
condition, approximateInvokeCount) and the payload as it was sent: AWS Lambda Developer Guide, "Capturing records of
Lambda asynchronous invocations". Ours say which minute, region and batches are lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fanout_lambdas.invoke import DISPATCHER, TRIGGERER, WORKER
from fanout_lambdas.shared.contracts import ContractError, Fields, decode
from fanout_lambdas.shared.contracts.batch import MAX_BATCH_NUMBER
from fanout_lambdas.shared.contracts.words import MAX_REGION

MOST_BATCHES = 10_000
_FUNCTIONS = (DISPATCHER, TRIGGERER, WORKER)


class QueueAway(Exception):
    """The queue could not be read or written; the message says which and why. Later it may be there again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """`request_id` stays the same however often the letter comes; `receipt` is what deletes this copy."""

    request_id: str
    function: str
    condition: str  # "RetriesExhausted" or "EventAgeExceeded"
    invocations: int
    region: str
    minute: int
    batches: tuple[int, ...]
    receipt: str


class DeadLetters(Protocol):
    """One region's letters. Both raise QueueAway."""

    def receive(self, most: int = 100) -> list[DeadLetter]:
        """Letters that nobody has at this moment; what is not deleted soon comes again."""

    def delete(self, letters: Sequence[DeadLetter]) -> None: ...


def read_letter(body: str, receipt: str) -> DeadLetter:
    """One of AWS's records; raises ContractError."""
    record = Fields(decode(body.encode("utf-8", "replace")))
    context, payload = _child(record, "requestContext"), _child(record, "requestPayload")
    function = _function(context.text("functionArn", 400, empty=False))
    return DeadLetter(
        request_id=context.text("requestId", 100, empty=False),
        function=function,
        condition=context.text("condition", 100, empty=False),
        invocations=context.whole("approximateInvokeCount", 0, 1_000, 0),
        region=payload.text("region", MAX_REGION, empty=False),
        minute=payload.time("minute"),
        batches=tuple(_batches(function, payload)),
        receipt=receipt,
    )


def _child(source: Fields, name: str) -> Fields:
    child = source.child(name)
    if child is None:
        raise ContractError(name, "required", f"{name} is missing.")
    return child


def _function(arn: str) -> str:
    """arn:aws:lambda:<region>:<account>:function:<stack>-<function>, often with a version behind it."""
    parts = arn.split(":")
    function = parts[6].rpartition("-")[2] if len(parts) >= 7 else ""
    if function not in _FUNCTIONS:
        raise ContractError("functionArn", "form", f"{arn} is none of ours.")
    return function


def _batches(function: str, payload: Fields) -> list[int]:
    """Those of a worker or triggerer; a dispatcher's are planned by nobody else, so none can be named."""
    if function == WORKER:
        return [payload.whole("batch", 0, MAX_BATCH_NUMBER)]
    if function == TRIGGERER:
        rows: Sequence[Any] = payload.items("batches", MOST_BATCHES)
        return [
            Fields(row, "requestPayload.batches").whole("batch", 0, MAX_BATCH_NUMBER)
            for row in rows
        ]
    return []

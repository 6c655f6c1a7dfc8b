"""What becomes of events that are given up: the record that AWS sends to an on-failure destination.

Form: "Capturing records of Lambda asynchronous invocations" (invocation-async-retain-records).
"""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from bench.emulator.events import DeadEvent
from bench.emulator.spec import FunctionSpec


def record(spec: FunctionSpec, dead: DeadEvent, now: datetime) -> dict[str, Any]:
    """An event that never ran has no response."""
    made: dict[str, Any] = {
        "version": "1.0",
        "timestamp": now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "requestContext": {
            "requestId": dead.call.request_id,
            "functionArn": f"{spec.arn}:$LATEST",
            "condition": dead.condition,
            "approximateInvokeCount": dead.runs,
        },
        "requestPayload": json.loads(dead.call.payload),
    }
    if dead.outcome is not None:
        made["responseContext"] = {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": dead.outcome.error,
        }
        try:
            made["responsePayload"] = json.loads(dead.outcome.payload)
        except ValueError:
            made["responsePayload"] = dead.outcome.payload.decode(errors="replace")
    return made


class DeadLetters:
    """The records of one region by queue, kept here and, with an endpoint, sent to SQS as well."""

    def __init__(self, region: str, sqs_endpoint: str | None) -> None:
        self._region, self._endpoint = region, sqs_endpoint
        self._records: dict[str, list[dict[str, Any]]] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._send: Callable[[str, str], None] | None = None
        self.failure: str | None = None

    @property
    def pending(self) -> int:
        return len(self._sending)

    def records(self, queue: str) -> list[dict[str, Any]]:
        return self._records.get(queue, [])

    def bury(self, spec: FunctionSpec, dead: DeadEvent) -> None:
        """Without a queue the event is lost, as on AWS."""
        if spec.on_failure is None:
            return
        made = record(spec, dead, datetime.now(UTC))
        self._records.setdefault(spec.on_failure, []).append(made)
        if self._endpoint is not None:
            task = asyncio.create_task(self._deliver(spec.on_failure, json.dumps(made)))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _deliver(self, queue: str, body: str) -> None:
        if self._send is None:
            # Loaded by name: boto3 takes half of the emulator's start, and few need it.
            self._send = importlib.import_module("bench.emulator.sqs").sender(
                self._region, self._endpoint
            )
        try:
            await asyncio.to_thread(self._send, queue, body)
        except Exception as error:  # botocore's classes are made at run time
            self.failure = f"A dead letter did not reach queue {queue}: {error}"

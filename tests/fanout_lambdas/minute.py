"""A minute of a fleet, and what takes the place of time and of the engine in tests of its dispatch."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

from fanout_lambdas.invoke import Invoked, InvokeError
from fanout_lambdas.shared.contracts.snapshot import CheckPlan, Snapshot
from fanout_lambdas.shared.slots import phase

MINUTE = 1_795_409_160


class Invocations:
    """Collects what would be started; the first calls may fail as scripted."""

    def __init__(self, *failures: InvokeError) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.failures = list(failures)
        self._lock = threading.Lock()

    def invoke(self, function: str, payload: Mapping[str, Any]) -> Invoked:
        copy = json.loads(json.dumps(payload))
        with self._lock:
            if self.failures:
                raise self.failures.pop(0)
            self.calls.append((function, copy))
        return Invoked()


class Time:
    def __init__(self, now: float) -> None:
        self.now = now
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def wait(self, seconds: float) -> None:
        self.sleep(seconds)


def plan(count: int = 300, **request: Any) -> Snapshot:
    checks = tuple(
        CheckPlan(
            check_id=number,
            interval_s=60,
            phase_s=phase(number, 60),
            regions=("local",),
            request={"url": "http://127.0.0.1/", **request},
        )
        for number in range(1, count + 1)
    )
    return Snapshot(minute=MINUTE, taken_at=MINUTE - 30, checks=checks)


def event(**more: Any) -> dict[str, Any]:
    return {"minute": MINUTE, "region": "local", **more}

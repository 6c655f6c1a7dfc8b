"""Functions for the emulator's tests; AWS's runtime client loads them in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

STARTED = time.monotonic()
_ticks = 0
_held: list[bytes] = []


def echo(event: Any, context: Any) -> dict[str, Any]:
    print("seen", context.aws_request_id)
    return {"event": event, "pid": os.getpid(), "request_id": context.aws_request_id}


def fail(event: Any, context: Any) -> None:
    raise ValueError(f"no {event}")


def sleep(event: Any, context: Any) -> float:
    time.sleep(event["s"])
    return float(event["s"])


def die(event: Any, context: Any) -> None:
    os._exit(3)


def surroundings(event: Any, context: Any) -> dict[str, Any]:
    return {
        "variables": dict(os.environ),
        "arn": context.invoked_function_arn,
        "left_ms": context.get_remaining_time_in_millis(),
        "path": sys.path[:2],
    }


def tick(event: Any, context: Any) -> int:
    """How often a thread of this process has run since the first call."""
    if _ticks == 0:
        threading.Thread(target=_tick, daemon=True).start()
        time.sleep(0.1)
    return _ticks


def _tick() -> None:
    global _ticks
    while True:
        _ticks += 1
        time.sleep(0.01)


def hold(event: Any, context: Any) -> int:
    _held.append(bytearray(event["mb"] * 2**20))  # type: ignore[arg-type]
    time.sleep(event.get("s", 0.0))
    return event["mb"]  # type: ignore[no-any-return]


def long_answer(event: Any, context: Any) -> str:
    return "x" * int(event["bytes"])


def child(event: Any, context: Any) -> None:
    """Leave a child process behind, write down which, and end without a word."""
    Path(event["file"]).write_text(str(subprocess.Popen(["sleep", "60"]).pid))
    os._exit(3)


def burn(event: Any, context: Any) -> float:
    """The share of a core that this process gets in `s` seconds."""
    began, used = time.monotonic(), time.process_time()
    while time.monotonic() - began < event["s"]:
        pass
    return (time.process_time() - used) / (time.monotonic() - began)

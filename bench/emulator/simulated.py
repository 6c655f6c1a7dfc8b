"""An environment without a process: a run takes its time and no CPU."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from bench.emulator.run import UNHANDLED, Call, Outcome, failure
from bench.emulator.spec import FunctionSpec


class SimulatedEnvironment:
    """Beside `Environment` in the same pool, under the same limits. It has no INIT and uses no memory."""

    pid = None
    failed_init = None

    def __init__(
        self,
        spec: FunctionSpec,
        *,
        name: str,
        ready: Callable[[SimulatedEnvironment], None],
        gone: Callable[[SimulatedEnvironment], None],
    ) -> None:
        assert spec.simulated_s is not None
        self.name = name
        self.idle_since = 0.0
        self.fresh = True
        self._spec, self._seconds = spec, spec.simulated_s
        self._ready, self._gone = ready, gone
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle = self._loop.call_soon(ready, self)
        self._ended = False

    def run(
        self, call: Call, end: Callable[[Outcome], None], *, kill_after_s: float | None = None
    ) -> None:
        self.fresh, begun = False, time.time()
        seconds, payload, error, timed_out = self._seconds, b"null", None, False
        if kill_after_s is not None:
            seconds, error = min(seconds, kill_after_s), UNHANDLED
            what = "Runtime exited with error: signal: killed"
            payload = failure("Runtime.ExitError", what, call)
        elif seconds > self._spec.timeout_s:
            seconds, error, timed_out = self._spec.timeout_s, UNHANDLED, True
            what = f"Task timed out after {seconds:.2f} seconds"
            payload = failure("Sandbox.Timedout", what, call)

        def ended() -> None:
            end(
                Outcome(
                    payload=payload, error=error, timed_out=timed_out, begun=begun, run_s=seconds
                )
            )
            if error is not None:
                self.stop()
            elif not self._ended:
                self.idle_since = time.monotonic()
                self._ready(self)

        self._timer = self._loop.call_later(seconds, ended)

    def stop(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._timer.cancel()
        self._gone(self)

    def check_memory(self) -> None:
        return

"""The prober behind "test now": the probe engine on a thread of its own, inside the process that was asked."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import TimeoutError as TooLate
from typing import TYPE_CHECKING

from django.conf import settings

from fanout_lambdas.shared.contracts import Outcome, Probe, Reason, Result
from fanout_lambdas.shared.netguard import AllowList, Guard

if TYPE_CHECKING:
    from fanout_lambdas.probe.run import ProbeEngine

IN_FLIGHT = 10
GRACE_S = 5


class ThreadProber:
    """Starts its loop with the first probe, so that processes that never test carry no thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: tuple[int, asyncio.AbstractEventLoop, ProbeEngine] | None = None

    def probe(self, probe: Probe) -> Result:
        loop, engine = self._start()
        waiting = asyncio.run_coroutine_threadsafe(engine.probe(probe), loop)
        try:
            return waiting.result(timeout=2 * probe.timeout_ms / 1000 + GRACE_S)
        except TooLate:  # every place in flight is taken by slow targets
            waiting.cancel()
            return Result(
                check_id=probe.check_id,
                slot=probe.slot,
                outcome=Outcome.VOID,
                reason=Reason.INTERNAL,
                message="Too many tests are running. Try again in a moment.",
            )

    def _start(self) -> tuple[asyncio.AbstractEventLoop, ProbeEngine]:
        # Imported by the first test: the engine and its HTTP client cost every start half a second.
        from fanout_lambdas.probe.run import ProbeEngine

        with self._lock:
            # A forked child inherits the object, but not the thread.
            if self._running is None or self._running[0] != os.getpid():
                loop = asyncio.new_event_loop()
                guard = Guard(AllowList.parse(",".join(settings.ALLOW_NETWORKS)))
                engine = ProbeEngine(
                    guard=guard,
                    user_agent=settings.USER_AGENT,
                    in_flight=IN_FLIGHT,
                    ca_file=settings.PROBE_CA_FILE or None,
                    name_servers=settings.PROBE_NAME_SERVERS,
                )
                threading.Thread(target=loop.run_forever, name="test-now", daemon=True).start()
                self._running = (os.getpid(), loop, engine)
            return self._running[1:]

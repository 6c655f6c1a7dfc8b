"""Starting functions (hops 1 and 2): from several threads, each at its time and with patience, and what came of it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from fanout_lambdas.invoke import InvokeError, Invoker
from fanout_lambdas.shared.contracts import Batch

log = logging.getLogger(__name__)

LEAD_S = 2.0  # a paced batch leaves this much before its first slot, and its worker waits the rest
TRIES = 3
RETRY_PAUSE_S = 0.2
REPORT_S = (
    2.0  # before a function's timeout: its time to report, instead of being killed in silence
)


class LambdaContext(Protocol):
    """What we use of the context that AWS hands to a function."""

    def get_remaining_time_in_millis(self) -> int: ...


def leaves_at(batch: Batch) -> float:
    """When a batch is sent: ahead where its worker may wait, on time where waiting is billed."""
    return batch.not_before - (LEAD_S if batch.paced else 0.0)


class Starts:
    """The invocations of one function run. Whoever hands them out waits in `turn`; the threads do the calls.

    `until`: the time, on `clock`, at which it is all over: nothing is started from then on, and what is still under way
    counts as failed. A function on Lambda sets it a little before its own end, so that it can still report.
    """

    def __init__(
        self,
        invoker: Invoker,
        *,
        threads: int = 1,
        until: float | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._invoker = invoker
        self._until = until
        self._clock = clock
        self._sleep = sleep
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="invoke")
        self._free = threading.Semaphore(threads)
        self._lock = threading.Lock()
        self._unconfirmed: set[int] = set()
        self.retried = 0
        self.throttled = 0

    def turn(self, at: float) -> bool:
        """Waits until a thread is free and `at` has come; False when that is too late. So no more is prepared than the
        threads can send, and one thread sends in order."""
        if self._until is not None and at >= self._until:
            return False
        if not self._free.acquire(timeout=self._left()):
            return False
        self._free.release()  # nobody but `start`, in this same thread, takes it
        wait = at - self._clock()
        if wait > 0:
            self._sleep(wait)
        return not self._over()

    def start(self, function: str, payload: Mapping[str, Any], numbers: Sequence[int]) -> None:
        """Returns at once; `numbers` are the batches that the payload carries."""
        with self._lock:
            self._unconfirmed.update(numbers)
        self._free.acquire()
        self._pool.submit(self._run, function, payload, numbers)

    def finish(self) -> set[int]:
        """Waits for the threads; the numbers of the batches that nobody accepted."""
        in_time = all(self._free.acquire(timeout=self._left()) for _ in range(self._threads))
        self._pool.shutdown(wait=in_time, cancel_futures=True)
        with self._lock:
            return set(self._unconfirmed)

    def _run(self, function: str, payload: Mapping[str, Any], numbers: Sequence[int]) -> None:
        try:
            if self._accepted(function, payload):
                with self._lock:
                    self._unconfirmed.difference_update(numbers)
        except Exception:
            log.exception("%s could not be started", function)
        finally:
            self._free.release()

    def _accepted(self, function: str, payload: Mapping[str, Any]) -> bool:
        for number in range(1, TRIES + 1):
            try:
                done = self._invoker.invoke(function, payload)
            except InvokeError as error:
                last = error.permanent or number == TRIES or self._over()
                self._count(error.retried + (not last), error.throttled)
                if last:
                    log.error("%s", error)
                    return False
                self._sleep(RETRY_PAUSE_S * number)
            else:
                self._count(done.retried, done.throttled)
                return True
        return False

    def _count(self, retried: int, throttled: int) -> None:
        with self._lock:
            self.retried += retried
            self.throttled += throttled

    def _left(self) -> float | None:
        """Seconds until it is all over; None when nothing ends it."""
        return None if self._until is None else max(0.0, self._until - self._clock())

    def _over(self) -> bool:
        return self._until is not None and self._clock() >= self._until

"""Drives probes: coroutines that wait for sockets on one epoll, which itself is one descriptor in
asyncio's loop. A wait so costs no future, no task and no selector call of its own."""

from __future__ import annotations

import asyncio
import select
import time
import types
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")

# Edge-triggered and both ways: a socket is registered once, whatever it waits for later. Hence the rule of
# all who wait: first try, and only after "would block" wait; a wake-up means "try again", nothing more.
_EVENTS = select.EPOLLIN | select.EPOLLOUT | select.EPOLLET
_MOST_EVENTS = 64  # between two looks at the timers, so that deadlines stay sharp on a busy loop
_SHARE_S = 0.005  # of the CPU before a run lets others go on
_EVENT: Any = object()


class _Expired(BaseException):
    """The deadline, thrown into a run. No handler of errors inside it takes this for its own."""


class Poller:
    """One per process and event loop; binds itself to the loop of its first run."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._runs: dict[int, _Run] = {}
        self._deadlines: dict[float, _Deadlines] = {}
        self._began = 0.0  # when the current run took up again
        self.current: _Run | None = None

    async def run(self, coroutine: Coroutine[Any, Any, T], timeout_s: float) -> T:
        """The coroutine's result; raises what it raises, and TimeoutError at its deadline.

        Inside, `ready()`, asyncio's futures and tasks and `asyncio.sleep` may be awaited. There is
        no current task, so asyncio.timeout has no place there: this deadline is the only one.
        """
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
            loop.add_reader(self._epoll.fileno(), self._poll)
        run = _Run(self, coroutine, loop)
        deadlines = self._deadlines.get(timeout_s)
        if deadlines is None:
            deadlines = _Deadlines(loop, timeout_s, partial(self._deadlines.pop, timeout_s))
            self._deadlines[timeout_s] = deadlines
        deadlines.add(run)
        run.step()
        try:
            result: T = await run.outcome
            return result
        finally:
            deadlines.remove(run)
            run.end()

    def watch(self, number: int) -> None:
        """Events of this descriptor wake the run that is under way now."""
        assert self.current is not None
        self._epoll.register(number, _EVENTS)
        self._runs[number] = self.current

    def wake_at(self, when: float) -> asyncio.TimerHandle:
        """Wake the run that is under way now at this loop time, if it waits then."""
        assert self.current is not None
        assert self._loop is not None
        return self._loop.call_at(when, self.current.wake)

    def forget(self, number: int) -> None:
        """Call before the descriptor is closed; the kernel then takes it off the epoll itself."""
        self._runs.pop(number, None)

    async def share(self) -> None:
        """To be awaited now and then by a run that finds its data ready again and again: others go
        on and its own deadline is looked at."""
        if time.monotonic() - self._began > _SHARE_S:
            await asyncio.sleep(0)

    def close(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def begin(self, run: _Run) -> None:
        self.current, self._began = run, time.monotonic()

    def _poll(self) -> None:
        runs = self._runs
        for number, _ in self._epoll.poll(0, _MOST_EVENTS):
            run = runs.get(number)
            if run is not None:
                run.wake()


class _Run:
    """One coroutine under way."""

    __slots__ = ("_awaited", "_coroutine", "_listening", "_loop", "_poller", "_soon", "outcome")

    def __init__(
        self, poller: Poller, coroutine: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop
    ) -> None:
        self.outcome: asyncio.Future[Any] = loop.create_future()
        self._poller = poller
        self._coroutine = coroutine
        self._loop = loop
        self._listening = False
        self._awaited: asyncio.Future[Any] | None = None
        self._soon: asyncio.Handle | None = None

    def wake(self) -> None:
        """Something happened on one of its sockets, or a time it asked for has come."""
        if self._listening:
            self.step()

    def expire(self) -> None:
        """Its deadline has come."""
        self._stop_waiting()
        self.step(expired=True)

    def end(self) -> None:
        """Nobody waits for its outcome any more."""
        self._stop_waiting()
        self._listening = False
        self._coroutine.close()
        # An error knows the frames it came through, and these know this run: without the cycle all that a
        # failed probe holds is freed at once.
        del self.outcome

    def step(self, *, expired: bool = False) -> None:
        if self.outcome.done():  # its caller was cancelled
            return
        self._listening = False
        self._awaited = self._soon = None
        self._poller.begin(self)
        try:
            waits_for = self._coroutine.throw(_Expired) if expired else self._coroutine.send(None)
        except StopIteration as stop:
            self.outcome.set_result(stop.value)
        except _Expired:
            self.outcome.set_exception(TimeoutError())
        except asyncio.CancelledError:
            self.outcome.cancel()
        except Exception as failure:
            self.outcome.set_exception(failure)
        else:
            if expired:  # it wants to wait after its deadline
                self.outcome.set_exception(TimeoutError())
            elif waits_for is _EVENT:
                self._listening = True
            elif waits_for is None:  # asyncio.sleep(0)
                self._soon = self._loop.call_soon(self.step)
            else:
                waits_for._asyncio_future_blocking = False
                waits_for.add_done_callback(self._resume)
                self._awaited = waits_for
        finally:
            self._poller.current = None

    def _stop_waiting(self) -> None:
        if self._awaited is not None:
            self._awaited.cancel()
            self._awaited = None
        if self._soon is not None:
            self._soon.cancel()

    def _resume(self, awaited: asyncio.Future[Any]) -> None:
        if awaited is self._awaited:
            self.step()


class _Deadlines:
    """The runs of one timeout: they come to their deadlines in the order they began, so one timer
    serves all of them. Nearly all end long before, and leave it alone."""

    __slots__ = ("_at", "_loop", "_over", "_timeout_s")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, timeout_s: float, over: Callable[[], object]
    ) -> None:
        """`over` is called when the last run has gone."""
        self._loop = loop
        self._timeout_s = timeout_s
        self._over = over
        self._at: dict[_Run, float] = {}
        loop.call_later(timeout_s, self._look)

    def add(self, run: _Run) -> None:
        self._at[run] = self._loop.time() + self._timeout_s

    def remove(self, run: _Run) -> None:
        self._at.pop(run, None)

    def _look(self) -> None:
        now = self._loop.time()
        for run in [run for run, at in self._at.items() if at <= now]:
            del self._at[run]
            run.expire()
        if self._at:
            self._loop.call_at(next(iter(self._at.values())), self._look)
        else:
            self._over()


@types.coroutine
def ready() -> Generator[Any, None, None]:
    """Wait for the next event on the run's sockets. It may be one that is already over."""
    yield _EVENT

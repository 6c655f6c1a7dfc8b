"""The probe worker's one event loop: all batches of a process share it, its engine and its in-flight limit (hop 3)."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from functools import partial
from typing import Any

from fanout_lambdas.config import WorkerConfig
from fanout_lambdas.objectstore import open_store
from fanout_lambdas.probe.run import ProbeEngine
from fanout_lambdas.report import Reporter
from fanout_lambdas.sealing import Sealer
from fanout_lambdas.shared.contracts import ContractError, ResultBatch
from fanout_lambdas.shared.netguard import Guard
from fanout_lambdas.worker import BatchRefused, Begun, run_worker

logger = logging.getLogger(__name__)

MOST_BATCHES = 128
"""Under way at once: each waits for its slots most of its life."""
CONFIG_GOOD_FOR_S = 30.0
"""A new key is used, and a revoked one no longer, after this time at most."""
DRAIN_S = 35.0
"""A batch that has begun is over by then: the longest timeout and its report."""
STOP_S = 2.0
"""For a connection to close, and then for the thread to end."""


class ShuttingDown(RuntimeError):
    """The process ends; the batch is found by the watch and sent to another."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A region as this process serves it."""

    config: WorkerConfig
    reporter: Reporter
    sealer: Sealer | None


class ProbeLoop:
    """Takes batches from any thread and runs them on its own. Threads start with the first batch, after any fork."""

    def __init__(
        self,
        load_config: Callable[[str], WorkerConfig],
        *,
        most_batches: int = MOST_BATCHES,
        ca_file: str | None = None,
    ) -> None:
        self._load_config = load_config
        self._ca_file = ca_file
        self._most = most_batches
        self._room = threading.Semaphore(most_batches)
        self._lock = threading.Lock()
        self._owner = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._engine: ProbeEngine | None = None
        self._places: dict[str, tuple[float, _Place]] = {}
        self._under_way: set[Future[ResultBatch]] = set()
        self._batches = 0
        self._begun = Begun()
        self._closing = threading.Event()

    def submit(self, event: Mapping[str, Any]) -> Future[ResultBatch]:
        """Begin a batch and return at once; waits only while too many are under way. ShuttingDown after `drain`."""
        place = self._place(str(event.get("region", "")))
        loop, engine = self._start(place.config)
        while not self._room.acquire(timeout=1.0):
            if self._closing.is_set():
                raise ShuttingDown("no room for another batch before the end")
        with self._lock:
            if self._closing.is_set():
                self._room.release()
                raise ShuttingDown("the batch came after the end")
            self._batches += 1
            future = asyncio.run_coroutine_threadsafe(
                run_worker(
                    event,
                    engine=engine,
                    reporter=place.reporter,
                    sealer=place.sealer,
                    region=place.config.region,
                    begun=self._begun,
                    cold_start=self._batches == 1,
                ),
                loop,
            )
            self._under_way.add(future)
        future.add_done_callback(self._done)
        return future

    def warm_up(self, regions: Iterable[str]) -> None:
        """Load keys and certificates before the first batch needs them."""
        for region in regions:
            self._place(region)

    def drain(self, timeout_s: float = DRAIN_S) -> int:
        """The end: take no more batches and wait until those under way have reported; how many had not when the
        time was over."""
        with self._lock:
            self._closing.set()
            waiting = list(self._under_way)
        if waiting:
            logger.info("%s batches are under way and will report first", len(waiting))
        left = wait_for(waiting, timeout=timeout_s).not_done
        if left:
            logger.error("%s batches were cut short; the watch books their slots", len(left))
        self._stop()
        return len(left)

    def _stop(self) -> None:
        """Close the connections to ingest, end the loop and see its thread end."""
        with self._lock:
            loop, engine, thread, self._loop = self._loop, self._engine, self._thread, None
            if loop is None or engine is None or thread is None or self._owner != os.getpid():
                return
            for _, place in self._places.values():
                closing = asyncio.run_coroutine_threadsafe(place.reporter.close(), loop)
                wait_for([closing], timeout=STOP_S)
            self._places.clear()
            engine.close()
            loop.call_soon_threadsafe(loop.stop)
            thread.join(timeout=STOP_S)

    def _done(self, future: Future[ResultBatch]) -> None:
        self._room.release()
        self._under_way.discard(future)
        if future.cancelled():
            return
        error = future.exception()
        if isinstance(error, (BatchRefused, ContractError)):
            logger.warning("batch refused: %s", error)
        elif error is not None:
            logger.error("a batch failed: %s", error, exc_info=error)

    def _place(self, region: str) -> _Place:
        held = self._places.get(region) if self._owner == os.getpid() else None
        now = time.monotonic()
        if held is not None and now < held[0]:
            return held[1]
        try:
            config = self._load_config(region)
        except Exception as error:
            if held is None:
                raise
            # Probing goes on with what is known; reports wait for the database by themselves.
            logger.warning("the keys of %s cannot be read now: %s", region, error)
            config = held[1].config
        place = held[1] if held is not None and held[1].config == config else _place(config)
        self._start(config)
        self._places[region] = now + CONFIG_GOOD_FOR_S, place
        return place

    def _start(self, config: WorkerConfig) -> tuple[asyncio.AbstractEventLoop, ProbeEngine]:
        with self._lock:
            if self._closing.is_set():
                raise ShuttingDown("the batch came after the end")
            if self._owner != os.getpid() or self._loop is None or self._engine is None:
                # A forked child inherits the object, but neither thread nor loop.
                self._room = threading.Semaphore(self._most)
                self._places, self._under_way = {}, set()
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_run, args=(self._loop,), name="probe-loop", daemon=True
                )
                self._thread.start()
                self._engine = ProbeEngine(
                    guard=Guard(config.allow),
                    user_agent=config.user_agent,
                    in_flight=config.in_flight,
                    ca_file=self._ca_file or config.ca_file,
                    name_servers=config.name_servers,
                )
                self._owner = os.getpid()
            return self._loop, self._engine


def _run(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()


def _place(config: WorkerConfig) -> _Place:
    return _Place(
        config=config,
        reporter=Reporter(
            ingest_url=config.ingest_url,
            key_id=config.key_id,
            secret=config.secret,
            store=partial(open_store, config.object_store_url),
        ),
        sealer=Sealer(config.sealing_keys) if config.sealing_keys else None,
    )

"""Hop 9: due deliveries are claimed, sent outside the transaction by many threads, and booked as they end.

Only the calling thread touches the database. At least once: a sender that dies leaves a lease that ends.
"""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Final

from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

from alerts import retry
from alerts.claims import LEASE, claim, renew
from alerts.records import Ended, record
from alerts.sending import Claim, Clock, Tried, send_once
from alerts.transports.base import Transport
from alerts.transports.registry import TRANSPORTS

SENDERS: Final = 128
"""Threads, each waiting for one answer; made only when there is that much to wait for."""
CLAIM_EVERY_S: Final = 0.05
LOOK_EVERY_S: Final = 0.25
RENEW_EVERY_S: Final = LEASE.total_seconds() / 3
RECORD_AGAIN_S: Final = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryReport:
    """What one call did."""

    sent: int = 0
    again: int = 0
    dead: int = 0
    lost: int = 0
    """Attempts found whose sender had vanished."""
    unrecorded: int = 0
    """Attempts whose end the database did not take; their leases end and they are sent again."""

    @property
    def idle(self) -> bool:
        return not (self.sent or self.again or self.dead or self.lost or self.unrecorded)


def deliver_due(
    *,
    clock: Clock = timezone.now,
    jitter: Callable[[], float] = random.random,
    limit: int = 100_000,
    claim_for_s: float = 60.0,
    senders: int = SENDERS,
    transports: Mapping[str, Transport] = TRANSPORTS,
) -> DeliveryReport:
    """Send what is due, up to `limit` attempts; new ones are claimed for `claim_for_s` seconds, then it drains.

    Returns when nothing is due and nothing in flight. Safe to call at the same time elsewhere.
    """
    run = _Run(clock=clock, jitter=jitter, senders=senders, transports=transports)
    stop_at = time.monotonic() + claim_for_s
    with ThreadPoolExecutor(max_workers=senders, thread_name_prefix="deliver") as pool:
        while True:
            asked = time.monotonic()
            took = 0
            if asked < stop_at and run.taken < limit and run.failure is None:
                took = run.claim(pool, limit=limit)
            if not run.busy:
                break
            # While answers come in fast, they are booked together before the next claim.
            run.collect(LOOK_EVERY_S if not took else CLAIM_EVERY_S)
            if (spare := asked + CLAIM_EVERY_S - time.monotonic()) > 0 and run.in_flight:
                run.collect(spare)
            run.keep_leases()
    if run.failure is not None:
        raise run.failure
    return run.report()


@dataclass(slots=True, kw_only=True)
class _Run:
    """The state of one call."""

    clock: Clock
    jitter: Callable[[], float]
    senders: int
    transports: Mapping[str, Transport]
    in_flight: dict[Future[Tried], Claim] = field(default_factory=dict)
    unbooked: list[Ended] = field(default_factory=list)
    taken: int = 0
    lost: int = 0
    unrecorded: int = 0
    ends: Counter[retry.Then] = field(default_factory=Counter)
    renewed: float = field(default_factory=time.monotonic)
    failure: BaseException | None = None

    @property
    def busy(self) -> bool:
        return bool(self.in_flight or self.unbooked)

    def claim(self, pool: ThreadPoolExecutor, *, limit: int) -> int:
        free = min(self.senders - len(self.in_flight), limit - self.taken)
        try:
            found = claim(now=self.clock(), free=free, senders=self.senders)
        except (DatabaseError, InterfaceError) as error:
            self.failure = error  # what is in flight still ends and is booked, as far as that goes
            _reconnect()
            return 0
        for one in found.taken:
            future = pool.submit(send_once, one, clock=self.clock, transports=self.transports)
            self.in_flight[future] = one
        self.taken += len(found.taken)
        self.lost += found.lost
        self.ends[retry.Then.DEAD] += found.dead
        return len(found.taken)

    def collect(self, timeout_s: float) -> None:
        """Wait for answers and book them."""
        done, _ = wait(self.in_flight, timeout=timeout_s, return_when=FIRST_COMPLETED)
        for future in done:
            self.unbooked.append((self.in_flight.pop(future), future.result()))
        if self.unbooked:
            self._book()

    def keep_leases(self) -> None:
        if time.monotonic() - self.renewed < RENEW_EVERY_S or not self.in_flight:
            return
        self.renewed = time.monotonic()
        try:
            renew(self.in_flight.values(), now=self.clock())
        except (DatabaseError, InterfaceError):
            log.exception("The leases of %d deliveries were not renewed", len(self.in_flight))
            _reconnect()

    def _book(self) -> None:
        waiting, self.unbooked = self.unbooked, []
        try:
            self._record(waiting)
        except (DatabaseError, InterfaceError):
            self._book_singly(waiting)

    def _book_singly(self, waiting: Sequence[Ended]) -> None:
        """One that the database refuses must not hold up the others; when it is away, all wait."""
        for one in waiting:
            try:
                self._record([one])
            except (DatabaseError, InterfaceError) as error:
                # Until the lease ends, booking late is better than sending a second copy.
                claimed, tried = one
                if self.clock() - tried.started_at > LEASE:
                    log.error("Delivery %d: attempt not recorded: %s", claimed.delivery_id, error)
                    self.unrecorded += 1
                    self.failure = self.failure or error
                else:
                    self.unbooked.append(one)
                _reconnect()
        if self.unbooked:
            time.sleep(RECORD_AGAIN_S)

    def _record(self, ended: Sequence[Ended]) -> None:
        self.ends.update(record(ended, now=self.clock(), jitter=self.jitter))

    def report(self) -> DeliveryReport:
        return DeliveryReport(
            sent=self.ends[retry.Then.SENT],
            again=self.ends[retry.Then.AGAIN],
            dead=self.ends[retry.Then.DEAD],
            lost=self.lost,
            unrecorded=self.unrecorded,
        )


def _reconnect() -> None:
    """A broken connection is not used again; the next query opens a new one."""
    if not connection.in_atomic_block:
        connection.close()

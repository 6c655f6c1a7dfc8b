"""Where a probe's time goes: a stopwatch with one running phase, on a monotonic clock."""

from __future__ import annotations

from time import perf_counter_ns

from fanout_lambdas.shared.contracts import Phases

DNS, CONNECT, TLS, SEND, WAIT, RECEIVE = range(6)

DOING = {
    DNS: "resolving the name",
    CONNECT: "connecting",
    TLS: "in the TLS handshake",
    SEND: "sending the request",
    WAIT: "waiting for the answer's first byte",
    RECEIVE: "receiving the answer",
}


class Stopwatch:
    """Redirect hops share one stopwatch: each phase is the sum over all hops."""

    __slots__ = ("_began", "_ended", "_since", "_spent", "phase")

    def __init__(self) -> None:
        self._began = self._since = perf_counter_ns()
        self._spent: list[int | None] = [None] * 6
        self._ended: int | None = None
        self.phase: int | None = None

    def enter(self, phase: int | None) -> None:
        """End the running phase and begin the next; None only ends."""
        if self._ended is not None:
            return
        now = perf_counter_ns()
        running = self.phase
        if running is not None:
            self._spent[running] = (self._spent[running] or 0) + now - self._since
        self.phase = phase
        self._since = now

    def stop(self) -> None:
        """The probe is over; what its process does afterwards is not the target's time. The phase
        in which it ended stays known."""
        phase = self.phase
        self.enter(None)
        self.phase, self._ended = phase, self._since

    def total_us(self) -> int:
        return ((self._ended or perf_counter_ns()) - self._began) // 1_000

    def phases(self) -> Phases:
        dns, connect, tls, send, wait, receive = (
            None if ns is None else ns // 1_000 for ns in self._spent
        )
        return Phases(
            dns_us=dns,
            connect_us=connect,
            tls_us=tls,
            send_us=send,
            wait_us=wait,
            receive_us=receive,
        )

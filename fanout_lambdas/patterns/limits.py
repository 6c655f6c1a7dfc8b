"""What all patterns of one answer may cost together, so that no tenant's pattern holds up the others."""

from __future__ import annotations

from time import thread_time_ns

MAX_REGEX_NS = 60_000_000  # with the search under way when it runs out at most about 100 ms
MAX_PATH_WORK = 1_000_000  # about 100 ms


class OutOfTime(Exception):
    """The regular expressions took more CPU time than they may."""


class TooMuchWork(Exception):
    """The JSON paths look at more values than they may."""


class Allowance:
    """CPU time for searches, in nanoseconds of this thread, and work for paths, in values looked at:
    a count, so that the same document always has the same verdict."""

    __slots__ = ("_ns", "_work")

    def __init__(self, ns: int = MAX_REGEX_NS, work: int = MAX_PATH_WORK) -> None:
        self._ns = ns
        self._work = work

    def begin(self) -> int:
        """The moment at which a search begins, for `end`."""
        if self._ns <= 0:
            raise OutOfTime
        return thread_time_ns()

    def end(self, began: int) -> None:
        self._ns -= thread_time_ns() - began

    def take(self, work: int) -> None:
        self._work -= work
        if self._work < 0:
            raise TooMuchWork

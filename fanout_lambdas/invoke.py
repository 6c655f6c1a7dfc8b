"""How one fan-out function starts another (hops 1, 2): a small protocol; each engine has its form of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

DISPATCHER, TRIGGERER, WORKER = "dispatcher", "triggerer", "worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoked:
    """An accepted invocation: how often it was tried again before, and how often it was refused with 429."""

    retried: int = 0
    throttled: int = 0


class InvokeError(Exception):
    """An invocation that was not accepted. `permanent`: the same call can never succeed.

    `retried` counts the tries after the first, `throttled` the refusals with 429.
    """

    def __init__(
        self, message: str, *, permanent: bool, retried: int = 0, throttled: int = 0
    ) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retried = retried
        self.throttled = throttled


class Invoker(Protocol):
    """Returns once the invocation is accepted, not once it is done; raises InvokeError.

    The payload's `region` says where. Several threads may call it at once.
    """

    def invoke(self, function: str, payload: Mapping[str, Any]) -> Invoked: ...

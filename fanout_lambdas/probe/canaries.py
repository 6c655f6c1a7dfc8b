"""Whether the prober itself is fit: a few targets of the operator's own, asked beside each batch."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from fanout_lambdas.shared.contracts import ContractError, Probe, Reason, Result

log = logging.getLogger(__name__)

GOOD_FOR_S = 10.0  # batches that follow each other closely share a good verdict


class Fitness(NamedTuple):
    """How many canaries were asked and how many failed."""

    asked: int = 0
    failed: int = 0

    @property
    def unfit(self) -> bool:
        """Design rule 14: a batch is void when most of its canaries fail."""
        return self.failed * 2 > self.asked


class Canaries:
    """One per process. `ask` probes beside the in-flight limit and the pace: a full queue must not
    make the prober look unfit."""

    def __init__(self, ask: Callable[[Probe], Awaitable[Result]]) -> None:
        self._ask = ask
        self._known: tuple[float, Sequence[Mapping[str, Any]], Fitness] | None = None

    async def judge(
        self, raw: Sequence[Mapping[str, Any]], *, slot: int, afresh: bool = False
    ) -> Fitness:
        """The verdict of these canaries; `afresh`: not one that an earlier batch got."""
        loop = asyncio.get_running_loop()
        if not raw:
            return Fitness()
        if not afresh and self._known is not None:
            at, known, fitness = self._known
            if known == raw and loop.time() - at < GOOD_FOR_S:
                return fitness
        self._known = None
        began = loop.time()
        answers = _allowed(await asyncio.gather(*(self._ask(one) for one in _read(raw, slot))))
        failed = sum(not answer.outcome.is_good for answer in answers)
        fitness = Fitness(asked=len(answers), failed=failed)
        if (
            not fitness.unfit
        ):  # an unfit prober asks again with each batch, so that it recovers at once
            self._known = began, raw, fitness
        return fitness


def _allowed(answers: Sequence[Result]) -> list[Result]:
    """A canary that the guard forbids is the operator's mistake and tells nothing of the network."""
    for answer in answers:
        if answer.reason is Reason.BLOCKED:
            log.error("a canary is blocked: %s", answer.message)
    return [answer for answer in answers if answer.reason is not Reason.BLOCKED]


def _read(raw: Sequence[Mapping[str, Any]], slot: int) -> list[Probe]:
    probes = []
    for each in raw:
        try:
            probes.append(Probe.from_json({**each, "check_id": 0, "slot": slot}))
        except (ContractError, TypeError) as error:
            log.error("a canary is not a probe: %s", error)
    return probes

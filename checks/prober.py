"""Who probes at once for a person that asked: a place that `uptime` fills, since no Django app knows the engine."""

from __future__ import annotations

from typing import Protocol

from fanout_lambdas.shared.contracts import Probe, Result


class Prober(Protocol):
    """Probes once, here and now."""

    def probe(self, probe: Probe) -> Result:
        """The result; never raises for what a target does."""


class NoProber(RuntimeError):
    """Nobody filled the place."""


_chosen: list[Prober] = []


def use_prober(prober: Prober) -> None:
    """Fill the place; called once, when the process starts."""
    _chosen[:] = [prober]


def prober_in_use() -> Prober:
    if not _chosen:
        raise NoProber("No prober is connected: `uptime` has to call use_prober().")
    return _chosen[0]

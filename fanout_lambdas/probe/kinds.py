"""Who probes what: the one table of kinds and their probers, and what all probers share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from fanout_lambdas.probe.certificate import CertificateProber
from fanout_lambdas.probe.connection import Connector
from fanout_lambdas.probe.dns import DnsProber
from fanout_lambdas.probe.http import HttpProber
from fanout_lambdas.probe.resolver import Resolver
from fanout_lambdas.probe.tcp import TcpProber
from fanout_lambdas.shared.contracts import Probe, Result
from fanout_lambdas.shared.netguard import Guard


class Prober(Protocol):
    """Probes one kind of check."""

    async def probe(self, probe: Probe, *, lag_us: int = 0) -> Result:
        """Never raises (except when cancelled) and never outlives the probe's timeout."""


class Kit(NamedTuple):
    """What the probers of one process share."""

    guard: Guard
    user_agent: str
    connector: Connector
    resolver: Resolver


def probers(kit: Kit) -> Mapping[str, Prober]:
    """One prober for each kind that reaches a worker; a new kind is one line here."""
    return {
        "http": HttpProber(connector=kit.connector, guard=kit.guard, user_agent=kit.user_agent),
        "tcp": TcpProber(connector=kit.connector, guard=kit.guard),
        "tls": CertificateProber(connector=kit.connector, guard=kit.guard),
        "dns": DnsProber(guard=kit.guard, resolver=kit.resolver),
    }

"""The address guard: which URLs and addresses our machines may reach on a tenant's word.

One table, one predicate, one URL parser for every stage: at save, before connect, on the connected
peer, on each redirect, for webhooks. Only the operator's allow list opens anything else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from fanout_lambdas.shared.addresses import denied_rule, parsed_address, reverse_network
from fanout_lambdas.shared.allowlist import NOTHING_ALLOWED, AllowList
from fanout_lambdas.shared.denied import LOCAL_NAMES, METADATA_NAMES
from fanout_lambdas.shared.ports import DNS_PORT, Use, port_refusal
from fanout_lambdas.shared.target import (
    ALL_SCHEMES,
    WEB_SCHEMES,
    Blocked,
    Target,
    parse_url,
    shown,
)

__all__ = [
    "ALL_SCHEMES",
    "NOTHING_ALLOWED",
    "SCHEMES",
    "AllowList",
    "Blocked",
    "Guard",
    "Target",
    "Use",
    "check_address",
    "check_url",
    "parse_url",
]

SCHEMES: dict[str, tuple[str, ...]] = {
    "http": WEB_SCHEMES,
    "tcp": ("tcp",),
    "tls": ("tls",),
    "dns": ("dns",),
}
"""How the URL of each kind of check may begin."""

_NO_SERVER = re.compile(r"[/?#@]|^$")


@dataclass(frozen=True, slots=True)
class Guard:
    """The rules together with one installation's allow list."""

    allow: AllowList = NOTHING_ALLOWED

    def check_url(self, url: str, *, kind: str = "http", sends: bool = False) -> Target:
        """The parsed URL, or Blocked. Names still have to be resolved and checked again.

        `kind` is the check's. `sends` says that a TCP check sends text of the tenant's: it may
        use the ports of web checks only, so that nobody speaks to mail servers or databases of
        third parties through us.
        """
        target = parse_url(url, SCHEMES[kind])
        if kind in ("tcp", "tls") and not sends:
            target = replace(target, use=Use.CONNECT)
        if kind == "dns":
            self._check_question(target)
        else:
            self._check_place(target)
        return target

    def check_name_server(self, text: str) -> Target:
        """The name server that a DNS check names: `9.9.9.9`, `[2620:fe::fe]`, `ns1.example.com`,
        with `:port` where the operator opened another than 53. Blocked, or a target whose name
        still has to be resolved and its addresses checked."""
        if _NO_SERVER.search(text):
            raise Blocked("host", f"{shown(text)} is not a name server, like 9.9.9.9.")
        place = f"[{text}]" if text.count(":") > 1 and not text.startswith("[") else text
        if ":" not in place.rpartition("]")[2]:
            place += f":{DNS_PORT}"
        target = replace(parse_url(f"tcp://{place}", ("tcp",)), use=Use.ASK)
        self._check_place(target)
        return target

    def check_address(self, address: str, port: int | None = None, *, use: Use = Use.WEB) -> None:
        """Return if this address (and port) may be connected to, else raise Blocked."""
        if self.opens(address, port):
            return
        rule = denied_rule(address)
        if rule is not None:
            raise Blocked(rule, f"{shown(address)} is not a public address ({rule}).")
        if port is not None:
            _check_port(port, use)

    def opens(self, address: str, port: int | None) -> bool:
        """Is this address opened by the allow list?"""
        parsed = parsed_address(address) if self.allow.entries else None
        return parsed is not None and self.allow.opens(parsed, port)

    def _check_place(self, target: Target) -> None:
        if target.is_literal:
            self.check_address(target.host, target.port, use=target.use)
        elif not self.allow.opens_port(target.port):
            _check_port(target.port, target.use)
            _check_name(target.host)

    def _check_question(self, target: Target) -> None:
        """Nobody connects to what a DNS check names, but its answer must not draw a map of our
        own network: no local names, and no names of addresses that are not public."""
        if target.is_literal:
            raise Blocked("host", "A DNS check asks for a name, not for an address.")
        if (network := reverse_network(target.host)) is not None:
            first, last = str(network[0]), str(network[-1])
            rule = denied_rule(first)
            if rule and denied_rule(last) and not self.opens(first, None):
                raise Blocked(rule, f"{target.host} names addresses that are not public ({rule}).")
        if not self.allow.opens_port(target.port):
            _check_name(target.host)


def check_url(url: str, *, kind: str = "http", sends: bool = False) -> Target:
    """`Guard.check_url` with nothing opened."""
    return Guard().check_url(url, kind=kind, sends=sends)


def check_address(address: str, port: int | None = None, *, use: Use = Use.WEB) -> None:
    """`Guard.check_address` with nothing opened."""
    Guard().check_address(address, port, use=use)


def _check_name(host: str) -> None:
    if host in METADATA_NAMES:
        raise Blocked("metadata", f"{host} is a name of a cloud's metadata service.")
    if "." not in host:
        raise Blocked("single_label", f"{host} is not a public host name: it has no dot.")
    labels = host.split(".")
    if labels[-1] in LOCAL_NAMES or ".".join(labels[-2:]) in LOCAL_NAMES:
        raise Blocked("local_name", f"{host} is a name for use inside a private network.")


def _check_port(port: int, use: Use) -> None:
    refusal = port_refusal(port, use)
    if refusal is not None:
        raise Blocked("port", refusal)

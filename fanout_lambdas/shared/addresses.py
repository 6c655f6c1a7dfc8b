"""Judges one IP address: public, or denied by which rule. The table is `denied`'s; `netguard` asks."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from fanout_lambdas.shared.denied import DENIED

_GLOBAL_IPV6 = IPv6Network("2000::/3")  # nothing outside is assigned for global unicast
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})


@lru_cache(maxsize=8_192)
def parsed_address(address: str) -> IPv4Address | IPv6Address | None:
    """The address in one of its usual spellings, without a zone; None for any other text."""
    try:
        return None if "%" in address else ip_address(address)
    except ValueError:
        return None


@lru_cache(maxsize=8_192)
def denied_rule(address: str) -> str | None:
    """The rule that denies this IP address, None for a public one."""
    parsed = parsed_address(address)
    if parsed is None:
        return "zone" if "%" in address else "spelling"
    number = int(parsed)
    for version, low, high, rule in _TABLE:
        if version == parsed.version and low <= number <= high:
            return rule
    if parsed.version == 6:
        if (number >> 32) & 0xFFFFFFFF in _ISATAP:
            return "embedded_ipv4"
        if parsed not in _GLOBAL_IPV6:
            return "reserved"
    return None


def _rows() -> tuple[tuple[int, int, int, str], ...]:
    rows = []
    for text, rule in DENIED:
        network = ip_network(text)
        first, last = int(network.network_address), int(network.broadcast_address)
        rows.append((network.version, first, last, rule))
    return tuple(rows)


_TABLE = _rows()

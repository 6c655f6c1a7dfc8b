"""Judges one IP address: public, or denied by which rule. The table is `denied`'s; `netguard` asks."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from itertools import takewhile

from fanout_lambdas.shared.denied import DENIED

_GLOBAL_IPV6 = IPv6Network("2000::/3")  # nothing outside is assigned for global unicast
_ISATAP, _ISATAP_MASK = 0x00005EFE, 0xFCFFFFFF  # with any universal and group bit


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
        if (number >> 32) & _ISATAP_MASK == _ISATAP:
            return "embedded_ipv4"
        if parsed not in _GLOBAL_IPV6:
            return "reserved"
    return None


def reverse_network(name: str) -> IPv4Network | IPv6Network | None:
    """The addresses that a name under in-addr.arpa or ip6.arpa stands for; None for other names."""
    labels = name.split(".")[::-1]
    if labels[:2] == ["arpa", "in-addr"]:
        octets = [int(label) for label in takewhile(_is_octet, labels[2:6])]
        number = int.from_bytes(bytes(octets).ljust(4, b"\0"))
        return IPv4Network((number, 8 * len(octets))) if octets else None
    if labels[:2] == ["arpa", "ip6"]:
        digits = "".join(takewhile(_is_nibble, labels[2:34]))
        number = int(digits.ljust(32, "0"), 16)
        return IPv6Network((number, 4 * len(digits))) if digits else None
    return None


def _is_octet(label: str) -> bool:
    return label.isdigit() and int(label) < 256


def _is_nibble(label: str) -> bool:
    return len(label) == 1 and label in "0123456789abcdef"


def _rows() -> tuple[tuple[int, int, int, str], ...]:
    rows = []
    for text, rule in DENIED:
        network = ip_network(text)
        first, last = int(network.network_address), int(network.broadcast_address)
        rows.append((network.version, first, last, rule))
    return tuple(rows)


_TABLE = _rows()

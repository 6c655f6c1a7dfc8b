"""What the operator of an installation opens beside public addresses. Nothing is open by default."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class AllowList:
    """Networks the operator opens, each for one port or (None) for all."""

    entries: tuple[tuple[Network, int | None], ...] = ()

    @classmethod
    def parse(cls, text: str) -> AllowList:
        """`127.0.0.1/32:8081, 10.0.0.0/8, ::1, [fd00::/8]:443`; ValueError names the bad entry."""
        return cls(tuple(_parse_entry(part.strip()) for part in text.split(",") if part.strip()))

    def opens(self, address: IPv4Address | IPv6Address, port: int | None) -> bool:
        return any(
            address.version == network.version
            and address in network
            and (only is None or only == port)
            for network, only in self.entries
        )

    def opens_port(self, port: int) -> bool:
        """Could some address be open on this port? Then names are judged by their addresses."""
        return any(only is None or only == port for _, only in self.entries)


NOTHING_ALLOWED = AllowList()


def _parse_entry(text: str) -> tuple[Network, int | None]:
    network, port = text, ""
    if text.startswith("["):
        network, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"{text!r}: a bracket closes, and after it only :port may follow")
        port = rest[1:] or ("?" if rest else "")
    elif text.count(":") == 1:
        network, _, port = text.partition(":")
        port = port or "?"
    if port and not is_port(port):
        raise ValueError(f"{text!r}: the port must be a number from 1 to 65535")
    try:
        return ip_network(network), int(port) if port else None
    except ValueError as error:
        raise ValueError(
            f"{text!r} is not a network like 10.0.0.0/8 or 127.0.0.1/32:8081 ({error})"
        ) from None


def is_port(text: str) -> bool:
    """One to five ASCII digits that name a port."""
    return text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536

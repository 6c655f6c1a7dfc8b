"""Name servers, as operators and resolv.conf write them."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import NamedTuple

PORT = 53


class NameServer(NamedTuple):
    ip: str
    port: int = PORT

    @classmethod
    def parse(cls, text: str) -> NameServer:
        """`10.0.0.2`, `10.0.0.2:5353`, `::1` or `[::1]:5353`; ValueError says what is wrong."""
        ip, port = split_port(text.strip())
        try:
            ip_address(ip)
        except ValueError:
            raise ValueError(f"{text!r} is not an address like 10.0.0.2 or [::1]:53") from None
        return cls(ip, port)

    @property
    def family(self) -> socket.AddressFamily:
        return socket.AF_INET6 if ":" in self.ip else socket.AF_INET

    @classmethod
    def parse_all(cls, text: str) -> tuple[NameServer, ...]:
        """Several, separated by commas; none for an empty text."""
        return tuple(cls.parse(part) for part in text.split(",") if part.strip())

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"


def split_port(text: str) -> tuple[str, int]:
    """Host and port of `host`, `host:port`, `::1` or `[::1]:port`; ValueError for a wrong port."""
    host, port = text, ""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port and (port[1:] if port.startswith(":") else "?")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
        port = port or "?"
    if port and not (port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 65_536):
        raise ValueError(f"{text!r}: the port must be a number from 1 to 65535")
    return host, int(port or PORT)

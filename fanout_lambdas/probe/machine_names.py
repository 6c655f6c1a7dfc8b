"""What this machine knows of names by itself: /etc/hosts, /etc/resolv.conf and the families that it
has a route for. Read again when a file has changed, so that a long-lived worker follows."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from ipaddress import ip_address

from fanout_lambdas.probe.name_servers import NameServer

HOSTS = "/etc/hosts"
RESOLV_CONF = "/etc/resolv.conf"
GOOD_FOR_S = 5.0
_MOST_SERVERS = 3  # as resolv.conf(5) has it
# Addresses whose routes are looked up. Nothing is sent to them.
_FAR = ((socket.AF_INET6, "2620:fe::fe"), (socket.AF_INET, "9.9.9.9"))
_UNIQUE_LOCAL = ("fc", "fd", "fe")  # such a source address does not reach the Internet


class MachineNames:
    """The files' content, at most `GOOD_FOR_S` seconds behind."""

    __slots__ = (
        "_families",
        "_hosts",
        "_hosts_path",
        "_next_look",
        "_seen",
        "_servers",
        "_servers_path",
    )

    def __init__(self, hosts: str = HOSTS, resolv_conf: str = RESOLV_CONF) -> None:
        self._hosts_path, self._servers_path = hosts, resolv_conf
        self._seen: tuple[object, object] = (None, None)
        self._next_look = 0.0
        self._hosts: Mapping[str, tuple[str, ...]] = {}
        self._servers: tuple[NameServer, ...] = ()
        self._families: tuple[socket.AddressFamily, ...] = ()

    def addresses(self, name: str) -> tuple[str, ...]:
        """What /etc/hosts says; the name is in lower case."""
        self._look()
        return self._hosts.get(name, ())

    def servers(self) -> tuple[NameServer, ...]:
        self._look()
        return self._servers

    def families(self) -> tuple[socket.AddressFamily, ...]:
        """The families with a way to the Internet, the preferred one first; all when there is none."""
        self._look()
        return self._families

    def _look(self) -> None:
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + GOOD_FOR_S
        self._families = _routed() or (socket.AF_INET6, socket.AF_INET)
        seen = _stamp(self._hosts_path), _stamp(self._servers_path)
        if seen != self._seen or not self._servers:
            self._seen = seen
            self._hosts = _read_hosts(_text(self._hosts_path))
            self._servers = _read_servers(_text(self._servers_path))


def _read_hosts(text: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        try:
            ip_address(address)
        except ValueError:
            continue
        for name in names:
            key = name.lower().removesuffix(".")
            found[key] = tuple(dict.fromkeys((*found.get(key, ()), address)))
    return found


def _read_servers(text: str) -> tuple[NameServer, ...]:
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            try:
                ip_address(words[1])
            except ValueError:
                continue
            found.append(NameServer(words[1]))
    return tuple(found[:_MOST_SERVERS]) or (NameServer("127.0.0.1"),)


def _routed() -> tuple[socket.AddressFamily, ...]:
    found = []
    for family, far in _FAR:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.connect((far, 53))  # sets a route, sends nothing
                source = str(sock.getsockname()[0])
        except OSError:
            continue
        if family == socket.AF_INET or not source.startswith(_UNIQUE_LOCAL):
            found.append(family)
    return tuple(found)


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""

"""Guarded connect: resolve a name once, check each address, connect to a checked one, check the
peer. The rules serve every connection, the blocking connect webhooks and channel tests."""

from __future__ import annotations

import socket
import threading
import time
from queue import Empty, Queue
from typing import Any, NamedTuple

from fanout_lambdas.shared.netguard import Blocked, Guard, Target

FAMILIES = {"any": socket.AF_UNSPEC, "4": socket.AF_INET, "6": socket.AF_INET6}
MAX_ADDRESSES = 4  # tried one after the other within the deadline


class Unresolved(OSError):
    """The name has no usable address; the message is for people."""


class Address(NamedTuple):
    """One address that passed the guard."""

    family: socket.AddressFamily
    ip: str
    port: int


def connect_blocking(
    target: Target, *, guard: Guard, timeout_s: float, family: str = "any"
) -> socket.socket:
    """Resolve and connect within `timeout_s`; raises Blocked, Unresolved, TimeoutError, OSError."""
    deadline = time.monotonic() + timeout_s
    addresses = _resolve_blocking(target, guard, family, timeout_s)
    failure: OSError = Unresolved(f"{target.host} has no address.")
    for position, address in enumerate(addresses):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"No connection within {timeout_s:g} s.")
        sock = _new_socket(address)
        try:
            sock.settimeout(left / (len(addresses) - position))
            sock.connect((address.ip, address.port))
            check_peer(sock.getpeername(), address, target, guard)
            sock.settimeout(max(0.001, deadline - time.monotonic()))
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def permitted(found: list[Address], target: Target, guard: Guard) -> list[Address]:
    """`found` if all of it may be reached. One forbidden address forbids the name, unless the
    operator opened others of its addresses: then only those are used."""
    opened = [each for each in found if guard.opens(each.ip, each.port)]
    usable = opened or found
    for address in usable:
        try:
            guard.check_address(address.ip, address.port, use=target.use)
        except Blocked as blocked:
            raise Blocked(
                blocked.rule, f"{target.host} resolves to a forbidden target: {blocked.message}"
            ) from None
    return usable[:MAX_ADDRESSES]


def literal(target: Target, guard: Guard, family: str) -> list[Address]:
    """The address that stands in the URL itself, if it may be reached."""
    guard.check_address(target.host, target.port, use=target.use)
    kind = socket.AF_INET6 if ":" in target.host else socket.AF_INET
    if FAMILIES[family] not in (socket.AF_UNSPEC, kind):
        raise Unresolved(f"{target.host} is not an IPv{family} address.")
    return [Address(kind, target.host, target.port)]


def lookup(host: str, port: int, family: str) -> list[Address]:
    """The name's addresses by the system's resolver: blocking, unchecked; raises Unresolved."""
    try:
        # The dot makes the name absolute: no search domain of ours is tried.
        rows = socket.getaddrinfo(
            host + "." if "." in host else host, port, FAMILIES[family], socket.SOCK_STREAM
        )
    except (socket.gaierror, UnicodeError) as error:
        raise Unresolved(_why(host, error)) from None
    addresses: list[Address] = []
    for kind, _, _, _, sockaddr in rows:
        ip = str(sockaddr[0])
        scope: Any = sockaddr[3] if kind == socket.AF_INET6 and len(sockaddr) > 3 else 0
        address = Address(kind, f"{ip}%{scope}" if scope and "%" not in ip else ip, port)
        if address not in addresses:
            addresses.append(address)
    if not addresses:
        raise Unresolved(f"{host} has no address.")
    return addresses


def _why(host: str, error: Exception) -> str:
    code = error.args[0] if error.args else None
    if code == socket.EAI_AGAIN:
        return f"The name servers gave no answer for {host}."
    if code in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", None)):
        return f"The name {host} does not exist or has no address."
    return f"The name {host} could not be resolved."


def _resolve_blocking(target: Target, guard: Guard, family: str, timeout_s: float) -> list[Address]:
    if target.is_literal:
        return literal(target, guard, family)
    # getaddrinfo knows no timeout. Its thread may be left behind, and no exit waits for a daemon.
    answers: Queue[list[Address] | Exception] = Queue()

    def ask() -> None:
        try:
            answers.put(lookup(target.host, target.port, family))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        found = answers.get(timeout=timeout_s)
    except Empty:
        raise TimeoutError(f"The name {target.host} was not resolved in time.") from None
    if isinstance(found, Exception):
        raise found
    return permitted(found, target, guard)


def _new_socket(address: Address) -> socket.socket:
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def check_peer(peer: tuple[Any, ...], address: Address, target: Target, guard: Guard) -> None:
    """The connected peer is what was checked, whatever routing or rebinding did in between."""
    ip, port = peer[:2]
    if (ip, port) != (address.ip, address.port):
        guard.check_address(str(ip), int(port), use=target.use)
        raise Blocked("peer", "The connected peer is not the address that was checked.")

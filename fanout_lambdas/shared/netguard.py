"""The address guard: which URLs and addresses our machines may reach on a tenant's word.

One table, one predicate, one URL parser for every stage: at save, before connect, on the connected
peer, on each redirect, for webhooks. Only the operator's allow list opens anything else.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from fanout_lambdas.shared.addresses import denied_rule, parsed_address
from fanout_lambdas.shared.denied import (
    BAD_PORTS,
    COMMAND_PORTS,
    LOCAL_NAMES,
    LOW_PORTS,
    METADATA_NAMES,
)

Network = IPv4Network | IPv6Network

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029\ufeff]")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)
_QUAD = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}", re.ASCII)
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_MAX_URL = 8_192


class Blocked(Exception):
    """A target our machines must not reach; `rule` is a stable word, `message` is for people."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule
        self.message = message


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that passed: `host` is lower-case ASCII without brackets or trailing dot."""

    scheme: str
    host: str
    port: int
    path: str  # with query, without fragment; never empty
    is_literal: bool

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.scheme == "https" else 80
        return host if self.port == usual else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


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


@dataclass(frozen=True, slots=True)
class Guard:
    """The rules together with one installation's allow list."""

    allow: AllowList = NOTHING_ALLOWED

    def check_url(self, url: str) -> Target:
        """The parsed URL, or Blocked. Names still have to be resolved and checked again."""
        target = parse_url(url)
        if target.is_literal:
            self.check_address(target.host, target.port)
            return target
        if not self.allow.opens_port(target.port):
            _check_port(target.port)
            _check_name(target.host)
        return target

    def check_address(self, address: str, port: int | None = None) -> None:
        """Return if this address (and port) may be connected to, else raise Blocked."""
        rule = denied_rule(address)
        if self.allow.entries and self.opens(address, port):
            return
        if rule is not None:
            raise Blocked(rule, f"{_shown(address)} is not a public address ({rule}).")
        if port is not None:
            _check_port(port)

    def opens(self, address: str, port: int | None) -> bool:
        """Is this address opened by the allow list?"""
        parsed = parsed_address(address) if self.allow.entries else None
        return parsed is not None and self.allow.opens(parsed, port)


def check_url(url: str) -> Target:
    """`Guard.check_url` with nothing opened."""
    return Guard().check_url(url)


def check_address(address: str, port: int | None = None) -> None:
    """`Guard.check_address` with nothing opened."""
    Guard().check_address(address, port)


def parse_url(url: str) -> Target:
    """The only parser of tenants' URLs: strict, so that no second parser can read it otherwise."""
    if len(url) > _MAX_URL:
        raise Blocked("length", f"The URL is longer than {_MAX_URL} characters.")
    if _FORBIDDEN.search(url):
        raise Blocked("characters", "The URL contains a space, backslash or control character.")
    match = _SCHEME.fullmatch(url)
    scheme = match[1].lower() if match else ""
    if scheme not in ("http", "https") or match is None:
        raise Blocked("scheme", "The URL must begin with http:// or https://.")
    if not match[2].startswith("//"):
        raise Blocked("host", "The URL must begin with http:// or https:// and a host.")
    authority, path = _split_authority(match[2][2:])
    if "@" in authority:
        raise Blocked("userinfo", "The URL must not contain a user name or password.")
    host, port = _split_port(authority)
    if port is None:
        port = 443 if scheme == "https" else 80
    host, is_literal = _read_host(host)
    return Target(scheme=scheme, host=host, port=port, path=path, is_literal=is_literal)


def _split_authority(rest: str) -> tuple[str, str]:
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    path = rest[end:].partition("#")[0]
    return rest[:end], path if path.startswith("/") else "/" + path


def _split_port(authority: str) -> tuple[str, int | None]:
    if authority.startswith("["):
        host, bracket, rest = authority.partition("]")
        host += bracket
    else:
        host, colon, rest = authority.partition(":")
        rest = colon + rest
    if not rest:
        return host, None
    if not rest.startswith(":") or not _PORT.fullmatch(rest[1:]) or not 0 < int(rest[1:]) < 65536:
        raise Blocked("port", "The port must be a number from 1 to 65535.")
    return host, int(rest[1:])


def _read_host(host: str) -> tuple[str, bool]:
    """Lower-case ASCII host, and whether it is an address."""
    if host.startswith("["):
        if "%" in host:
            raise Blocked("zone", "An IPv6 address in a URL must not have a zone.")
        try:
            if not host.endswith("]"):
                raise ValueError(host)
            return str(IPv6Address(host[1:-1])), True
        except ValueError:
            raise Blocked("host", f"{_shown(host)} is not an IPv6 address.") from None
    if not host.isascii():
        host = _to_ascii(host)
    host = host.lower().removesuffix(".")
    labels = host.split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        if not _QUAD.fullmatch(host):
            raise Blocked("spelling", "An IPv4 address must be four decimal numbers, like 8.8.8.8.")
        return host, True
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise Blocked("host", f"{_shown(host) or 'The empty text'} is not a host name.")
    return host, False


def _to_ascii(host: str) -> str:
    """Punycode, label by label. Characters that some readers fold to ASCII are refused."""
    for char in host:
        if not char.isascii() and unicodedata.normalize("NFKC", char).casefold().isascii():
            if char == "ß":
                continue
            raise Blocked("unicode", f"The host contains {char!r}, which can be read as ASCII.")
        if unicodedata.digit(char, None) is not None and not char.isascii():
            raise Blocked("unicode", f"The host contains {char!r}, which can be read as a digit.")
    labels = []
    for label in unicodedata.normalize("NFC", host).lower().split("."):
        if label.isascii():
            labels.append(label)
            continue
        if not all(char in "-_·" or unicodedata.category(char)[0] in "LMN" for char in label):
            raise Blocked("unicode", "The host contains a character that no host name has.")
        if unicodedata.normalize("NFKC", label) != label:
            raise Blocked("unicode", "The host contains a character with a second spelling.")
        labels.append("xn--" + label.encode("punycode").decode("ascii"))
    return ".".join(labels)


def _check_name(host: str) -> None:
    if host in METADATA_NAMES:
        raise Blocked("metadata", f"{host} is a name of a cloud's metadata service.")
    if "." not in host:
        raise Blocked("single_label", f"{host} is not a public host name: it has no dot.")
    labels = host.split(".")
    if labels[-1] in LOCAL_NAMES or ".".join(labels[-2:]) in LOCAL_NAMES:
        raise Blocked("local_name", f"{host} is a name for use inside a private network.")


def _check_port(port: int) -> None:
    if (port < 1024 and port not in LOW_PORTS) or port in BAD_PORTS or port in COMMAND_PORTS:
        raise Blocked("port", f"Port {port} is not open to checks.")


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
    if port and (not _PORT.fullmatch(port) or not 0 < int(port) < 65536):
        raise ValueError(f"{text!r}: the port must be a number from 1 to 65535")
    try:
        return ip_network(network), int(port) if port else None
    except ValueError as error:
        raise ValueError(
            f"{text!r} is not a network like 10.0.0.0/8 or 127.0.0.1/32:8081 ({error})"
        ) from None


def _shown(text: str) -> str:
    return text[:80].encode("ascii", "backslashreplace").decode("ascii")

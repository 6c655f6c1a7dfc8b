"""The only parser of tenants' URLs: strict, so that no second parser can read one otherwise."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from ipaddress import IPv6Address
from urllib.parse import quote

from fanout_lambdas.shared.allowlist import is_port
from fanout_lambdas.shared.ports import Use

WEB_SCHEMES = ("http", "https")
USUAL_PORTS: dict[str, int | None] = {"http": 80, "https": 443, "tcp": None, "tls": 443, "dns": 53}
ALL_SCHEMES = tuple(USUAL_PORTS)

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)
# Spaces, controls and surrogates: some reader strips or splits at each of them.
_FORBIDDEN = re.compile(
    r"[\x00-\x20\x7f-\xa0\\\u1680\u180e\u2000-\u200b\u200e\u200f\u2028-\u202f\u205f-\u206f\u3000\ud800-\udfff\ufeff]"
)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)
_QUAD = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}", re.ASCII)
_IN_PATH = "!$%&'()*+,/:;=?@[]~-._"
_MAX_URL = 8_192


class Blocked(Exception):
    """A target our machines must not reach; `rule` is a stable word, `message` is for people."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule
        self.message = message


@dataclass(frozen=True, slots=True)
class Target:
    """A URL in its one normal form: `host` is lower-case ASCII without brackets or trailing dot."""

    scheme: str
    host: str
    port: int
    path: str  # percent-encoded, with query, without fragment; never empty on the web, else empty
    is_literal: bool
    use: Use = Use.WEB

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == USUAL_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


def parse_url(url: str, schemes: tuple[str, ...] = WEB_SCHEMES) -> Target:
    """Syntax alone: what `url` says, or Blocked. Whether it may be reached, the guard decides."""
    if len(url) > _MAX_URL:
        raise Blocked("length", f"The URL is longer than {_MAX_URL} characters.")
    if _FORBIDDEN.search(url):
        raise Blocked("characters", "The URL contains a space, backslash or control character.")
    match = _SCHEME.fullmatch(url)
    scheme = match[1].lower() if match else ""
    if match is None or scheme not in schemes:
        raise Blocked("scheme", f"The URL must begin with {_begins(schemes)}.")
    if not match[2].startswith("//"):
        raise Blocked("host", f"The URL must begin with {_begins(schemes)} and a host.")
    authority, path = _split_authority(match[2][2:])
    if "@" in authority:
        raise Blocked("userinfo", "The URL must not contain a user name or password.")
    host, port = _split_port(authority)
    host, is_literal = _read_host(host)
    return Target(
        scheme=scheme,
        host=host,
        port=_read_port(scheme, port),
        path=_read_path(scheme, path),
        is_literal=is_literal,
    )


def shown(text: str) -> str:
    return text[:80].encode("ascii", "backslashreplace").decode("ascii")


def _begins(schemes: tuple[str, ...]) -> str:
    return " or ".join(f"{scheme}://" for scheme in schemes)


def _split_authority(rest: str) -> tuple[str, str]:
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    return rest[:end], rest[end:]


def _split_port(authority: str) -> tuple[str, int | None]:
    if authority.startswith("["):
        host, bracket, rest = authority.partition("]")
        host += bracket
    else:
        host, colon, rest = authority.partition(":")
        rest = colon + rest
    if not rest:
        return host, None
    if not rest.startswith(":") or not is_port(rest[1:]):
        raise Blocked("port", "The port must be a number from 1 to 65535.")
    return host, int(rest[1:])


def _read_port(scheme: str, given: int | None) -> int:
    if scheme == "dns" and given is not None:
        raise Blocked("port", "A DNS check has no port: write dns:// and the name alone.")
    port = given if given is not None else USUAL_PORTS[scheme]
    if port is None:
        raise Blocked("port", f"The port is missing: write {scheme}://host:port.")
    return port


def _read_path(scheme: str, path: str) -> str:
    if scheme not in WEB_SCHEMES:
        if path not in ("", "/"):
            raise Blocked("path", f"Nothing may follow the host and port of a {scheme}:// address.")
        return ""
    path = path.partition("#")[0]
    return quote(path if path.startswith("/") else "/" + path, safe=_IN_PATH)


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
            raise Blocked("host", f"{shown(host)} is not an IPv6 address.") from None
    if not host.isascii():
        host = _to_ascii(host)
    host = host.lower().removesuffix(".")
    labels = host.split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        if not _QUAD.fullmatch(host):
            raise Blocked("spelling", "An IPv4 address must be four decimal numbers, like 8.8.8.8.")
        return host, True
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise Blocked("host", f"{shown(host) or 'The empty text'} is not a host name.")
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

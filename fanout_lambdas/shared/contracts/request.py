"""How a probe asks: the parts of its request that a tenant words, each read strictly."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from fanout_lambdas.shared.contracts.reading import Fields, require
from fanout_lambdas.shared.contracts.words import (
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    MAX_REQUEST_BODY_BYTES,
    MAX_SEND,
)

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
FAMILIES = ("any", "4", "6")
RECORD_TYPES = ("A", "AAAA", "CNAME", "MX", "NS", "TXT", "SOA", "CAA", "SRV", "PTR")

# The engine frames the message itself; a second opinion in the request would be smuggling.
FRAMING_HEADERS = frozenset(
    ("connection", "content-length", "expect", "keep-alive", "proxy-connection", "te")
) | {"trailer", "transfer-encoding", "upgrade"}

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """Basic or bearer credentials; never shown by repr, so never in a log line."""

    type: str
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    @classmethod
    def read(cls, source: Fields) -> Auth:
        kind = source.one_of("type", ("basic", "bearer"))
        if kind == "bearer":
            source.only(("type", "token"))
            token = source.text("token", 8_192, empty=False)
            require(
                token.isascii() and token.isprintable() and " " not in token,
                source.name("token"),
                "characters",
                "token must be printable ASCII without spaces.",
            )
            return cls(type=kind, token=token)
        source.only(("type", "username", "password"))
        username = source.text("username", 256)
        require(
            ":" not in username,
            source.name("username"),
            "characters",
            "username must not contain a colon.",
        )
        return cls(type=kind, username=username, password=source.text("password", 1_024))

    def to_json(self) -> dict[str, str]:
        if self.type == "bearer":
            return {"type": self.type, "token": self.token}
        return {"type": self.type, "username": self.username, "password": self.password}


def read_auth(source: Fields) -> Auth | None:
    child = source.child("auth")
    return None if child is None else Auth.read(child)


def read_body(source: Fields) -> str:
    return _sized(source, "body", MAX_REQUEST_BODY_BYTES)


def read_send(source: Fields) -> str:
    return _sized(source, "send", MAX_SEND)


def read_headers(source: Fields) -> dict[str, str]:
    headers = source.text_map("headers", most=MAX_HEADERS, longest=MAX_HEADER_BYTES)
    size, seen = 0, set()
    for name, value in headers.items():
        lower, where = name.lower(), source.name("headers")
        require(
            HEADER_NAME.fullmatch(name) is not None,
            where,
            "characters",
            f"{name[:40]!r} is not a header name.",
        )
        require(lower not in FRAMING_HEADERS, where, "reserved", f"{name} is set by the prober.")
        require(lower not in seen, where, "duplicate", f"{name} stands twice.")
        require(
            _CONTROL.search(value) is None and value == value.strip(),
            where,
            "characters",
            f"The value of {name} has a control character or outer spaces.",
        )
        seen.add(lower)
        size += len(name) + len(value.encode("utf-8")) + 4
    require(
        size <= MAX_HEADER_BYTES,
        source.name("headers"),
        "length",
        f"headers are larger than {MAX_HEADER_BYTES} bytes together.",
    )
    return headers


def _sized(source: Fields, key: str, most: int) -> str:
    text: str = source.text(key, most, "")
    require(
        len(text.encode("utf-8")) <= most,
        source.name(key),
        "length",
        f"{key} is larger than {most} bytes.",
    )
    return text

"""The vocabulary and the limits that all contracts share."""

from __future__ import annotations

from enum import StrEnum

VERSION = 1

MAX_RESULTS = 1_000
MAX_WIRE_BYTES = 1024 * 1024
MAX_DECODED_BYTES = 10 * 1024 * 1024
MAX_PAYLOAD_BYTES = 1_000_000  # of one asynchronous invocation

MAX_ID = 2**63 - 1
MAX_TIME = 253_402_300_799  # the last second of year 9999
MAX_URL = 2_048
MAX_HEADERS = 64
MAX_HEADER_BYTES = 16 * 1024
MAX_REQUEST_BODY_BYTES = 64 * 1024
MAX_BODY_BYTES = 1024 * 1024  # of an answer, after decoding
MAX_SEND = 4_096  # bytes that a TCP probe says
MAX_REDIRECTS = 10
MIN_TIMEOUT_MS, MAX_TIMEOUT_MS = 1_000, 30_000
MAX_TERMS = 20  # entries of one assertion list
MAX_TERM = 1_024
MAX_MESSAGE = 500
MAX_EVIDENCE_BODY = 2_048
MAX_REGIONS = 32
MAX_REGION = 32


class Kind(StrEnum):
    """What a probe speaks. (A heartbeat check is not probed: it calls us.)"""

    HTTP = "http"
    TCP = "tcp"
    TLS = "tls"
    DNS = "dns"


class Outcome(StrEnum):
    """What one slot came to; void and missed are markers, the others are real results."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    VOID = "void"
    MISSED = "missed"

    @property
    def is_real(self) -> bool:
        return self is not Outcome.VOID and self is not Outcome.MISSED

    @property
    def is_good(self) -> bool:
        return self is Outcome.UP or self is Outcome.DEGRADED


class Reason(StrEnum):
    """Why an outcome is not plainly up."""

    NONE = "none"
    STATUS = "status"
    KEYWORD = "keyword"
    REGEX = "regex"
    JSON = "json"
    HEADER = "header"
    LATENCY = "latency"
    CERT_EXPIRY = "cert_expiry"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    DNS = "dns"
    TLS = "tls"
    PROTOCOL = "protocol"
    REDIRECT = "redirect"
    DECODE = "decode"
    TOO_LARGE = "too_large"
    BLOCKED = "blocked"
    INTERNAL = "internal"


class ContractError(Exception):
    """A document breaks the contract: which field, which rule, and a sentence for people."""

    def __init__(self, field: str, rule: str, message: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field
        self.rule = rule
        self.message = message

    def to_json(self) -> dict[str, str]:
        return {"field": self.field, "rule": self.rule, "message": self.message}

"""Signatures of reports: HMAC-SHA256 over `timestamp.body`, one key per region (hops 4 and 5)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

KEY_HEADER = "X-Uptime-Key"
TIMESTAMP_HEADER = "X-Uptime-Timestamp"
SIGNATURE_HEADER = "X-Uptime-Signature"
TOLERANCE_S = 60

_SCHEME = "v1="
_MAX_KEY_ID = 64


class SignatureError(Exception):
    """A request whose sender is not proven; `rule` is a stable word, `message` is for people."""

    rule = "signature"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class SignatureMissing(SignatureError):
    """A header is absent or not of the documented form."""

    rule = "signature_missing"


class SignatureStale(SignatureError):
    """The timestamp is too far from now."""

    rule = "signature_stale"


class SignatureWrong(SignatureError):
    """The HMAC does not belong to this body, timestamp and key."""

    rule = "signature_wrong"


def sign(body: bytes, key_id: str, secret: bytes, now: int) -> dict[str, str]:
    """The three headers that prove `body` to whoever holds `secret`."""
    timestamp = str(now)
    return {
        KEY_HEADER: key_id,
        TIMESTAMP_HEADER: timestamp,
        SIGNATURE_HEADER: _SCHEME + _digest(timestamp, body, secret),
    }


def key_id_of(headers: Mapping[str, str]) -> str:
    """The key id a request claims, so that the caller can look its secret up."""
    key_id = _header(headers, KEY_HEADER)
    if not key_id.isascii() or not key_id.isprintable() or len(key_id) > _MAX_KEY_ID:
        raise SignatureMissing(f"{KEY_HEADER} is not a key id.")
    return key_id


def verify(
    headers: Mapping[str, str],
    body: bytes,
    secret: bytes,
    now: int,
    tolerance_s: int | None = TOLERANCE_S,
) -> None:
    """Return if `headers` prove `body`, else raise a SignatureError.

    `tolerance_s=None` leaves the clock out: a body from the spool proves who sent it, and the
    age of its slots is judged when they are stored.
    """
    timestamp = _header(headers, TIMESTAMP_HEADER)
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise SignatureMissing(f"{TIMESTAMP_HEADER} is not a whole number of epoch seconds.")
    claimed = _header(headers, SIGNATURE_HEADER)
    if not claimed.isascii() or not claimed.startswith(_SCHEME):
        raise SignatureMissing(f"{SIGNATURE_HEADER} does not start with {_SCHEME!r}.")
    if not hmac.compare_digest(claimed, _SCHEME + _digest(timestamp, body, secret)):
        raise SignatureWrong("The signature does not match the body, the timestamp and the key.")
    # The clock comes second: who cannot sign learns nothing about ours.
    if tolerance_s is not None and abs(now - int(timestamp)) > tolerance_s:
        raise SignatureStale(f"The timestamp is more than {tolerance_s} s away from our clock.")


def _digest(timestamp: str, body: bytes, secret: bytes) -> str:
    mac = hmac.new(secret, timestamp.encode("ascii") + b".", hashlib.sha256)
    mac.update(body)
    return mac.hexdigest()


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name)
    if value is None:
        wanted = name.lower()
        value = next((v for k, v in headers.items() if k.lower() == wanted), None)
    if not value:
        raise SignatureMissing(f"{name} is missing.")
    return value

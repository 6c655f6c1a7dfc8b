"""Sealed secrets: authenticated encryption from the snapshot to the worker, one key per region.

The newest key seals, all keys of a region open, so that a key can be rotated without a gap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fanout_lambdas.shared.contracts import ContractError, decode, encode

SECRET_FIELDS = ("headers", "body", "auth", "send")


class SealBroken(Exception):
    """The sealed text was not made with any of this region's keys, or was altered."""


class Sealer:
    """The keys of one region, newest first. Never shown by repr."""

    __slots__ = ("_fernet",)

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys:
            raise ValueError("a sealer needs at least one key")
        # Here and not above: a worker that is given no keys starts without this library.
        from cryptography.fernet import Fernet, MultiFernet

        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError:
            raise ValueError(
                "a sealing key must be 32 bytes in URL-safe base64, as new_key() makes it"
            ) from None

    def __repr__(self) -> str:
        return "Sealer(...)"

    def seal(self, secrets: Mapping[str, Any]) -> str:
        """The secret fields of a request (`SECRET_FIELDS`) as text for a snapshot."""
        return self._fernet.encrypt(encode(dict(secrets))).decode("ascii")

    def open(self, sealed: str) -> dict[str, Any]:
        """The inverse of `seal`; raises SealBroken."""
        from cryptography.fernet import InvalidToken

        try:
            secrets = decode(self._fernet.decrypt(sealed.encode("utf-8", "replace")))
        except (InvalidToken, ContractError):
            raise SealBroken(
                "The sealed secrets cannot be opened with this region's keys."
            ) from None
        if not isinstance(secrets, dict):
            raise SealBroken("The sealed secrets are not an object.")
        return secrets


def new_key() -> str:
    from cryptography.fernet import Fernet

    return Fernet.generate_key().decode("ascii")

"""TLS of the probe: contexts made once per process, certificates parsed once, faults as sentences."""

from __future__ import annotations

import importlib
import ssl
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import certifi

from fanout_lambdas.shared.contracts import Certificate, Reason

if TYPE_CHECKING:
    from cryptography import x509

_DER = 2  # the encoding that the interpreter's own TLS module calls ENCODING_DER
_MAX_NAME = 300
_LONGEST_CACHED = 4_096
_NOT_YET, _EXPIRED, _SELF_SIGNED, _SELF_SIGNED_ROOT = 9, 10, 18, 19
_NO_ISSUER, _NO_LEAF_SIGNATURE, _REVOKED, _WRONG_HOST, _WRONG_ADDRESS = 20, 21, 23, 62, 64


class CertificateRejected(Exception):
    """The peer's certificate did not pass verification."""

    def __init__(self, reason: Reason, message: str, certificate: Certificate | None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.certificate = certificate


class UnknownName(OSError):
    """The server has no certificate for the name it was asked for; the text is a sentence."""


class TlsContexts:
    """One context per process for each way of asking, made at its first use and kept.

    TLS 1.2 or newer. `http` offers http/1.1 by ALPN; other protocols are offered nothing.
    """

    def __init__(self, ca_file: str | None = None) -> None:
        self._ca_file = ca_file
        self._made: dict[tuple[bool, bool], ssl.SSLContext] = {}
        # Roots and parser cost 20 ms each: not at import, and not while a probe waits.
        self.get(verify=True, http=True)
        importlib.import_module("cryptography.x509")

    def get(self, *, verify: bool, http: bool) -> ssl.SSLContext:
        """Without `verify` any certificate is taken, by the check owner's wish."""
        context = self._made.get((verify, http))
        if context is None:
            context = self._made[verify, http] = self._make(verify, http)
        return context

    def _make(self, verify: bool, http: bool) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if verify:
            # Names in the subject alone have not counted since RFC 6125; browsers refuse them.
            context.hostname_checks_common_name = False
            context.load_verify_locations(certifi.where())
            if self._ca_file:
                context.load_verify_locations(self._ca_file)
        else:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if http:
            context.set_alpn_protocols(["http/1.1"])
        return context


def read_certificate(der: bytes) -> Certificate | None:
    """What a certificate says; None where it cannot be parsed."""
    return (_read_once if len(der) <= _LONGEST_CACHED else _read_once.__wrapped__)(der)


@lru_cache(maxsize=2_048)
def _read_once(der: bytes) -> Certificate | None:
    """Parsing costs more than the rest of the bookkeeping: once per distinct certificate."""
    from cryptography import x509

    try:
        parsed = x509.load_der_x509_certificate(der)
        return Certificate(
            not_after=int(parsed.not_valid_after_utc.timestamp()),
            issuer=_name(parsed.issuer),
            subject=_name(parsed.subject),
        )
    except (ValueError, TypeError):
        return None


def rejected(
    error: ssl.SSLCertVerificationError, tls: ssl.SSLObject, host: str, now: float
) -> CertificateRejected:
    """What is wrong with the certificate, in words a person understands."""
    der = _unverified_leaf(tls)
    certificate = read_certificate(der) if der else None
    code = error.verify_code
    # An expired certificate is said to be expired also where OpenSSL met another fault first: renewing it is
    # what its owner has to do in any case.
    if certificate and certificate.not_after <= now:
        message = f"TLS certificate expired {_days(now - certificate.not_after)} ago."
        return CertificateRejected(Reason.CERT_EXPIRY, message, certificate)
    if code == _EXPIRED:
        # Of a whole chain another link is the expired one.
        message = "A certificate in the TLS chain has expired."
        return CertificateRejected(Reason.CERT_EXPIRY, message, certificate)
    if code == _NOT_YET:
        message = "TLS certificate is not valid yet."
    elif code in (_SELF_SIGNED, _SELF_SIGNED_ROOT):
        message = "TLS certificate is self-signed or signed by an unknown authority."
    elif code in (_NO_ISSUER, _NO_LEAF_SIGNATURE):
        message = "TLS certificate is signed by an unknown authority, or its chain is incomplete."
    elif code in (_WRONG_HOST, _WRONG_ADDRESS):
        names = _names(der) if der else ""
        message = f"TLS certificate is not for {host}" + (f" but for {names}." if names else ".")
    elif code == _REVOKED:
        message = "TLS certificate was revoked."
    else:
        message = f"TLS certificate was not accepted: {error.verify_message or 'unknown fault'}."
    return CertificateRejected(Reason.TLS, message, certificate)


def days_left(certificate: Certificate, now: float) -> int:
    return int((certificate.not_after - now) // 86_400)


def _unverified_leaf(tls: ssl.SSLObject) -> bytes | None:
    """The certificate of a failed handshake; the interpreter has no public door to it."""
    inner: Any = getattr(tls, "_sslobj", None)
    try:
        chain = inner.get_unverified_chain()
        leaf = chain[0] if chain else None
        return leaf if leaf is None or isinstance(leaf, bytes) else bytes(leaf.public_bytes(_DER))
    except (AttributeError, ValueError, TypeError, ssl.SSLError):
        return None


def _names(der: bytes) -> str:
    from cryptography import x509

    try:
        parsed = x509.load_der_x509_certificate(der)
        extension = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = [str(name.value) for name in extension.value][:3]
    except (ValueError, x509.ExtensionNotFound):
        return ""
    return ", ".join(names)[:200]


def _name(name: x509.Name) -> str:
    """The common name where there is one, else the whole name."""
    from cryptography.x509.oid import NameOID

    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    organisation = name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    parts = [str(each[0].value) for each in (common, organisation) if each]
    text = ", ".join(parts) or name.rfc4514_string()
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")[:_MAX_NAME]


def _days(seconds: float) -> str:
    days = int(seconds // 86_400)
    if days >= 1:
        return f"{days} day" + "s" * (days != 1)
    hours = int(seconds // 3_600)
    return f"{hours} hour" + "s" * (hours != 1) if hours else "less than an hour"


@lru_cache(maxsize=2_048)
def shown_date(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")

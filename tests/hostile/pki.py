"""Certificates with every fault, all from two roots of our own that the lab's engine trusts."""

from __future__ import annotations

import ipaddress
import ssl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Served = Callable[[], ssl.SSLContext]
TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
CLIENT_ONLY = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
# sha256WithRSAEncryption and sha1WithRSAEncryption differ in the last byte alone.
_RSA_SHA256 = bytes.fromhex("06092a864886f70d01010b")
_RSA_SHA1 = bytes.fromhex("06092a864886f70d010105")


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A key with its certificate, and the certificates that a server sends along."""

    key: Key
    der: bytes
    name: x509.Name
    chain: tuple[bytes, ...] = ()

    def sends(self, *chain: Identity) -> Identity:
        return replace(self, chain=tuple(each.der for each in chain))

    def pem(self) -> bytes:
        private = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        ders = (self.der, *self.chain)
        return private + "".join(ssl.DER_cert_to_PEM_cert(der) for der in ders).encode()


@dataclass(frozen=True, kw_only=True)
class Roots:
    ecdsa: Identity
    rsa: Identity
    ca_file: str


@cache
def roots() -> Roots:
    ecdsa = issue("Hostile root", ca=True, names=())
    rsa_root = issue("Hostile RSA root", ca=True, names=(), key=rsa_key())
    path = Path(tempfile.mkdtemp(prefix="uptime-roots-")) / "roots.pem"
    path.write_text("".join(ssl.DER_cert_to_PEM_cert(each.der) for each in (ecdsa, rsa_root)))
    return Roots(ecdsa=ecdsa, rsa=rsa_root, ca_file=str(path))


@cache
def rsa_key(bits: int = 2_048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, bits)


def issue(
    common: str = "localhost",
    *,
    by: Identity | None = None,
    names: tuple[str, ...] = ("localhost",),
    days: float = 90,
    since_days: float = 365,
    ca: bool = False,
    key: Key | None = None,
    extensions: tuple[x509.ExtensionType, ...] = (),
    critical: bool = False,
) -> Identity:
    """A certificate signed `by` somebody, or by itself."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)] if common else [])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.name if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=since_days))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if names:
        alternatives = x509.SubjectAlternativeName([_alternative(name) for name in names])
        builder = builder.add_extension(alternatives, critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=critical)
    signed = builder.sign(by.key if by else key, hashes.SHA256())
    return Identity(key=key, der=signed.public_bytes(Encoding.DER), name=subject)


@cache
def intermediate(days: float = 900, *, ca: bool = True) -> Identity:
    return issue("Hostile intermediate", by=roots().ecdsa, names=(), days=days, ca=ca)


@cache
def plain_rsa() -> Identity:
    return issue(by=roots().rsa, key=rsa_key())


def long_chain(count: int) -> Identity:
    """A good certificate, and many more that have nothing to do with it."""
    stranger = issue("Stranger", names=tuple(f"host-{n}.example.com" for n in range(50)))
    return issue(by=roots().ecdsa).sends(*[stranger] * count)


def with_sha1(identity: Identity, signer: rsa.RSAPrivateKey) -> Identity:
    """The same certificate under a SHA-1 signature, which no library makes any more."""
    parsed = x509.load_der_x509_certificate(identity.der)
    to_sign = parsed.tbs_certificate_bytes.replace(_RSA_SHA256, _RSA_SHA1)
    signature = signer.sign(to_sign, padding.PKCS1v15(), hashes.SHA1())
    algorithm = b"\x30\x0d" + _RSA_SHA1 + b"\x05\x00"
    bits = b"\x03" + _length(len(signature) + 1) + b"\0" + signature
    inner = to_sign + algorithm + bits
    return replace(identity, der=b"\x30" + _length(len(inner)) + inner)


def context(identity: Identity, **settings: Any) -> ssl.SSLContext:
    """A server's TLS context; settings are attributes of it, or its ciphers."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # A server that our client ought to refuse has to be willing itself.
    server.set_ciphers(settings.pop("ciphers", "DEFAULT:@SECLEVEL=0"))
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(identity.pem())
        file.flush()
        server.load_cert_chain(file.name)
    for name, value in settings.items():
        setattr(server, name, value)
    return server


def shows(identity: Callable[[], Identity], **settings: Any) -> Served:
    """A server with this certificate, made when it is needed."""
    return lambda: context(identity(), **settings)


def leaf(*names: str, **fields: Any) -> Served:
    """A server with a certificate from a trusted root."""
    return shows(lambda: issue(by=roots().ecdsa, names=names or ("localhost",), **fields))


def under(middle: Callable[[], Identity], *, sent: bool = True) -> Served:
    """A server with a certificate that this one signed, which it sends along or not."""
    return shows(lambda: issue(by=middle()).sends(*[middle()] * sent))


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _length(count: int) -> bytes:
    """A DER length of two bytes."""
    return b"\x82" + count.to_bytes(2, "big")

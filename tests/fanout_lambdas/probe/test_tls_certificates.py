"""Certificates that are accepted and refused, each fault with its sentence, and what verification switched
off makes of them."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from fanout_lambdas.shared.contracts import Reason
from tests.hostile.lab import Seen, down, probe_all, up
from tests.hostile.pki import (
    CLIENT_ONLY,
    TLS12,
    TLS13,
    Served,
    context,
    intermediate,
    issue,
    leaf,
    long_chain,
    plain_rsa,
    roots,
    rsa_key,
    shows,
    under,
    with_sha1,
)
from tests.hostile.scripts import sends
from tests.targets import answer

GOOD = sends(answer())
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00")
P384 = ec.generate_private_key(ec.SECP384R1())

ACCEPTED: dict[str, Served] = {
    "ECDSA": leaf(),
    "ECDSA P-384": leaf(key=P384),
    "RSA": shows(plain_rsa),
    "TLS 1.2 alone": shows(plain_rsa, maximum_version=TLS12),
    "TLS 1.3 alone": shows(plain_rsa, minimum_version=TLS13),
    "CBC alone": shows(plain_rsa, maximum_version=TLS12, ciphers="ECDHE-RSA-AES128-SHA256"),
    "with an intermediate": under(intermediate),
    "with its root": shows(lambda: issue(by=roots().ecdsa).sends(roots().ecdsa)),
    "chain in disorder": shows(
        lambda: issue(by=intermediate()).sends(roots().ecdsa, roots().rsa, intermediate())
    ),
    "40 certificates too many": shows(lambda: long_chain(40)),
    "many names": leaf(*(f"host-{n}.example.com" for n in range(1_000)), "localhost"),
    "names in capitals": leaf("LOCALHOST"),
    "no subject": leaf(common=""),
    "subject of another host": leaf(common="other.example.com"),
    "valid for 5,000 years": leaf(days=365 * 5_000),
    "valid for one more hour": leaf(days=1 / 24),
    "unknown extension": leaf(extensions=(UNKNOWN,)),
}

REJECTED: dict[str, tuple[Served, Reason, str]] = {
    "expired": (leaf(days=-2.1), Reason.CERT_EXPIRY, "TLS certificate expired 2 days ago."),
    "expired, one day": (leaf(days=-1.1), Reason.CERT_EXPIRY, "expired 1 day ago."),
    "expired, minutes": (leaf(days=-0.02), Reason.CERT_EXPIRY, "expired less than an hour ago."),
    "expired, years": (
        leaf(days=-400.1, since_days=800),
        Reason.CERT_EXPIRY,
        "expired 400 days ago.",
    ),
    "expired and for another host": (
        leaf("other.example.com", days=-2.1),
        Reason.CERT_EXPIRY,
        "expired 2 days ago.",
    ),
    "expired and self-signed": (
        lambda: context(issue(days=-2.1)),
        Reason.CERT_EXPIRY,
        "expired 2 days ago.",
    ),
    "not yet valid": (leaf(since_days=-1), Reason.TLS, "not valid yet"),
    "another host": (
        leaf("other.example.com"),
        Reason.TLS,
        "not for localhost but for other.example.com.",
    ),
    "many other hosts": (
        leaf(*(f"host-{n}.example.com" for n in range(1_000))),
        Reason.TLS,
        "but for host-0.",
    ),
    "wildcard of another domain": (leaf("*.example.com"), Reason.TLS, "but for *.example.com."),
    "lone wildcard": (leaf("*"), Reason.TLS, "not for localhost"),
    "address instead of a name": (leaf("127.0.0.1"), Reason.TLS, "but for 127.0.0.1."),
    "name in the subject alone": (
        lambda: context(issue(by=roots().ecdsa, names=())),
        Reason.TLS,
        "not for localhost",
    ),
    "self-signed": (lambda: context(issue()), Reason.TLS, "self-signed"),
    "unknown authority": (
        under(lambda: issue("Nobody", ca=True, names=())),
        Reason.TLS,
        "unknown authority",
    ),
    "missing intermediate": (
        under(intermediate, sent=False),
        Reason.TLS,
        "its chain is incomplete",
    ),
    "expired intermediate": (
        under(lambda: intermediate(-5)),
        Reason.CERT_EXPIRY,
        "in the TLS chain has expired",
    ),
    "signed by a certificate of no authority": (
        under(lambda: intermediate(ca=False)),
        Reason.TLS,
        "not accepted: invalid CA certificate",
    ),
    "for clients alone": (leaf(extensions=(CLIENT_ONLY,)), Reason.TLS, "not accepted"),
    "unknown critical extension": (
        leaf(extensions=(UNKNOWN,), critical=True),
        Reason.TLS,
        "not accepted",
    ),
    "weak key": (
        shows(lambda: issue(by=roots().rsa, key=rsa_key(1_024))),
        Reason.TLS,
        "key too weak",
    ),
    "weak intermediate": (
        under(lambda: issue("Weak", by=roots().rsa, names=(), ca=True, key=rsa_key(1_024))),
        Reason.TLS,
        "key too weak",
    ),
    "SHA-1": (shows(lambda: with_sha1(plain_rsa(), rsa_key())), Reason.TLS, "too weak"),
}

CASES = (
    {f"accepted: {name}": up(GOOD, tls=tls) for name, tls in ACCEPTED.items()}
    | {
        f"rejected: {name}": down(GOOD, reason, words, tls=tls)
        for name, (tls, reason, words) in REJECTED.items()
    }
    | {
        f"not verified: {name}": up(GOOD, tls=tls, verify_tls=False)
        for name, (tls, _, _) in REJECTED.items()
    }
)


@pytest.fixture(scope="module")
def seen() -> dict[str, Seen]:
    return probe_all(CASES)


@pytest.mark.parametrize("name", CASES)
def test_certificates(name: str, seen: dict[str, Seen]) -> None:
    CASES[name].check(seen[name])


@pytest.mark.parametrize("name", REJECTED)
def test_a_rejected_server_is_asked_nothing_and_shows_its_certificate(
    name: str, seen: dict[str, Seen]
) -> None:
    this = seen[f"rejected: {name}"]
    assert this.requests == []
    assert this.result.http_status is None
    shown, known = this.result.certificate, seen[f"not verified: {name}"].result.certificate
    assert shown
    assert known
    assert (shown.subject, shown.issuer) == (known.subject, known.issuer)
    assert abs(shown.not_after - known.not_after) < 60  # each server made its own

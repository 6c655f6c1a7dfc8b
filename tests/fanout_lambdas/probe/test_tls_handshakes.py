"""TLS handshakes and connections that go wrong, or merely look strange: each end has its sentence."""

from __future__ import annotations

import ssl
import warnings

import pytest

from fanout_lambdas.shared.contracts import Reason
from tests.hostile.lab import Case, Script, Seen, down, probe_all, up
from tests.hostile.peer import Peer, TlsPeer
from tests.hostile.pki import (
    TLS12,
    TLS13,
    Served,
    context,
    issue,
    leaf,
    long_chain,
    plain_rsa,
    roots,
    shows,
)
from tests.hostile.scripts import bytewise, holds, over, resets, sends, speaks_first
from tests.targets import answer

GOOD = sends(answer())


def raw(data: bytes) -> Script:
    """Answer the ClientHello with these bytes and close."""

    async def script(peer: Peer) -> None:
        await peer.recv()
        await peer.send(data)

    return script


def alert(code: int) -> Script:
    return raw(bytes([0x15, 3, 3, 0, 2, 2, code]))


def after_flight(*, reset: bool, part: float = 1) -> Script:
    """End the handshake when this part of the first flight is sent."""

    async def script(peer: TlsPeer) -> None:
        flight = await peer.first_flight()
        await Peer.send(peer, flight[: int(len(flight) * part)])
        if reset:
            peer.reset()
        else:
            await peer.close_without_notice()

    return script


async def resets_at_once(peer: Peer) -> None:
    peer.reset()


async def resets_after_hello(peer: Peer) -> None:
    await peer.recv()
    peer.reset()


async def closes_at_once(peer: Peer) -> None:
    """No step."""


async def damages_its_flight(peer: TlsPeer) -> None:
    flight = bytearray(await peer.first_flight())
    flight[len(flight) // 2] ^= 0xFF
    await Peer.send(peer, bytes(flight))
    await peer.close_without_notice()


async def sends_byte_by_byte(peer: TlsPeer) -> None:
    for byte in await peer.first_flight():
        await Peer.send(peer, bytes([byte]))
    await peer.handshake()
    await peer.request()
    await peer.send(answer())


async def closes_after_handshake(peer: TlsPeer) -> None:
    await peer.handshake()


def ragged(data: bytes) -> Script:
    async def step(peer: TlsPeer) -> None:
        await peer.send(data)
        await peer.close_without_notice()

    return over(step)


async def sends_plain_text(peer: TlsPeer) -> None:
    """Leaves TLS in the middle of the answer."""
    await peer.handshake()
    await peer.request()
    await Peer.send(peer, answer())


def by_name() -> ssl.SSLContext:
    """A server of many names: without the right one it shows somebody else's certificate."""
    default = context(issue(by=roots().ecdsa, names=("default.example.com",)))
    right = context(issue(by=roots().ecdsa))

    def choose(tls: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        if name == "localhost":
            tls.context = right

    default.sni_callback = choose
    return default


def no_name_for_addresses() -> ssl.SSLContext:
    """Refuses a client that sends an address as its server name, which RFC 6066 forbids."""
    server = context(issue(by=roots().ecdsa, names=("127.0.0.1",)))
    server.sni_callback = lambda tls, name, _: (
        ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME if name else None
    )
    return server


def refuses_names() -> ssl.SSLContext:
    server = context(issue(by=roots().ecdsa))
    server.sni_callback = lambda tls, name, _: ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
    return server


def demands_certificate(version: ssl.TLSVersion) -> ssl.SSLContext:
    server = context(plain_rsa(), verify_mode=ssl.CERT_REQUIRED)
    server.load_verify_locations(roots().ca_file)
    server.maximum_version = version
    return server


def knows_http2_alone() -> ssl.SSLContext:
    server = context(plain_rsa())
    server.set_alpn_protocols(["h2"])
    return server


def old(version: ssl.TLSVersion) -> Served:
    def make() -> ssl.SSLContext:
        server = context(plain_rsa())
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            server.minimum_version = server.maximum_version = version
        return server

    return make


SPEAKS_NO_TLS = "The server does not speak TLS on this port."
OLD = "no TLS version that is still safe"
CLOSED = "closed the connection in the TLS handshake"
RESET = "reset the connection in the TLS handshake"
HTTP_400 = answer("400 Bad Request", b"")

CASES: dict[str, Case] = {
    "plain HTTP": down(raw(HTTP_400), Reason.TLS, SPEAKS_NO_TLS, scheme="https"),
    "plain HTTP that speaks first": down(
        speaks_first(answer()), Reason.TLS, SPEAKS_NO_TLS, scheme="https"
    ),
    "SSH": down(
        speaks_first(b"SSH-2.0-OpenSSH_9.6\r\n"), Reason.TLS, SPEAKS_NO_TLS, scheme="https"
    ),
    "SMTP": down(speaks_first(b"220 mail ESMTP\r\n"), Reason.TLS, SPEAKS_NO_TLS, scheme="https"),
    "garbage": down(raw(bytes(range(255, 0, -1))), Reason.TLS, SPEAKS_NO_TLS, scheme="https"),
    "zeros": down(raw(b"\0" * 100), Reason.TLS, SPEAKS_NO_TLS, scheme="https"),
    "flood of garbage": down(raw(b"\xff" * 1_000_000), Reason.TLS, SPEAKS_NO_TLS, scheme="https"),
    "TLS on the plain port": down(
        GOOD, Reason.CONNECTION, "without an answer", scheme="http", tls=leaf()
    ),
    "alert on the plain port": down(alert(40), Reason.PROTOCOL, "not valid HTTP"),
    "closes at once": down(closes_at_once, Reason.TLS, CLOSED, scheme="https"),
    "closes after the hello": down(raw(b""), Reason.TLS, CLOSED, scheme="https"),
    "closes in its hello": down(
        after_flight(reset=False, part=0.03), Reason.TLS, CLOSED, tls=leaf()
    ),
    "closes in its certificate": down(
        after_flight(reset=False, part=0.6), Reason.TLS, CLOSED, tls=leaf()
    ),
    "resets at once": down(resets_at_once, Reason.TLS, RESET, scheme="https"),
    "resets after the hello": down(resets_after_hello, Reason.TLS, RESET, scheme="https"),
    "resets in its certificate": down(
        after_flight(reset=True, part=0.6), Reason.TLS, RESET, tls=leaf()
    ),
    "damaged": down(damages_its_flight, Reason.TLS, "The TLS connection failed", tls=leaf()),
    "alert: handshake failure": down(
        alert(40), Reason.TLS, "The server refused the TLS handshake", scheme="https"
    ),
    "alert: internal error": down(
        alert(80), Reason.TLS, "The server refused the TLS handshake", scheme="https"
    ),
    "alert: unrecognized name": down(
        GOOD, Reason.TLS, "The server does not know the name localhost", tls=refuses_names
    ),
    "alert: no application protocol": down(
        alert(120), Reason.TLS, "The server refused the TLS handshake", scheme="https"
    ),
    "alert: protocol version": down(alert(70), Reason.TLS, OLD, scheme="https"),
    "TLS 1.0 alone": down(GOOD, Reason.TLS, OLD, tls=old(ssl.TLSVersion.TLSv1)),
    "TLS 1.1 alone": down(GOOD, Reason.TLS, OLD, tls=old(ssl.TLSVersion.TLSv1_1)),
    "TLS 1.0 alone, not verified": down(
        GOOD, Reason.TLS, OLD, tls=old(ssl.TLSVersion.TLSv1), verify_tls=False
    ),
    "demands a certificate, 1.2": down(  # says so by a handshake failure alone
        GOOD, Reason.TLS, "refused the TLS handshake", tls=lambda: demands_certificate(TLS12)
    ),
    "demands a certificate, 1.3": down(
        GOOD, Reason.TLS, "client certificate", tls=lambda: demands_certificate(TLS13)
    ),
    "byte by byte": up(sends_byte_by_byte, tls=leaf()),
    "answer byte by byte": up(bytewise(answer()), tls=leaf()),
    "knows HTTP/2 alone, answers anyway": up(GOOD, tls=knows_http2_alone),
    "right certificate by name": up(GOOD, tls=by_name),
    "no server name for an address": up(GOOD, tls=no_name_for_addresses, host="127.0.0.1"),
    "address in the certificate": up(GOOD, tls=leaf("127.0.0.1"), host="127.0.0.1"),
    "another address in the certificate": down(
        GOOD,
        Reason.TLS,
        "not for 127.0.0.1 but for 127.0.0.2.",
        tls=leaf("127.0.0.2"),
        host="127.0.0.1",
    ),
    "name instead of an address": down(
        GOOD, Reason.TLS, "not for 127.0.0.1 but for localhost.", tls=leaf(), host="127.0.0.1"
    ),
    "address as a name": down(
        GOOD,
        Reason.TLS,
        "not for 127.0.0.1",
        tls=lambda: context(issue("127.0.0.1", by=roots().ecdsa, names=())),
        host="127.0.0.1",
    ),
    "chain of 500 kB": down(
        GOOD, Reason.TLS, "The TLS connection failed", tls=shows(lambda: long_chain(300))
    ),
    "large answer": up(sends(answer(body=b"x" * 500_000)), size=500_000, tls=leaf()),
    "no notice at the end, with a length": up(ragged(answer()), tls=leaf()),
    "no notice at the end, without a length": up(ragged(answer(length=False)), tls=leaf()),
    "no notice in the middle": down(
        ragged(answer()[:-1]), Reason.PROTOCOL, "before its answer was complete", tls=leaf()
    ),
    "kept open": up(holds(answer()), tls=leaf()),
    "closes after the handshake": down(
        closes_after_handshake, Reason.CONNECTION, "without an answer", tls=leaf()
    ),
    "closes after the request": down(sends(), Reason.CONNECTION, "without an answer", tls=leaf()),
    # Older interpreters take a reset inside TLS for a close.
    "resets after the request": down(resets(), Reason.CONNECTION, "the connection", tls=leaf()),
    "leaves TLS": down(sends_plain_text, Reason.TLS, "The TLS connection failed", tls=leaf()),
}


@pytest.fixture(scope="module")
def seen() -> dict[str, Seen]:
    return probe_all(CASES)


@pytest.mark.parametrize("name", CASES)
def test_handshakes(name: str, seen: dict[str, Seen]) -> None:
    CASES[name].check(seen[name])

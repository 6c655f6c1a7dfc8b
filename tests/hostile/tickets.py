"""A TLS 1.3 server that answers with session tickets alone: 840 of them in each record, already encrypted."""

from __future__ import annotations

import hashlib
import hmac
import os
import ssl
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.hostile.peer import Peer, TlsPeer
from tests.hostile.pki import TLS13, context, issue, roots

RECORDS = 60
# RFC 8446, section 4.6.1: lifetime, age_add, a nonce and a ticket of one byte each, no extensions.
_FIELDS = bytes.fromhex("00000e10 01020304 01 07 0001 5a 0000")
_TICKET = b"\x04" + len(_FIELDS).to_bytes(3, "big") + _FIELDS
_HANDSHAKE = b"\x16"
_INNER = _TICKET * (16_000 // len(_TICKET)) + _HANDSHAKE


def ticket_server() -> ssl.SSLContext:
    """It logs its keys, for the script that writes the records."""
    server = context(issue(by=roots().ecdsa), minimum_version=TLS13, num_tickets=0)
    handle, server.keylog_filename = tempfile.mkstemp(prefix="uptime-keys-")
    os.close(handle)
    return server


async def floods_with_tickets(peer: TlsPeer) -> None:
    await peer.handshake()
    await peer.request()
    keys = Path(peer.context.keylog_filename)
    (secret,) = (
        bytes.fromhex(line.split()[2])
        for line in keys.read_text().splitlines()
        if line.startswith("SERVER_TRAFFIC_SECRET_0")
    )
    keys.unlink()
    cipher, start = AESGCM(_expand(secret, b"key", 32)), _expand(secret, b"iv", 12)
    header = b"\x17\x03\x03" + (len(_INNER) + 16).to_bytes(2, "big")
    flood = b""
    for number in range(RECORDS):
        nonce = (int.from_bytes(start, "big") ^ number).to_bytes(12, "big")
        flood += header + cipher.encrypt(nonce, _INNER, header)
    await Peer.send(peer, flood)
    await Peer.linger(peer)


def _expand(secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label of RFC 8446, section 7.1, for TLS_AES_256_GCM_SHA384 and one round."""
    name = b"tls13 " + label
    info = size.to_bytes(2, "big") + bytes([len(name)]) + name + b"\0"
    return hmac.new(secret, info + b"\x01", hashlib.sha384).digest()[:size]

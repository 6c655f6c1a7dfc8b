"""Signatures: what passes, and each way not to."""

from __future__ import annotations

import pytest

from fanout_lambdas.shared.signing import (
    SignatureError,
    SignatureMissing,
    SignatureStale,
    SignatureWrong,
    key_id_of,
    sign,
    verify,
)

SECRET, BODY, NOW = b"s" * 32, b'{"a":1}', 1_795_409_208


def signed() -> dict[str, str]:
    return sign(BODY, "local-1", SECRET, NOW)


def test_known_signature() -> None:
    assert signed() == {
        "X-Uptime-Key": "local-1",
        "X-Uptime-Timestamp": "1795409208",
        "X-Uptime-Signature": "v1=0c0628f13c58c3c0d595ae650d67367d0c4c82bb6d691384c6758f45c527e405",
    }


@pytest.mark.parametrize("now", [NOW, NOW - 60, NOW + 60])
def test_own_signature_passes_within_a_minute(now: int) -> None:
    verify(signed(), BODY, SECRET, now)


def test_header_names_are_read_in_any_case() -> None:
    headers = {name.lower(): value for name, value in signed().items()}
    verify(headers, BODY, SECRET, NOW)
    assert key_id_of(headers) == "local-1"


@pytest.mark.parametrize("now", [NOW - 61, NOW + 61, 0])
def test_stale_is_refused_unless_the_spool_asks(now: int) -> None:
    with pytest.raises(SignatureStale):
        verify(signed(), BODY, SECRET, now)
    verify(signed(), BODY, SECRET, now, tolerance_s=None)


@pytest.mark.parametrize(
    ("body", "secret", "changed"),
    [
        (BODY + b" ", SECRET, {}),
        (b"", SECRET, {}),
        (BODY, b"t" * 32, {}),
        (BODY, SECRET, {"X-Uptime-Timestamp": str(NOW + 1)}),
        (BODY, SECRET, {"X-Uptime-Signature": "v1=" + "0" * 64}),
        (BODY, SECRET, {"X-Uptime-Signature": "v1="}),
    ],
)
def test_wrong_is_refused(body: bytes, secret: bytes, changed: dict[str, str]) -> None:
    with pytest.raises(SignatureWrong):
        verify(signed() | changed, body, secret, NOW)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Uptime-Timestamp", ""),
        ("X-Uptime-Timestamp", "now"),
        ("X-Uptime-Timestamp", "-1"),
        ("X-Uptime-Timestamp", "1795409208.0"),
        ("X-Uptime-Timestamp", "١٢٣"),
        ("X-Uptime-Timestamp", "9" * 5_000),
        ("X-Uptime-Signature", ""),
        ("X-Uptime-Signature", "abc"),
        ("X-Uptime-Signature", "v2=abc"),
        ("X-Uptime-Signature", "v1=é"),
    ],
)
def test_malformed_is_refused(name: str, value: str) -> None:
    with pytest.raises(SignatureMissing):
        verify(signed() | {name: value}, BODY, SECRET, NOW)


@pytest.mark.parametrize("value", ["", "a\nb", "é", "k" * 65])
def test_key_id_must_be_short_and_plain(value: str) -> None:
    with pytest.raises(SignatureError):
        key_id_of({"X-Uptime-Key": value})

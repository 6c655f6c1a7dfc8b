"""TLS certificate probes against real loopback servers: chain, name and days, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import ssl
import time
from typing import Any

import pytest

from fanout_lambdas.probe.run import ProbeEngine
from fanout_lambdas.shared.contracts import Kind, Outcome, Probe, Reason, Result
from fanout_lambdas.shared.netguard import AllowList, Guard
from tests.targets import authority, free_port, resets, serve

OPEN = Guard(AllowList.parse("127.0.0.1, ::1"))


def probe(url: str, *, guard: Guard = OPEN, **fields: Any) -> Result:
    async def run() -> Result:
        engine = ProbeEngine(
            guard=guard, user_agent="Uptime/1.0 (+test)", ca_file=authority().ca_file
        )
        try:
            raw = {"check_id": 7, "slot": 5, "kind": "tls", "url": url, "family": "4", **fields}
            return await engine.probe(Probe.from_json(raw))
        finally:
            engine.close()

    result = asyncio.run(run())
    assert (result.check_id, result.slot, result.http_status) == (7, 5, None)
    assert Result.from_json(json.loads(json.dumps(result.to_json()))) == result
    assert bool(result.message) == (result.outcome is not Outcome.UP)
    return result


def shake(
    context: ssl.SSLContext, *, host: str = "localhost", bind: str = "127.0.0.1", **fields: Any
) -> Result:
    with serve(lambda peer, request: None, context=context, host=bind) as target:
        result = probe(f"tls://{host}:{target.port}", **fields)
    assert target.requests == []
    return result


def test_a_sound_certificate_is_up_with_every_figure() -> None:
    result = shake(authority().context(days=90.5), cert_min_days=14)
    assert (result.outcome, result.reason, result.bytes) == (Outcome.UP, Reason.NONE, 0)
    assert result.certificate is not None
    assert abs(result.certificate.not_after - time.time() - 90.5 * 86_400) < 600
    assert (result.certificate.subject, result.certificate.issuer) == (
        "localhost",
        "Test authority",
    )
    (assertion,) = result.assertions
    end = time.strftime("%Y-%m-%d", time.gmtime(result.certificate.not_after))
    assert (assertion.kind, assertion.ok) == ("certificate", True)
    assert assertion.expected == "valid, 14 days or more"
    assert assertion.got == f"valid until {end}, 90 days left"
    phases = result.phases
    assert None not in (phases.dns_us, phases.connect_us, phases.tls_us)
    assert (phases.send_us, phases.wait_us, phases.receive_us) == (None, None, None)


@pytest.mark.parametrize("bind", ["127.0.0.1", "::1"])
def test_a_certificate_for_an_address(bind: str) -> None:
    host, family = (f"[{bind}]", "6") if ":" in bind else (bind, "4")
    result = shake(authority().context(bind), host=host, bind=bind, family=family)
    assert (result.outcome, result.remote_address) == (Outcome.UP, bind)
    assert [each.expected for each in result.assertions] == ["valid"]


@pytest.mark.parametrize(
    ("days", "least", "words"),
    [
        (8.5, 14, "TLS certificate expires in 8 days ("),
        (1.5, 14, "TLS certificate expires in 1 day ("),
        (0.5, 1, "TLS certificate expires in 0 days ("),
    ],
)
def test_a_certificate_near_its_end_is_degraded(days: float, least: int, words: str) -> None:
    result = shake(authority().context(days=days), cert_min_days=least)
    assert (result.outcome, result.reason) == (Outcome.DEGRADED, Reason.CERT_EXPIRY)
    assert result.message.startswith(words)
    assert result.message.endswith(f"warned below {least}.")
    (assertion,) = result.assertions
    assert not assertion.ok
    assert assertion.got.startswith("valid until ")


@pytest.mark.parametrize(
    ("made", "reason", "words"),
    [
        ({"days": -2.1}, Reason.CERT_EXPIRY, "expired 2 days ago"),
        ({"host": "other.example.com"}, Reason.TLS, "not for localhost but for other.example.com"),
        ({"self_signed": True}, Reason.TLS, "self-signed or signed by an unknown authority"),
        ({"days": 9, "since_days": -3}, Reason.TLS, "not valid yet"),
    ],
)
def test_a_refused_certificate_is_down(made: dict[str, Any], reason: Reason, words: str) -> None:
    result = shake(authority().context(**made))
    assert (result.outcome, result.reason) == (Outcome.DOWN, reason)
    assert words in result.message
    assert result.certificate is not None
    (assertion,) = result.assertions
    assert (assertion.kind, assertion.ok, assertion.got) == ("certificate", False, result.message)


def test_unverified_still_has_its_dates_judged() -> None:
    wrong = authority().context("other.example.com", days=5.5, self_signed=True)
    assert shake(wrong, verify_tls=False).outcome is Outcome.UP
    assert shake(wrong, verify_tls=False, cert_min_days=14).outcome is Outcome.DEGRADED
    expired = shake(authority().context(days=-1), verify_tls=False)
    assert (expired.outcome, expired.reason) == (Outcome.DOWN, Reason.CERT_EXPIRY)
    assert expired.message.startswith("TLS certificate expired on ")


@pytest.mark.parametrize(
    ("greeting", "words"),
    [
        (b"220 mail.example.com ESMTP\r\n", "does not speak TLS"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak TLS"),
    ],
)
def test_a_server_without_tls_is_down(greeting: bytes, words: str) -> None:
    with serve(resets, greeting=greeting) as target:
        result = probe(f"tls://127.0.0.1:{target.port}")
    assert (result.outcome, result.reason) == (Outcome.DOWN, Reason.TLS)
    assert words in result.message
    assert (result.certificate, result.assertions) == (None, ())


def test_a_silent_server_ends_with_the_deadline() -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        began = time.monotonic()
        result = probe(f"tls://127.0.0.1:{listener.getsockname()[1]}", timeout_ms=1_000)
    assert time.monotonic() - began < 4
    assert (result.reason, result.remote_address) == (Reason.TIMEOUT, "127.0.0.1")
    assert "in the TLS handshake" in result.message


def test_refused_port() -> None:
    result = probe(f"tls://127.0.0.1:{free_port()}")
    assert (result.reason, result.message) == (Reason.CONNECTION, "The connection was refused.")


def test_slow_handshake_is_degraded() -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        context = authority().context()

        async def both() -> Result:
            def answers() -> None:
                peer, _ = listener.accept()
                time.sleep(0.1)
                with contextlib.suppress(OSError), context.wrap_socket(peer, server_side=True):
                    pass

            serving = asyncio.to_thread(answers)
            url = f"tls://localhost:{listener.getsockname()[1]}"
            result, _ = await asyncio.gather(
                asyncio.to_thread(probe, url, max_latency_ms=50), serving
            )
            return result

        result = asyncio.run(both())
    assert (result.outcome, result.reason) == (Outcome.DEGRADED, Reason.LATENCY)
    assert [each.kind for each in result.assertions] == ["certificate", "max_latency_ms"]


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("tls://127.0.0.1", "loopback"),
        ("tls://[fd00:ec2::254]", "metadata"),
        ("tls://localhost:993", "single_label"),
        ("tls://example.com:445", "port"),
        ("https://example.com", "scheme"),
    ],
)
def test_blocked_target_is_a_result_with_its_rule(url: str, rule: str) -> None:
    result = probe(url, guard=Guard())
    assert (result.outcome, result.reason) == (Outcome.DOWN, Reason.BLOCKED)
    assert result.message.startswith(f"Not allowed ({rule}): ")


def test_garbage_for_a_handshake_is_always_a_result() -> None:
    dice = random.Random(5)

    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4_096)
        noise = dice.randbytes(dice.randrange(300))
        record = bytes((dice.choice((20, 21, 22, 23)), 3, dice.randrange(5)))
        whole = record + len(noise).to_bytes(2, "big") + noise
        writer.write(dice.choice((noise, whole, whole[:-1], b"")))
        if dice.random() < 0.5:
            writer.transport.abort()
        writer.close()

    async def run() -> list[Result]:
        engine = ProbeEngine(guard=OPEN, user_agent="Uptime/1.0 (+test)")
        server = await asyncio.start_server(answers, "127.0.0.1", 0)
        url = f"tls://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            one = Probe(check_id=1, slot=0, kind=Kind.TLS, url=url, timeout_ms=5_000)
            return await asyncio.gather(*(engine.probe(one) for _ in range(200)))
        finally:
            server.close()
            engine.close()

    for result in asyncio.run(run()):
        assert result.outcome is Outcome.DOWN
        assert result.reason in (Reason.TLS, Reason.CONNECTION, Reason.TIMEOUT)
        assert result.message

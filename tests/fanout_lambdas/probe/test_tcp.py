"""TCP probes against real loopback servers: what connects, what is said, what comes back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_lambdas.probe.escapes import unescaped
from fanout_lambdas.probe.run import ProbeEngine
from fanout_lambdas.shared.contracts import Outcome, Probe, Reason, Result
from fanout_lambdas.shared.netguard import AllowList, Guard
from tests.targets import free_port, resets

OPEN = Guard(AllowList.parse("127.0.0.1, ::1"))
Script = Callable[[socket.socket], None]


@contextlib.contextmanager
def listen(script: Script, host: str = "127.0.0.1") -> Iterator[int]:
    """Runs the script for each connection, then closes it; yields the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, 0), family=family)

    def one(peer: socket.socket) -> None:
        with contextlib.suppress(OSError), peer:
            peer.settimeout(10)
            script(peer)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def says(*parts: bytes, then: Script | None = None) -> Script:
    def script(peer: socket.socket) -> None:
        for part in parts:
            peer.sendall(part)
            time.sleep(0.01)
        if then:
            then(peer)

    return script


def waits(peer: socket.socket) -> None:
    """Until the prober goes away."""
    while peer.recv(4_096):
        pass


def floods(peer: socket.socket) -> None:
    while True:
        peer.sendall(b"x" * 65_536)


def probe(url: str, *, guard: Guard = OPEN, **fields: Any) -> Result:
    async def run() -> Result:
        engine = ProbeEngine(guard=guard, user_agent="Uptime/1.0 (+test)")
        try:
            raw = {"check_id": 7, "slot": 5, "kind": "tcp", "url": url, **fields}
            return await engine.probe(Probe.from_json(raw))
        finally:
            engine.close()

    result = asyncio.run(run())
    assert (result.check_id, result.slot, result.http_status) == (7, 5, None)
    assert Result.from_json(json.loads(json.dumps(result.to_json()))) == result
    assert bool(result.message) == (result.outcome is not Outcome.UP)
    return result


def probe_script(script: Script, **fields: Any) -> Result:
    with listen(script) as port:
        return probe(f"tcp://127.0.0.1:{port}", **fields)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_a_connection_that_stands_is_enough(host: str) -> None:
    bare = "::1" if host == "[::1]" else "127.0.0.1"
    with listen(waits, bare) as port:
        result = probe(f"tcp://{host}:{port}", family="6" if ":" in host else "4")
    assert (result.outcome, result.reason, result.bytes) == (Outcome.UP, Reason.NONE, 0)
    assert result.remote_address == bare
    phases = result.phases
    assert phases.dns_us is not None
    assert phases.connect_us is not None
    assert (phases.tls_us, phases.send_us, phases.wait_us) == (None, None, None)
    assert (result.assertions, result.evidence, result.certificate) == ((), None, None)


@pytest.mark.parametrize(
    ("script", "expect"),
    [
        (says(b"220 mail.example.com ESMTP\r\n", then=waits), "220 "),
        (says(b"SSH-2.0-Open", b"SSH_9.2\r\n", then=waits), "OpenSSH"),
        (says(b"J\x00\x00\x00\x0a8.0.36\x00", then=waits), r"\x00\x0a8."),
        (says("grüß dich".encode(), then=waits), "grüß"),
        (says(b"x" * 60_000 + b"end"), "end"),
        (says(b"a", b"b", b"c", b"d", then=waits), "bcd"),
        (says(b"last words"), "words"),
        (says(b"last words", then=lambda peer: resets(peer, b"")), "words"),
    ],
)
def test_what_is_expected_comes(script: Script, expect: str) -> None:
    result = probe_script(script, expect=expect)
    assert (result.outcome, result.evidence) == (Outcome.UP, None)
    (assertion,) = result.assertions
    assert (assertion.kind, assertion.expected, assertion.ok) == ("expect", expect, True)
    assert result.phases.wait_us is not None
    assert result.phases.receive_us is not None


def test_what_the_check_says_arrives_and_is_answered() -> None:
    heard: list[bytes] = []

    def redis(peer: socket.socket) -> None:
        heard.append(peer.recv(100))
        peer.sendall(b"+PONG\r\n")
        waits(peer)

    result = probe_script(redis, send=r"PING\r\n", expect=r"+PONG\r\n")
    assert heard == [b"PING\r\n"]
    assert (result.outcome, result.bytes) == (Outcome.UP, 7)
    assert result.phases.send_us is not None


def test_saying_without_expecting_does_not_wait() -> None:
    heard = threading.Event()

    def listens(peer: socket.socket) -> None:
        if peer.recv(100) == b"metric 1\n":
            heard.set()
        waits(peer)

    with listen(listens) as port:
        result = probe(f"tcp://127.0.0.1:{port}", send="metric 1\n")
        assert heard.wait(5)
    assert (result.outcome, result.bytes) == (Outcome.UP, 0)


@pytest.mark.parametrize(
    ("script", "got"),
    [
        (says(b"554 no service\r\n"), "554 no service"),
        (says(b"554 no service\r\n", then=waits), "554 no service"),
        (says(b"\x00\x01\xff", then=waits), "Not text; it begins with the bytes 00 01 ff."),
        (floods, "x" * 200),
        (lambda peer: says(*[b"."] * 1_000)(peer), "." * 200),
    ],
    ids=["closes", "stays", "binary", "floods", "drips"],
)
def test_what_is_expected_does_not_come(script: Script, got: str) -> None:
    began = time.monotonic()
    result = probe_script(script, expect="220 ", timeout_ms=1_000)
    assert time.monotonic() - began < 4
    assert (result.outcome, result.reason) == (Outcome.DOWN, Reason.KEYWORD)
    assert result.message.startswith("Expected “220 ”, got “")
    (assertion,) = result.assertions
    assert (assertion.ok, assertion.expected) == (False, "220 ")
    assert assertion.got
    assert got.startswith(assertion.got)
    assert 0 < result.bytes <= 64 * 1024
    assert result.evidence is not None
    assert got[:1] in result.evidence.body


def test_beyond_64_kb_nothing_is_found() -> None:
    result = probe_script(says(b"x" * 65_536 + b"end"), expect="end")
    assert (result.reason, result.bytes) == (Reason.KEYWORD, 65_536)


@pytest.mark.parametrize(
    ("script", "reason", "message"),
    [
        (waits, Reason.TIMEOUT, "waiting for the answer's first byte"),
        (lambda peer: None, Reason.CONNECTION, "closed the connection without an answer"),
        (lambda peer: resets(peer, b""), Reason.CONNECTION, "reset the connection"),
    ],
    ids=["silent", "closes", "resets"],
)
def test_nothing_comes(script: Script, reason: Reason, message: str) -> None:
    result = probe_script(script, expect="220", timeout_ms=1_000)
    assert (result.outcome, result.reason, result.evidence) == (Outcome.DOWN, reason, None)
    assert message in result.message


def test_refused_port_and_missing_name() -> None:
    refused = probe(f"tcp://127.0.0.1:{free_port()}")
    assert (refused.outcome, refused.reason) == (Outcome.DOWN, Reason.CONNECTION)
    assert refused.message == "The connection was refused."


@pytest.mark.parametrize(
    ("url", "fields", "rule"),
    [
        ("tcp://127.0.0.1:9001", {}, "loopback"),
        ("tcp://10.0.0.1:22", {}, "private"),
        ("tcp://169.254.169.254:80", {}, "metadata"),
        ("tcp://metadata.google.internal:80", {}, "metadata"),
        ("tcp://8.8.8.8:25", {"send": "EHLO x\r\n"}, "port"),
        ("tcp://8.8.8.8:6379", {"send": "FLUSHALL\r\n"}, "port"),
        ("tcp://8.8.8.8:445", {}, "port"),
        ("tcp://8.8.8.8", {}, "port"),
        ("http://8.8.8.8", {}, "scheme"),
    ],
)
def test_blocked_target_is_a_result_with_its_rule(
    url: str, fields: dict[str, Any], rule: str
) -> None:
    result = probe(url, guard=Guard(), **fields)
    assert (result.outcome, result.reason) == (Outcome.DOWN, Reason.BLOCKED)
    assert result.message.startswith(f"Not allowed ({rule}): ")


def test_a_name_of_our_own_network_receives_nothing() -> None:
    met: list[socket.socket] = []
    only = Guard(AllowList.parse("127.0.0.9/32"))
    with listen(met.append) as port:
        result = probe(f"tcp://localhost:{port}", guard=only, family="4")
    assert (result.reason, met) == (Reason.BLOCKED, [])


def test_slow_answer_is_degraded_or_down_as_the_client_says() -> None:
    def late(peer: socket.socket) -> None:
        time.sleep(0.1)
        peer.sendall(b"220\r\n")

    for outcome in (Outcome.DEGRADED, Outcome.DOWN):
        result = probe_script(
            late, expect="220", max_latency_ms=50, max_latency_outcome=outcome.value
        )
        assert (result.outcome, result.reason) == (outcome, Reason.LATENCY)
        assert [each.ok for each in result.assertions] == [True, False]


def test_a_secret_that_is_said_does_not_come_back() -> None:
    def echoes(peer: socket.socket) -> None:
        said = peer.recv(100).decode()
        peer.sendall(f"-ERR wrong password '{said.split()[1]}' in {said}".encode())

    result = probe_script(echoes, send=r"AUTH hunter2\r\n", expect="+OK")
    assert result.reason is Reason.KEYWORD
    assert result.evidence is not None
    assert "wrong password '[hidden]'" in result.evidence.body
    assert "hunter2" not in json.dumps(result.to_json())


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("plain", b"plain"),
        (r"a\r\n\tb", b"a\r\n\tb"),
        (r"\x00\xfF\x7f", b"\x00\xff\x7f"),
        (r"\\r \\x41", rb"\r \x41"),
        (r"\q \x4 \xzz end\ ".rstrip(), rb"\q \x4 \xzz end" + b"\\"),
        ("ü\n", "ü\n".encode()),
        ("", b""),
    ],
)
def test_escapes(text: str, data: bytes) -> None:
    assert unescaped(text) == data


@given(st.binary(max_size=50))
def test_every_byte_can_be_written(data: bytes) -> None:
    assert unescaped("".join(f"\\x{byte:02x}" for byte in data)) == data

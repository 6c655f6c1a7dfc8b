"""The targets answer as their paths say, over HTTP and over TLS that the run's own authority vouches for."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from bench.targets.behaviour import FAILING, KEYWORD, Answer, Kind, answer_of, target_of
from uptime.embedded.places import PROJECT


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("targets")
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.targets", "--folder", str(folder)], cwd=PROJECT
    )
    try:
        until = time.monotonic() + 20
        while not (folder / "targets.json").exists():
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.02)
        yield json.loads((folder / "targets.json").read_text())
    finally:
        process.terminate()
        assert process.wait(10) == 0


def ask(addresses: dict[str, str], path: str, *, tls: bool = False) -> tuple[int, str]:
    parts = urlsplit(addresses["https" if tls else "http"])
    assert parts.hostname
    connection: http.client.HTTPConnection
    if tls:
        context = ssl.create_default_context(cafile=addresses["ca"])
        connection = http.client.HTTPSConnection(parts.hostname, parts.port, context=context)
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("tls", [False, True])
def test_a_good_target_takes_its_time(addresses: dict[str, str], tls: bool) -> None:
    began = time.monotonic()
    status, body = ask(addresses, "/ok/120/1", tls=tls)
    assert (status, KEYWORD in body) == (200, True)
    assert time.monotonic() - began >= 0.12


def test_bad_targets_fail_in_their_own_way(addresses: dict[str, str]) -> None:
    assert ask(addresses, "/error/1/1")[0] == 500
    status, body = ask(addresses, "/wrong/1/1")
    assert (status, KEYWORD in body) == (200, False)
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
        ask(addresses, "/reset/1/1", tls=False)
    assert ask(addresses, "/nowhere")[0] == 404


def test_a_hiccup_passes_and_a_switch_stays(addresses: dict[str, str]) -> None:
    assert [ask(addresses, "/hiccup/1/5")[0] for _ in range(5)] == [200, 200, 200, 500, 200]
    assert ask(addresses, "/switch/1/6")[0] == 200
    ask(addresses, "/set/6/down")
    assert ask(addresses, "/switch/1/6")[0] == 500
    ask(addresses, "/set/6/up")
    assert ask(addresses, "/switch/1/6")[0] == 200


def test_flapping_targets_fail_for_two_minutes_of_four() -> None:
    answers = [
        answer_of(Kind.FLAP, number=0, asked=0, now=second, down=False) for second in range(240)
    ]
    assert answers == [Answer.ERROR] * 120 + [Answer.OK] * 120


def test_ten_thousand_targets_are_the_load_that_was_asked_for() -> None:
    targets = [target_of(number) for number in range(10_000)]
    assert sum(target.tls for target in targets) == 5_000
    failing = [target.kind for target in targets if target.kind is not Kind.OK]
    assert len(failing) == 100
    assert set(failing) == set(FAILING)
    delays = [target.delay_ms for target in targets]
    assert min(delays) >= 20
    assert max(delays) <= 500
    assert 240 < sum(delays) / len(delays) < 280
    tls_failing = [target for target in targets if target.kind is not Kind.OK and target.tls]
    assert tls_failing

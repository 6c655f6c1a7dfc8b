"""Guarded connect: only checked addresses are reached, by probes and by webhooks."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from typing import Any

import pytest

from fanout_lambdas.shared.guarded_connect import (
    Address,
    Unresolved,
    check_peer,
    connect_blocking,
    permitted,
)
from fanout_lambdas.shared.netguard import AllowList, Blocked, Guard, parse_url
from tests.targets import answer, free_port, replies, serve

OPEN = Guard(AllowList.parse("127.0.0.1"))
CLOSED = Guard()


def v4(ip: str, port: int = 80) -> Address:
    return Address(socket.AF_INET, ip, port)


def test_literal_and_name_are_resolved_and_connected() -> None:
    with serve(replies(answer())) as target:
        for host in ("127.0.0.1", "localhost"):
            place = parse_url(target.url(host=host))
            with connect_blocking(place, guard=OPEN, timeout_s=5, family="4") as sock:
                assert sock.getpeername() == ("127.0.0.1", target.port)
        assert target.requests == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_closed_address_is_never_connected(host: str) -> None:
    with serve(replies(answer())) as target:
        place = parse_url(target.url(host=host))
        with pytest.raises(Blocked):
            connect_blocking(place, guard=CLOSED, timeout_s=5)
        assert target.requests == []


def test_one_forbidden_answer_forbids_the_name() -> None:
    place = parse_url("http://mixed.example.com/")
    assert permitted([v4("8.8.8.8")], place, CLOSED) == [v4("8.8.8.8")]
    with pytest.raises(Blocked, match=r"mixed\.example\.com resolves to"):
        permitted([v4("8.8.8.8"), v4("10.0.0.1")], place, CLOSED)


def test_of_mixed_answers_only_what_the_operator_opened_is_used() -> None:
    place = parse_url("http://mixed.example.com/")
    found = [v4("10.0.0.1"), v4("127.0.0.1"), v4("8.8.8.8")]
    assert permitted(found, place, OPEN) == [v4("127.0.0.1")]


def test_name_that_does_not_exist_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*args: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "no")

    monkeypatch.setattr(socket, "getaddrinfo", nothing)
    with pytest.raises(Unresolved, match=r"nowhere\.example\.com does not exist"):
        connect_blocking(parse_url("http://nowhere.example.com/"), guard=CLOSED, timeout_s=5)


def test_wrong_family_and_refused_port_are_os_errors() -> None:
    place = parse_url(f"http://127.0.0.1:{free_port()}/")
    with pytest.raises(Unresolved):
        connect_blocking(place, guard=OPEN, timeout_s=5, family="6")
    with pytest.raises(ConnectionRefusedError):
        connect_blocking(place, guard=OPEN, timeout_s=5)


def test_hung_name_server_ends_with_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    event = threading.Event()

    def hangs(*args: Any) -> Any:
        event.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "late")

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    with pytest.raises(TimeoutError):
        connect_blocking(parse_url("http://slow.example.com/"), guard=CLOSED, timeout_s=0.1)
    event.set()


def test_hung_name_server_does_not_hold_up_the_exit() -> None:
    code = """
import socket, time
from fanout_lambdas.shared.guarded_connect import connect_blocking
from fanout_lambdas.shared.netguard import Guard, parse_url
socket.getaddrinfo = lambda *args: time.sleep(60)
try:
    connect_blocking(parse_url("http://slow.example.com/"), guard=Guard(), timeout_s=0.1)
except TimeoutError:
    print("in time")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout == "in time\n"


def test_the_connected_peer_is_checked_again() -> None:
    place, checked = parse_url("http://example.com/"), v4("8.8.8.8")
    check_peer(("8.8.8.8", 80), checked, place, CLOSED)
    for peer, rule in (
        (("127.0.0.1", 80), "loopback"),
        (("169.254.169.254", 80), "metadata"),
        (("::ffff:10.0.0.1", 80, 0, 0), "embedded_ipv4"),
        (("8.8.4.4", 80), "peer"),
        (("8.8.8.8", 443), "peer"),
        (("8.8.8.8", 25), "port"),
    ):
        with pytest.raises(Blocked) as caught:
            check_peer(peer, checked, place, CLOSED)
        assert caught.value.rule == rule


def test_ports_of_an_answer_are_judged_by_what_the_check_does() -> None:
    smtp, found = "tcp://mail.example.com:25", [v4("8.8.8.8", 25)]
    assert permitted(found, CLOSED.check_url(smtp, kind="tcp"), CLOSED) == found
    with pytest.raises(Blocked, match="Port 25"):
        permitted(found, parse_url(smtp, ("tcp",)), CLOSED)

"""Ports: what only connects may use more of them than what sends a tenant's text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fanout_lambdas.shared.netguard import AllowList, Blocked, Guard, Use, check_url
from fanout_lambdas.shared.ports import SERVICES, port_refusal

WEB = (80, 443, 1024, 3000, 5000, 8000, 8080, 8443, 9443, 10443, 32400, 65535)
NEVER = (1, 7, 19, 69, 81, 111, 135, 139, 179, 445, 512, 515, 1023, 2049, 6000, 10080)


@pytest.mark.parametrize("port", WEB)
def test_web_ports_are_open_to_all(port: int) -> None:
    for kind, scheme in (("http", "http"), ("tcp", "tcp"), ("tls", "tls")):
        check_url(f"{scheme}://example.com:{port}", kind=kind)
    check_url(f"tcp://example.com:{port}", kind="tcp", sends=True)


@pytest.mark.parametrize("port", SERVICES)
def test_services_are_open_to_what_only_connects(port: int) -> None:
    assert check_url(f"tcp://example.com:{port}", kind="tcp").use is Use.CONNECT
    assert check_url(f"tls://8.8.8.8:{port}", kind="tls").use is Use.CONNECT
    for url, kind in ((f"tcp://example.com:{port}", "tcp"), (f"http://8.8.8.8:{port}", "http")):
        with pytest.raises(Blocked, match=rf"{port} \(.+\) is open only to") as caught:
            check_url(url, kind=kind, sends=True)
        assert caught.value.rule == "port"


@pytest.mark.parametrize("port", NEVER)
def test_other_ports_stay_closed(port: int) -> None:
    for kind in ("http", "tcp", "tls"):
        with pytest.raises(Blocked, match=f"Port {port} is not open") as caught:
            check_url(f"{kind}://example.com:{port}", kind=kind)
        assert caught.value.rule == "port"


def test_an_http_check_counts_as_sending_whatever_it_says() -> None:
    with pytest.raises(Blocked):
        check_url("http://example.com:25", kind="http", sends=False)


def test_the_operator_opens_a_port_also_to_checks_that_send() -> None:
    guard = Guard(AllowList.parse("127.0.0.1/32:25"))
    assert guard.check_url("tcp://127.0.0.1:25", kind="tcp", sends=True).use is Use.WEB
    guard.check_address("127.0.0.1", 25)
    with pytest.raises(Blocked, match="SMTP"):
        guard.check_address("8.8.8.8", 25)


def test_below_1024_the_web_has_two_ports() -> None:
    assert [port for port in range(1024) if port_refusal(port, Use.WEB) is None] == [80, 443]


def test_the_documents_name_every_service() -> None:
    root = Path(__file__).resolve().parents[3]
    words = " ".join((root / "docs/reach.md").read_text().split())
    listed = re.search(r"may use these too: (.+?)\. The", words)
    assert listed
    assert {int(port) for port in re.findall(r"\b\d+\b", listed[1])} == set(SERVICES)

"""The address guard: every forbidden form is refused, ordinary public forms pass."""

from __future__ import annotations

import pytest

from fanout_lambdas.shared.netguard import AllowList, Blocked, Guard, check_url
from tests.fanout_lambdas.shared.blocked_urls import BLOCKED_URLS


@pytest.mark.parametrize(("url", "rule"), BLOCKED_URLS.items())
def test_url_is_blocked_by_its_rule(url: str, rule: str) -> None:
    with pytest.raises(Blocked) as caught:
        check_url(url)
    assert caught.value.rule == rule
    assert caught.value.message.endswith(".")


def test_one_address_and_port_opens_only_that() -> None:
    guard = Guard(AllowList.parse("127.0.0.1/32:8081"))
    guard.check_url("http://127.0.0.1:8081/")
    guard.check_address("127.0.0.1", 8081)
    for url in ("http://127.0.0.1/", "http://127.0.0.1:8082/", "http://127.0.0.2:8081/"):
        with pytest.raises(Blocked):
            guard.check_url(url)
    with pytest.raises(Blocked):
        guard.check_address("127.0.0.1")
    with pytest.raises(Blocked):
        guard.check_address("::ffff:127.0.0.1", 8081)


def test_open_network_opens_its_names_and_ports_but_not_its_neighbours() -> None:
    guard = Guard(AllowList.parse("10.0.0.0/8, ::1, [fd00::/8]:443"))
    guard.check_address("10.9.8.7", 22)
    guard.check_address("::1", 80)
    guard.check_address("fd00::5", 443)
    guard.check_url("http://db.internal:5432/")  # judged by its addresses when resolved
    for address, port in (("11.0.0.1", 22), ("192.168.0.1", 80), ("fd00::5", 80), ("::2", 80)):
        with pytest.raises(Blocked):
            guard.check_address(address, port)


def test_names_stay_closed_on_ports_that_no_entry_opens() -> None:
    guard = Guard(AllowList.parse("127.0.0.1/32:8081"))
    guard.check_url("http://localhost:8081/")
    with pytest.raises(Blocked, match="no dot"):
        guard.check_url("http://localhost/")


@pytest.mark.parametrize(
    ("kind", "url", "rule"),
    [
        *(("tcp", f"tcp://127.0.0.1:{port}", "loopback") for port in (22, 80, 443, 5432, 9001)),
        *((kind, f"{kind}://169.254.169.254:443", "metadata") for kind in ("tcp", "tls")),
        *((kind, f"{kind}://localhost:443", "single_label") for kind in ("tcp", "tls")),
        *((kind, f"{kind}://db.internal:443", "local_name") for kind in ("tcp", "tls")),
        *((kind, f"{kind}://[::ffff:10.0.0.1]:443", "embedded_ipv4") for kind in ("tcp", "tls")),
        ("tcp", "http://example.com:80", "scheme"),
        ("tls", "https://example.com", "scheme"),
        ("http", "tls://example.com", "scheme"),
        ("dns", "tcp://example.com:53", "scheme"),
        ("dns", "dns://8.8.8.8", "host"),
        ("dns", "dns://[2606:4700:4700::1111]", "host"),
        ("dns", "dns://localhost", "single_label"),
        ("dns", "dns://_ldap._tcp.corp", "local_name"),
        ("dns", "dns://metadata.google.internal.", "metadata"),
        ("dns", "dns://1.0.0.10.in-addr.arpa", "private"),
        ("dns", "dns://168.192.in-addr.arpa", "private"),
        ("dns", "dns://254.169.254.169.in-addr.arpa", "metadata"),
        ("dns", "dns://d.f.ip6.arpa", "private"),
    ],
)
def test_other_kinds_are_blocked_by_the_same_rules(kind: str, url: str, rule: str) -> None:
    with pytest.raises(Blocked) as caught:
        check_url(url, kind=kind)
    assert caught.value.rule == rule


@pytest.mark.parametrize(
    "url",
    [
        *("dns://example.com", "dns://_dmarc.example.com", "dns://bücher.example"),
        *("dns://8.8.8.8.in-addr.arpa", "dns://172.in-addr.arpa", "dns://in-addr.arpa"),
        "dns://8.8.8.8." + "0." * 20 + "0.6.8.4.0.6.8.4.1.0.0.2.ip6.arpa",
    ],
)
def test_public_names_may_be_asked_for(url: str) -> None:
    assert check_url(url, kind="dns").scheme == "dns"


def test_an_opened_network_opens_its_names_to_dns_checks() -> None:
    guard = Guard(AllowList.parse("10.0.0.0/8"))
    guard.check_url("dns://1.0.0.10.in-addr.arpa", kind="dns")
    guard.check_url("dns://db.internal", kind="dns")
    with pytest.raises(Blocked, match="private"):
        guard.check_url("dns://1.1.168.192.in-addr.arpa", kind="dns")


def test_the_table_is_as_long_as_the_research_asks() -> None:
    assert len(BLOCKED_URLS) >= 150

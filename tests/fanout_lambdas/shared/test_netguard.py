"""The address guard: every forbidden form is refused, ordinary public forms pass."""

from __future__ import annotations

import pytest

from fanout_lambdas.shared.netguard import AllowList, Blocked, Guard, check_address, check_url

_BLOCKED = """
0.0.0.0 0.1.2.3 0.255.255.255 10.0.0.0 10.0.0.1 10.255.255.255 100.64.0.0 100.64.0.1
100.100.100.200 100.127.255.255 127.0.0.0 127.0.0.1 127.0.0.53 127.1.2.3 127.255.255.255
168.63.129.16 169.254.0.0 169.254.0.1 169.254.169.254 169.254.170.2 169.254.170.23
169.254.255.255 172.16.0.0 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.8 192.0.0.170 192.0.0.192
192.0.0.255 192.0.2.1 192.0.2.255 192.88.99.1 192.168.0.0 192.168.1.1 192.168.255.255 198.18.0.1
198.19.255.255 198.51.100.1 203.0.113.1 203.0.113.255 224.0.0.1 239.255.255.255 240.0.0.1
250.1.2.3 255.255.255.254 255.255.255.255
:: ::1 ::2 ::7f00:1 ::127.0.0.1 ::10.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:10.0.0.1
::ffff:169.254.169.254 ::ffff:7f00:1 ::ffff:8.8.8.8 ::ffff:0:127.0.0.1 ::ffff:0:10.0.0.1
::ffff:0:a9fe:a9fe 64:ff9b::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b::169.254.169.254
64:ff9b::8.8.8.8 64:ff9b:1::1 64:ff9b:1::10.0.0.1 64:ff9b:1:ffff::7f00:1 2002:7f00:1::
2002:a00:1:: 2002:a9fe:a9fe:: 2002:c0a8:101::1 2002:808:808:: 2001::1 2001:0:7f00:1::
2001:0:4136:e378:8000:63bf:f5ff:fffe 2001:2::1 2001:10::1 2001:20::1 2001:db8::1
2001:db8:ffff::1 3fff::1 3fff:fff::1 5f00::1 100::1 100:0:0:1::1 fc00::1 fd00::1 fd00:ec2::254
fd00:ec2::23 fd12:3456:789a::1 fdff::1 fe80::1 fe80::5efe:10.0.0.1 febf::1 fec0::1 feff::1
ff00::1 ff02::1 ff0e::1 2a00:1450::5efe:7f00:1 2a00:1450::200:5efe:a00:1 4000::1 8000::1
fe80::1%eth0 2a00:1450::1%1 127.1 0x7f.0.0.1 2130706433 localhost
"""

_PUBLIC = """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1
168.63.129.15 168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.1
192.0.3.1 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 203.0.112.255 203.0.114.0
223.255.255.255 2606:4700:4700::1111 2001:4860:4860::8888 2a00:1450:4001:80b::200e 2400:cb00::1
2001:200::1 3ffe::1
"""

BLOCKED_ADDRESSES, PUBLIC_ADDRESSES = _BLOCKED.split(), _PUBLIC.split()

BLOCKED_URLS = {
    # schemes and shape
    "ftp://example.com/": "scheme",
    "file:///etc/passwd": "scheme",
    "gopher://example.com/": "scheme",
    "javascript:alert(1)": "scheme",
    "example.com": "scheme",
    "": "scheme",
    "//example.com/": "scheme",
    "http:example.com": "host",
    "http:/example.com": "host",
    "http://": "host",
    "http:///path": "host",
    "https://?x": "host",
    "http://.": "host",
    "http://example..com/": "host",
    "http://.example.com/": "host",
    "http://-a.example.com/": "host",
    "http://exa mple.com/": "characters",
    "http://exa\tmple.com/": "characters",
    "http://example.com/\r\nX: y": "characters",
    "http://example.com/\0": "characters",
    " http://example.com/": "characters",
    "http://example.com\\@10.0.0.1/": "characters",
    "http:\\\\example.com/": "characters",
    "http://exa\u00a0mple.com/": "characters",
    "http://exa\u00admple.com/": "unicode",
    "http://user@example.com/": "userinfo",
    "http://user:pass@example.com/": "userinfo",
    "http://8.8.8.8@127.0.0.1/": "userinfo",
    "http://example.com%2f@10.0.0.1/": "userinfo",
    "http://%31%32%37.0.0.1/": "spelling",
    "http://%6cocalhost/": "host",
    "http://localhost%00.example.com/": "host",
    "http://" + "a" * 64 + ".com/": "host",
    "http://" + "a." * 127 + "com/": "host",
    # spellings of addresses
    "http://127.0.0.1/": "loopback",
    "http://127.0.0.1./": "loopback",
    "http://127.1/": "spelling",
    "http://127.0.1/": "spelling",
    "http://2130706433/": "spelling",
    "http://0x7f000001/": "spelling",
    "http://0x7f.0.0.1/": "spelling",
    "http://0X7F.1/": "spelling",
    "http://0177.0.0.1/": "spelling",
    "http://017700000001/": "spelling",
    "http://127.000.000.001/": "spelling",
    "http://127.0.0.01/": "spelling",
    "http://127.0.0.256/": "spelling",
    "http://1.2.3.4.5/": "spelling",
    "http://0/": "spelling",
    "http://0x/": "spelling",
    "http://example.123/": "spelling",
    "http://0.0.0.0/": "this_network",
    "http://10.1.2.3/": "private",
    "http://169.254.169.254/latest/meta-data/": "metadata",
    "http://192.168.1.1/": "private",
    "http://168.63.129.16/": "metadata",
    "http://[::1]/": "loopback",
    "http://[::]/": "unspecified",
    "http://[::ffff:127.0.0.1]/": "embedded_ipv4",
    "http://[0:0:0:0:0:ffff:7f00:1]/": "embedded_ipv4",
    "http://[::ffff:0:169.254.169.254]/": "embedded_ipv4",
    "http://[64:ff9b::a9fe:a9fe]/": "embedded_ipv4",
    "http://[2002:a00:1::]/": "embedded_ipv4",
    "http://[fd00:ec2::254]/": "metadata",
    "http://[fe80::1%25eth0]/": "zone",
    "http://[fe80::1%eth0]/": "zone",
    "http://[::1/": "host",
    "http://[::g]/": "host",
    "http://[127.0.0.1]/": "host",
    "http://[v1.x]/": "host",
    "http://::1/": "port",
    # names
    "http://localhost/": "single_label",
    "http://LOCALHOST/": "single_label",
    "http://localhost./": "single_label",
    "http://metadata/": "single_label",
    "http://intranet/": "single_label",
    "http://a.localhost/": "local_name",
    "http://db.internal/": "local_name",
    "http://printer.local/": "local_name",
    "http://router.home.arpa/": "local_name",
    "http://nas.lan/": "local_name",
    "http://metadata.google.internal/": "metadata",
    "http://METADATA.google.internal./": "metadata",
    "http://metadata.goog/": "metadata",
    # unicode that another reader folds to ASCII
    "http://１２７.0.0.1/": "unicode",
    "http://127。0。0。1/": "unicode",
    "http://127.0.0．1/": "unicode",
    "http://①②⑦.0.0.1/": "unicode",
    "http://١٢٧.٠.٠.١/": "unicode",
    "http://ⓛocalhost/": "unicode",
    "http://localhoſt/": "unicode",
    "http://exa\u200bmple.com/": "characters",
    "http://exam\u202eple.com/": "characters",
    "http://\ud800.com/": "characters",
    # ports
    "http://example.com:22/": "port",
    "http://example.com:25/": "port",
    "http://example.com:81/": "port",
    "http://example.com:6000/": "port",
    "http://example.com:6667/": "port",
    "http://example.com:10080/": "port",
    "http://example.com:6379/": "port",
    "http://example.com:5432/": "port",
    "http://8.8.8.8:53/": "port",
    "http://example.com:0/": "port",
    "http://example.com:65536/": "port",
    "http://example.com:99999999/": "port",
    "http://example.com:/": "port",
    "http://example.com:+80/": "port",
    "http://example.com:8o/": "port",
    "http://example.com:٨٠/": "port",
    "http://127.0.0.1:9001/2018-06-01/runtime/invocation/next": "loopback",
}

PUBLIC_URLS = {
    "http://example.com": "http://example.com/",
    "HTTPS://Example.COM/Path?q=1#frag": "https://example.com/Path?q=1",
    "https://example.com./": "https://example.com/",
    "https://example.com:443/": "https://example.com/",
    "http://example.com:8080/a": "http://example.com:8080/a",
    "https://example.com:8443": "https://example.com:8443/",
    "http://example.com:3000/": "http://example.com:3000/",
    "https://example.com?x=1": "https://example.com/?x=1",
    "https://sub_domain.example.co.uk/": "https://sub_domain.example.co.uk/",
    "https://xn--bcher-kva.example/": "https://xn--bcher-kva.example/",
    "https://bücher.example/": "https://xn--bcher-kva.example/",
    "https://straße.de/": "https://xn--strae-oqa.de/",
    "https://例え.jp/": "https://xn--r8jz45g.jp/",
    "https://президент.рф/": "https://xn--d1abbgf6aiiy.xn--p1ai/",
    "http://8.8.8.8/": "http://8.8.8.8/",
    "http://[2606:4700:4700::1111]:8080/": "http://[2606:4700:4700::1111]:8080/",
    "http://[2606:4700:4700:0:0:0:0:1111]/": "http://[2606:4700:4700::1111]/",
    "https://example.com/a%20b?c=@d:e": "https://example.com/a%20b?c=@d:e",
    "https://1password.com/": "https://1password.com/",
    "https://3.example.com/": "https://3.example.com/",
    "https://a--b.example.com/": "https://a--b.example.com/",
    "https://localhost.example.com/": "https://localhost.example.com/",
    "https://internal.example.com/": "https://internal.example.com/",
}


def test_the_tables_are_as_long_as_the_research_asks() -> None:
    assert len(BLOCKED_ADDRESSES) >= 94


@pytest.mark.parametrize("address", BLOCKED_ADDRESSES)
def test_address_is_blocked(address: str) -> None:
    with pytest.raises(Blocked):
        check_address(address)


@pytest.mark.parametrize("address", PUBLIC_ADDRESSES)
def test_public_address_passes(address: str) -> None:
    check_address(address)
    check_address(address, 443)


@pytest.mark.parametrize(("url", "rule"), BLOCKED_URLS.items())
def test_url_is_blocked_by_its_rule(url: str, rule: str) -> None:
    with pytest.raises(Blocked) as caught:
        check_url(url)
    assert caught.value.rule == rule
    assert caught.value.message.endswith(".")


@pytest.mark.parametrize(("url", "normal"), PUBLIC_URLS.items())
def test_public_url_passes_in_its_normal_form(url: str, normal: str) -> None:
    assert check_url(url).url == normal
    assert check_url(normal).url == normal


def test_nothing_is_open_by_default() -> None:
    assert AllowList.parse("") == AllowList() == AllowList.parse(" , ")


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
    "text",
    [
        *("localhost", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/8:", "10.0.0.0/8:0"),
        *("10.0.0.0/8:x", "[::1", "[::1]x", "[::1]:", "::1/129", "10.0.0.0/8;127.0.0.1"),
        "10.0.0.0/8:65536",
    ],
)
def test_allow_list_names_its_bad_entry(text: str) -> None:
    with pytest.raises(ValueError, match=r"network|port|bracket"):
        AllowList.parse("10.0.0.0/8, " + text)

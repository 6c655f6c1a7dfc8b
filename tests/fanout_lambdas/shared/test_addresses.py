"""One address: denied by its rule in every spelling, public ones let through."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanout_lambdas.shared.addresses import denied_rule, reverse_network
from fanout_lambdas.shared.denied import DENIED
from fanout_lambdas.shared.netguard import Blocked, check_address, check_url

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
fe80::a9fe:a9fe fd00:ec2::253 fd00:42::42 2a00:1450::300:5efe:a00:1
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


_NETWORKS = [ip_network(text) for text, _ in DENIED]
_DENIED = st.sampled_from(_NETWORKS).flatmap(
    lambda network: st.integers(int(network.network_address), int(network.broadcast_address)).map(
        lambda number: IPv4Address(number) if network.version == 4 else IPv6Address(number)
    )
)


@given(_DENIED, st.data())
@settings(max_examples=400, deadline=None)
def test_denied_address_is_denied_in_every_spelling(
    address: IPv4Address | IPv6Address, data: st.DataObject
) -> None:
    spellings = _v4_hosts(address) if isinstance(address, IPv4Address) else _v6_hosts(address)
    host = data.draw(st.sampled_from(spellings))
    for kind, url in (
        ("http", f"http://{host}/"),
        ("http", f"https://{host}:8443/x"),
        ("tcp", f"tcp://{host}:22"),
        ("tls", f"tls://{host}"),
        ("dns", f"dns://{host}"),
    ):
        with pytest.raises(Blocked):
            check_url(url, kind=kind)


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
@settings(max_examples=400, deadline=None)
def test_what_passes_is_globally_routed(address: IPv4Address | IPv6Address) -> None:
    if denied_rule(str(address)) is None:
        assert address.is_global
        assert not address.is_multicast
        assert not any(address in network for network in _NETWORKS)


@pytest.mark.parametrize("wrapped", ["10.0.0.1", "127.0.0.1", "169.254.169.254", "8.8.8.8"])
def test_no_ipv6_form_carries_an_ipv4_address(wrapped: str) -> None:
    number = int(IPv4Address(wrapped))
    carried = [
        *(number, 0xFFFF << 32 | number, 0xFFFF << 48 | number),  # compatible, mapped, SIIT
        *(0x64FF9B << 96 | number, 0x64FF9B0001 << 80 | number),  # NAT64
        0x2002 << 112 | number << 80,  # 6to4
        0x20010000 << 96 | (number ^ 0xFFFFFFFF),  # Teredo
        *(0x2A00 << 112 | bits << 32 | number for bits in (0x5EFE, 0x02005EFE)),  # ISATAP
        0xFE80 << 112 | 0x5EFE << 32 | number,
    ]
    for each in carried:
        with pytest.raises(Blocked):
            check_address(str(IPv6Address(each)))


@pytest.mark.parametrize(
    ("name", "network"),
    [
        ("4.3.2.1.in-addr.arpa", "1.2.3.4/32"),
        ("3.2.1.in-addr.arpa", "1.2.3.0/24"),
        ("10.in-addr.arpa", "10.0.0.0/8"),
        ("0-25.2.0.192.in-addr.arpa", "192.0.2.0/24"),
        ("9.4.3.2.1.in-addr.arpa", "1.2.3.4/32"),
        ("8.b.d.0.1.0.0.2.ip6.arpa", "2001:db8::/32"),
        ("1." + "0." * 31 + "ip6.arpa", "::1/128"),
        ("in-addr.arpa", None),
        ("ip6.arpa", None),
        ("300.in-addr.arpa", None),
        ("example.com", None),
    ],
)
def test_reverse_name_stands_for_its_network(name: str, network: str | None) -> None:
    assert reverse_network(name) == (network and ip_network(network))


def _v4_hosts(address: IPv4Address) -> list[str]:
    number, parts = int(address), str(address).split(".")
    a, b = int(parts[0]), int(parts[1])
    rest = number & 0xFFFFFF
    return [
        *(
            str(address),
            f"{address}.",
            str(number),
            hex(number),
            f"0{number:o}",
            f"0X{number:08X}.",
        ),
        *(
            ".".join(hex(int(part)) for part in parts),
            ".".join(f"0{int(part):o}" for part in parts),
        ),
        *(".".join(part.zfill(3) for part in parts), f"{a}.{rest}", f"{a}.{b}.{number & 0xFFFF}"),
        *(f"0x{a:x}.{rest}", f"{a}.0{b:o}.{parts[2]}.{parts[3]}", str(number + 2**32)),
        *(str(address).translate(_FULL_WIDTH), str(address).replace(".", "\u3002")),
        *(str(address).replace(".", "%2e"), f"%{ord(parts[0][0]):02x}{str(address)[1:]}"),
        *(f"[::ffff:{address}]", f"[::{address}]", f"[64:ff9b::{address}]", f"8.8.8.8@{address}"),
    ]


def _v6_hosts(address: IPv6Address) -> list[str]:
    number = int(address)
    long, groups = address.exploded, address.exploded.split(":")
    dotted = ":".join(groups[:6]) + ":" + str(IPv4Address(number & 0xFFFFFFFF))
    texts = [
        str(address),
        long,
        long.upper(),
        dotted,
        ":".join(hex(int(g, 16))[2:] for g in groups),
    ]
    texts += [
        ":".join(groups[:at]) + "::" + ":".join(groups[at + 1 :])
        for at, group in enumerate(groups)
        if group == "0000"
    ]
    texts += [f"{address}%25eth0", f"{address}%1", f"{address}/128", f" {address}"]
    return [f"[{text}]" for text in texts] + [str(address)]


_FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")

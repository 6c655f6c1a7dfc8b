"""The tables of the address guard: what a tenant's word never opens. Data only; `netguard` judges."""

from __future__ import annotations

# The first match names the rule, so single addresses stand before the networks around them.
DENIED: tuple[tuple[str, str], ...] = (
    ("169.254.169.254/32", "metadata"),
    ("169.254.170.2/32", "metadata"),  # container credentials
    ("169.254.170.23/32", "metadata"),  # pod identity
    ("169.254.169.253/32", "metadata"),  # a cloud's own name server
    ("169.254.169.123/32", "metadata"),  # and its clock
    ("169.254.169.250/32", "metadata"),
    ("169.254.42.42/32", "metadata"),
    ("169.254.0.23/32", "metadata"),
    ("100.100.100.200/32", "metadata"),
    ("168.63.129.16/32", "metadata"),  # a public address that one cloud answers inside
    ("192.0.0.192/32", "metadata"),
    ("0.0.0.0/8", "this_network"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "shared"),  # carrier-grade NAT
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link_local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "reserved"),
    ("192.0.2.0/24", "documentation"),
    ("192.88.99.0/24", "6to4"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "benchmark"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),  # with the broadcast address
    ("fd00:ec2::254/128", "metadata"),
    ("fd00:ec2::23/128", "metadata"),
    ("fd00:ec2::253/128", "metadata"),
    ("fd00:ec2::123/128", "metadata"),
    ("fd00:42::42/128", "metadata"),
    ("fd00:c1::a9fe:a9fe/128", "metadata"),
    ("fe80::a9fe:a9fe/128", "metadata"),
    ("fd20:ce::254/128", "metadata"),
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("::/96", "embedded_ipv4"),  # IPv4-compatible
    ("::ffff:0:0/96", "embedded_ipv4"),  # IPv4-mapped
    ("::ffff:0:0:0/96", "embedded_ipv4"),  # SIIT
    ("64:ff9b::/96", "embedded_ipv4"),  # NAT64
    ("64:ff9b:1::/48", "embedded_ipv4"),
    ("2002::/16", "embedded_ipv4"),  # 6to4
    ("2001::/32", "embedded_ipv4"),  # Teredo
    ("2001::/23", "reserved"),
    ("2001:db8::/32", "documentation"),
    ("3fff::/20", "documentation"),
    ("5f00::/16", "reserved"),
    ("100::/64", "reserved"),
    ("fc00::/7", "private"),
    ("fe80::/10", "link_local"),
    ("fec0::/10", "private"),  # site-local, withdrawn but still routed by some
    ("ff00::/8", "multicast"),
)

# fmt: off
LOCAL_NAMES = frozenset({
    "localhost", "localdomain", "local", "internal", "intranet", "intra", "private", "lan", "home",
    "corp", "mail", "domain", "workgroup", "home.arpa", "onion", "alt",
    "svc", "docker", "consul",  # container platforms and service registries
})
METADATA_NAMES = frozenset({
    "metadata.google.internal", "metadata.goog", "metadata.azure.com", "metadata.azure.internal",
    "metadata.tencentyun.com", "instance-data.ec2.internal", "metadata.packet.net",
    "metadata.platformequinix.com", "metadata.exoscale.com",
})
# fmt: on

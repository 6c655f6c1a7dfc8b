"""The ports that tenants' checks may use. Two uses: one sends text of the tenant's, one only connects."""

from __future__ import annotations

from enum import StrEnum


class Use(StrEnum):
    """What happens on a connection. WEB sends what a tenant wrote: HTTP, or the text of a TCP
    check. CONNECT sends nothing of the tenant's: a bare connection or a TLS handshake. ASK puts a
    DNS question to a name server of the tenant's choice."""

    WEB = "web"
    CONNECT = "connect"
    ASK = "ask"


# Servers that would take a tenant's text for commands, mail or data; whoever only connects and
# listens does them no harm. The name is what people know the port by.
SERVICES: dict[int, str] = {
    21: "FTP",
    22: "SSH",
    23: "Telnet",
    25: "SMTP",
    43: "WHOIS",
    53: "DNS",
    88: "Kerberos",
    110: "POP3",
    119: "NNTP",
    143: "IMAP",
    389: "LDAP",
    465: "SMTPS",
    554: "RTSP",
    563: "NNTPS",
    587: "mail submission",
    636: "LDAPS",
    853: "DNS over TLS",
    873: "rsync",
    989: "FTPS data",
    990: "FTPS",
    993: "IMAPS",
    995: "POP3S",
    1080: "SOCKS",
    1433: "SQL Server",
    1521: "Oracle",
    1723: "PPTP",
    1883: "MQTT",
    2003: "Graphite",  # each line is a measurement
    2181: "ZooKeeper",  # four letters are a command
    2375: "Docker",
    2376: "Docker over TLS",
    3306: "MySQL",
    3389: "RDP",
    3690: "Subversion",
    4190: "ManageSieve",
    4369: "Erlang port mapper",
    4730: "Gearman",
    5038: "Asterisk manager",
    5060: "SIP",
    5061: "SIP over TLS",
    5222: "XMPP",
    5269: "XMPP between servers",
    5432: "PostgreSQL",
    5666: "NRPE",
    5671: "AMQP over TLS",
    5672: "AMQP",
    5900: "VNC",
    6379: "Redis",
    6380: "Redis over TLS",
    6667: "IRC",
    6697: "IRC over TLS",
    8021: "FreeSWITCH",
    8883: "MQTT over TLS",
    9042: "Cassandra",
    9092: "Kafka",
    9418: "Git",
    10050: "Zabbix agent",
    10051: "Zabbix",
    11211: "memcached",
    11300: "beanstalkd",
    27017: "MongoDB",
    27018: "MongoDB",
    27019: "MongoDB",
}
# The high ones of https://fetch.spec.whatwg.org/#port-blocking that are no service above.
_BAD = frozenset({1719, 1720, 2049, 3659, 4045, 6000, 6566, 6665, 6666, 6668, 6669, 6679, 10080})
DNS_PORT = 53
_LOW = frozenset({80, 443})  # below 1024 nothing else is for the web


def port_refusal(port: int, use: Use) -> str | None:
    """Why this port is closed, as a sentence; None for an open one."""
    if use is Use.ASK:
        return None if port == DNS_PORT else f"Name servers are asked on port {DNS_PORT} alone."
    if port in SERVICES:
        if use is Use.CONNECT:
            return None
        return (
            f"Port {port} ({SERVICES[port]}) is open only to TCP and TLS checks that send no text."
        )
    if port in _BAD or (port < 1024 and port not in _LOW):
        return f"Port {port} is not open to checks."
    return None

"""The records in a name server's answer: read, shown and compared in zone-file form by dnspython.

Loaded with the first DNS check of a process, as it takes some 30 ms."""

from __future__ import annotations

import contextlib
import struct
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
from dns.rdata import Rdata
from dns.rdtypes.ANY.CAA import CAA
from dns.rdtypes.ANY.TXT import TXT

from fanout_lambdas.probe.dns_message import BadMessage

_COUNTS = struct.Struct("!3H")  # of answer, authority and additional records, from byte 6
_PAYLOAD = 1_232  # the largest datagram that no network has to cut (DNS flag day 2020)
_MOST_RECORDS = 200  # with long names they already cost a tenth of a second
_ZONE_LINES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """One answer. `alias` is the last name of a CNAME chain, "" without one; `referral` says that
    the server only names others who know."""

    rcode: int
    rcode_name: str
    alias: str
    referral: bool
    found: tuple[Rdata, ...]
    zone: str

    @property
    def texts(self) -> list[str]:
        return sorted(record_text(each) for each in self.found)

    def holds(self, expected: str, record_type: str) -> bool:
        """Is there such a record, in whatever spelling? ValueError where none can ever be."""
        wanted = _keys(expected, record_type)
        return any(_key(each) in wanted for each in self.found)


def encode_question(name: str, record_type: str) -> bytes:
    return dns.message.make_query(name + ".", record_type, use_edns=0, payload=_PAYLOAD).to_wire()


def without_edns(question: bytes) -> bytes:
    """The same question for a server that does not know EDNS."""
    message = dns.message.from_wire(question)
    message.use_edns(False)
    return message.to_wire()


def read_records(data: bytes) -> Records:
    """Raises BadMessage."""
    if sum(_COUNTS.unpack_from(data, 6)) > _MOST_RECORDS:
        raise BadMessage(f"it holds more than {_MOST_RECORDS} records")
    try:
        message = dns.message.from_wire(data, ignore_trailing=True)
        code = message.rcode()
        alias, found = "", ()
        if isinstance(message, dns.message.QueryMessage) and message.question:
            start = message.question[0].name
            chain = message.resolve_chaining()
            found = tuple(chain.answer or ())
            alias = "" if chain.canonical_name == start else _plain(chain.canonical_name.to_text())
        zone = "\n".join(each.to_text() for each in message.answer[:_ZONE_LINES])
    except dns.message.ChainTooLong:
        raise BadMessage("its aliases lead in a circle, or are too many") from None
    except (dns.exception.DNSException, ValueError) as error:
        raise BadMessage(str(error).rstrip(".")[:100] or type(error).__name__) from None
    kinds = {each.rdtype for each in message.authority}
    return Records(
        rcode=code,
        rcode_name=dns.rcode.to_text(code),
        alias=alias,
        referral=not found
        and not message.flags & dns.flags.AA
        and dns.rdatatype.NS in kinds
        and dns.rdatatype.SOA not in kinds,
        found=found,
        zone=zone,
    )


def record_text(record: Rdata) -> str:
    """A record as people write it: TXT in one piece and without quotes, names without last dot."""
    if isinstance(record, TXT):
        return b"".join(record.strings).decode("utf-8", "backslashreplace")
    return " ".join(_plain(word) for word in record.to_text().split(" "))


def parse_record(text: str, record_type: str) -> Rdata:
    """The record that `text` describes in zone-file form; ValueError with a sentence."""
    try:
        return dns.rdata.from_text(
            dns.rdataclass.IN, record_type, text, origin=dns.name.root, relativize=False
        )
    except (dns.exception.DNSException, ValueError):
        raise ValueError(
            f"{text[:80]!r} is not what {record_type} records look like: {EXAMPLES[record_type]}."
        ) from None


EXAMPLES = {
    "A": "93.184.216.34",
    "AAAA": "2606:2800:21f:cb07::1",
    "CNAME": "www.example.com",
    "MX": "10 mail.example.com",
    "NS": "ns1.example.com",
    "TXT": "v=spf1 -all",
    "SOA": "ns1.example.com admin.example.com 2026112301 7200 3600 1209600 3600",
    "CAA": '0 issue "ca.example.net"',
    "SRV": "10 5 5060 sip.example.com",
    "PTR": "host.example.com",
}


def _keys(text: str, record_type: str) -> set[object]:
    """TXT may be given as it is, or in quoted pieces."""
    if record_type != "TXT":
        return {_key(parse_record(text, record_type))}
    keys: set[object] = {text.encode("utf-8")}
    if text.startswith('"'):
        with contextlib.suppress(ValueError):
            keys.add(_key(parse_record(text, record_type)))
    return keys


def _key(record: Rdata) -> object:
    """Equal for records that mean the same: names in any case, TXT in any division."""
    if isinstance(record, TXT):
        return b"".join(record.strings)
    if isinstance(record, CAA):
        return record.flags, record.tag.lower(), record.value
    return record.to_digestable(dns.name.root)


def _plain(word: str) -> str:
    return word[:-1] if len(word) > 1 and word.endswith(".") and word[-2] != "\\" else word

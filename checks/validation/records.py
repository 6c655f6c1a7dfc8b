"""PURE: can a DNS record of this type ever be what the author expects? The worker's own parser is not loaded here."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Final

_LONGEST_LABEL = 63
_LARGEST: Final = (1 << 16) - 1
_EXAMPLES: Final = {
    "A": "93.184.216.34",
    "AAAA": "2606:2800:21f:cb07::1",
    "CNAME": "www.example.com",
    "MX": "10 mail.example.com",
    "NS": "ns1.example.com",
    "SRV": "10 5 5060 sip.example.com",
    "PTR": "host.example.com",
}


def judge_record(text: str, record_type: str) -> None:
    """ValueError with a sentence and an example; TXT, SOA and CAA are left to the worker."""
    judged = _JUDGES.get(record_type)
    try:
        if judged is not None:
            judged(text.strip())
    except ValueError:
        raise ValueError(
            f"{text[:80]} is not what {record_type} records look like, such as {_EXAMPLES[record_type]}."
        ) from None


def _numbered(count: int) -> Callable[[str], None]:
    """So many numbers, then a name."""

    def judged(text: str) -> None:
        *numbers, name = text.split()
        if len(numbers) != count:
            raise ValueError(text)
        for number in numbers:
            if not (number.isascii() and number.isdecimal() and int(number[:6]) <= _LARGEST):
                raise ValueError(text)
        _name(name)

    return judged


def _name(text: str) -> None:
    if text == ".":  # no host at all: "0 ." among MX records
        return
    if "\\" in text or not text.isascii():  # escapes and other scripts: the worker reads them
        return
    labels = text.removesuffix(".").split(".")
    if text != "".join(text.split()) or not all(0 < len(each) <= _LONGEST_LABEL for each in labels):
        raise ValueError(text)


_JUDGES: Final[dict[str, Callable[[str], object]]] = {
    "A": IPv4Address,
    "AAAA": IPv6Address,
    "CNAME": _name,
    "NS": _name,
    "PTR": _name,
    "MX": _numbered(1),
    "SRV": _numbered(3),
}

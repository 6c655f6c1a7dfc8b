"""DNS messages as far as a probe's own lookups need them: a question for A or AAAA, and the addresses
in its answer (RFC 1035). Every other record type is read by dnspython, in `dns`."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

A, CNAME, AAAA = 1, 5, 28
FAMILY_OF = {A: socket.AF_INET, AAAA: socket.AF_INET6}
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)

MAX_ALIASES = 16
MAX_RECORDS = 256  # of one answer; the rest of a longer one is not read

_HEADER = struct.Struct("!6H")
_RECORD = struct.Struct("!HHIH")
_TYPE_AND_CLASS = struct.Struct("!HH")
_RECURSE = 0x0100
_ANSWER, _OPCODE, _TRUNCATED = 0x8000, 0x7800, 0x0200
_IN = 1
_TO_THE_QUESTION = b"\xc0\x0c"  # a compressed name that points at the question's
# A server in trouble may leave the question out of its answer.
_WITHOUT_QUESTION = frozenset((FORMERR, SERVFAIL, NOTIMP, REFUSED))


class BadMessage(ValueError):
    """The message cannot be read to its end."""


class Answer(NamedTuple):
    """What one answer says about one name. `alias` is the last name of a CNAME chain, "" without
    one; `circular`, where the chain comes back to itself or does not end."""

    rcode: int
    addresses: tuple[str, ...] = ()
    alias: str = ""
    circular: bool = False


def encode_question(name: str, kind: int, number: int) -> bytes:
    """A recursive question; `name` is ASCII without a trailing dot, and absolute."""
    head = _HEADER.pack(number, _RECURSE, 1, 0, 0, 0)
    return head + _labels(name) + b"\0" + _TYPE_AND_CLASS.pack(kind, _IN)


def is_answer(data: bytes, question: bytes) -> bool:
    """Does `data` answer this very question? Anything else is forged, late or noise."""
    if len(data) < _HEADER.size or data[:2] != question[:2]:
        return False
    flags, asked = struct.unpack_from("!HH", data, 2)
    if not flags & _ANSWER or flags & _OPCODE:
        return False
    if asked == 0:
        return flags & 15 in _WITHOUT_QUESTION
    if asked != 1:
        return False
    if data[_HEADER.size : len(question)] == question[_HEADER.size :]:
        return True
    end = _end_of_question(question)  # options may follow it; and names come in any case
    return data[_HEADER.size : end].lower() == question[_HEADER.size : end].lower()


def is_truncated(data: bytes) -> bool:
    return bool(data[2] << 8 & _TRUNCATED)


def rcode(data: bytes) -> int:
    return data[3] & 15


def read_addresses(data: bytes, question: bytes) -> Answer:
    """The addresses to which the question's name leads. `data` has passed `is_answer` to a
    question of `encode_question`. Raises BadMessage."""
    asked, records = struct.unpack_from("!HH", data, 4)
    if not asked or not records:
        return Answer(rcode(data))
    at = len(question)
    kind = _TYPE_AND_CLASS.unpack_from(question, at - _TYPE_AND_CLASS.size)[0]
    name = start = question[_HEADER.size : at - _TYPE_AND_CLASS.size - 1]
    owned: dict[bytes, list[str]] = {}
    aliases: dict[bytes, bytes] = {}
    try:
        for owner, found, place, size in _records(data, at, min(records, MAX_RECORDS), start):
            if found == kind:
                if size != (4 if kind == A else 16):
                    raise BadMessage("an address has the wrong length")
                text = socket.inet_ntop(FAMILY_OF[kind], data[place : place + size])
                owned.setdefault(owner, []).append(text)
            elif found == CNAME:
                aliases[owner] = _name(data, place)[0]
    except (IndexError, struct.error):
        raise BadMessage("the message ends too early") from None
    for _ in range(MAX_ALIASES):
        if name in owned or name not in aliases:
            alias = "" if name == start else _shown(name)
            return Answer(rcode(data), tuple(dict.fromkeys(owned.get(name, ()))), alias)
        name = aliases[name]
    return Answer(rcode(data), circular=True)


@lru_cache(maxsize=2_048)  # a worker sees the same names minute after minute
def _labels(name: str) -> bytes:
    parts = name.encode("ascii").lower().split(b".")
    return b"".join([bytes((len(part),)) + part for part in parts])


def _records(
    data: bytes, at: int, count: int, start: bytes
) -> Iterator[tuple[bytes, int, int, int]]:
    """Owner, type, place and size of each record's data, class IN alone."""
    for _ in range(count):
        if data[at : at + 2] == _TO_THE_QUESTION:
            owner, at = start, at + 2
        else:
            owner, at = _name(data, at)
        kind, group, _, size = _RECORD.unpack_from(data, at)
        at += _RECORD.size
        if at + size > len(data):
            raise BadMessage("a record is cut off")
        if group == _IN:
            yield owner, kind, at, size
        at += size


def _name(data: bytes, at: int) -> tuple[bytes, int]:
    """The name at `at` in lower case, its labels each with their length; and where it ends."""
    labels: list[bytes] = []
    end = total = 0
    lowest = at  # a pointer leads backwards alone, so no chain of them is endless
    while True:
        size = data[at]
        if size >= 0xC0:
            target = (size & 0x3F) << 8 | data[at + 1]
            end = end or at + 2
            if target >= lowest:
                raise BadMessage("a compressed name points forwards")
            at = lowest = target
            continue
        if size > 63:
            raise BadMessage("a label has a reserved length")
        at += 1
        if size == 0:
            return b"".join(labels), end or at
        total += size + 1
        if at + size > len(data) or total > 254:
            raise BadMessage("a name is too long")
        labels.append(data[at - 1 : at + size].lower())
        at += size


def _end_of_question(question: bytes) -> int:
    at = _HEADER.size
    while question[at]:
        at += question[at] + 1
    return at + 1 + _TYPE_AND_CLASS.size


def _shown(name: bytes) -> str:
    """The name for people: every byte that is no plain character as \\ddd, as in zone files."""
    labels, at = [], 0
    while at < len(name):
        label = name[at + 1 : at + 1 + name[at]]
        labels.append(
            "".join(
                chr(byte) if 0x20 < byte < 0x7F and byte not in b'.\\"' else f"\\{byte:03d}"
                for byte in label
            )
        )
        at += name[at] + 1
    return ".".join(labels)

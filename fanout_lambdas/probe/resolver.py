"""Names to addresses for probes, without a thread and inside the probe's own deadline.

Own code, because a probe must tell people in which of its many ways a lookup failed and must not wait
for the second family longer than it is worth, and because it was measured: a lookup costs a quarter
less CPU than with c-ares when one family is asked for, as much when both are, and a seventh of
dnspython's. Nothing is cached: each probe reports what its own lookup took.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from os import urandom

from fanout_lambdas.probe.asking import Asking, NoAnswer
from fanout_lambdas.probe.dns_message import (
    AAAA,
    FAMILY_OF,
    FORMERR,
    MAX_ALIASES,
    NOERROR,
    NOTIMP,
    NXDOMAIN,
    REFUSED,
    SERVFAIL,
    A,
    Answer,
    BadMessage,
    encode_question,
    read_addresses,
)
from fanout_lambdas.probe.machine_names import MachineNames
from fanout_lambdas.probe.mailbox import Mailbox
from fanout_lambdas.probe.name_servers import NameServer
from fanout_lambdas.shared.guarded_connect import FAMILIES, Address, Unresolved
from fanout_lambdas.shared.netguard import Target

# How long one family's addresses wait for the other's answer: RFC 8305 for IPv6; for IPv4, without
# which many hosts cannot be reached, until a lost question was asked again.
GRACE_S = {AAAA: 0.05, A: 0.5}
_KIND_OF = {family: kind for kind, family in FAMILY_OF.items()}

_CODES = {FORMERR: "FORMERR", NOTIMP: "NOTIMP"}

Reply = Answer | NoAnswer | BadMessage


class Resolver:
    """One per process and event loop. Between lookups it holds what the machine's files say."""

    __slots__ = ("_machine", "_mailbox", "_servers")

    def __init__(
        self, servers: Sequence[NameServer] = (), *, machine: MachineNames | None = None
    ) -> None:
        """Without `servers` the machine's own are asked."""
        self._servers = tuple(servers)
        self._machine = machine or MachineNames()
        self._mailbox: Mailbox | None = None

    @property
    def servers(self) -> tuple[NameServer, ...]:
        return self._servers or self._machine.servers()

    async def resolve(self, target: Target, family: str = "any") -> list[Address]:
        """The addresses of the target's name, the preferred first and the families in turn; not
        yet checked by the guard. Raises Unresolved. The caller's deadline cancels the wait."""
        name, wanted = target.host, FAMILIES[family]
        known: Sequence[str] = self._machine.addresses(name)
        if not known:
            known = await self._look_up(name, wanted)
        found = [(_family_of(ip), ip) for ip in known]
        if wanted != socket.AF_UNSPEC:
            found = [pair for pair in found if pair[0] == wanted]
        if not found:
            raise Unresolved(f"{name} has no {_address(wanted)}.")
        return [Address(kind, ip, target.port) for kind, ip in _in_turn(found, self._first())]

    def ask(self, questions: Sequence[bytes], servers: Sequence[NameServer] = ()) -> Asking:
        """A conversation with these servers, or with the operator's."""
        loop = asyncio.get_running_loop()
        if self._mailbox is None or self._mailbox.loop is not loop:
            self._mailbox = Mailbox(loop)
        return Asking(questions, servers or self.servers, self._mailbox)

    def _first(self) -> socket.AddressFamily:
        return self._machine.families()[0]

    async def _look_up(self, name: str, wanted: int) -> list[str]:
        if wanted == socket.AF_UNSPEC:
            kinds = [_KIND_OF[each] for each in self._machine.families()]
        else:
            kinds = [AAAA if wanted == socket.AF_INET6 else A]
        replies = await self._ask(name, kinds)
        if wanted == socket.AF_UNSPEC and len(kinds) == 1 and _is_empty(replies[kinds[0]]):
            # A family without a route is asked for only when the other has no address.
            replies |= await self._ask(name, [A if kinds[0] == AAAA else AAAA])
        addresses: list[str] = []
        for reply in replies.values():
            if isinstance(reply, Answer):
                addresses += reply.addresses
        if not addresses:
            raise Unresolved(_why(name, replies.values(), wanted))
        return addresses

    async def _ask(self, name: str, kinds: Sequence[int]) -> dict[int, Reply]:
        """Answers by record type; one that a good answer need not wait for is left out."""
        number = int.from_bytes(urandom(2), "big")
        questions = [
            encode_question(name, kind, number + at & 0xFFFF) for at, kind in enumerate(kinds)
        ]
        replies: dict[int, Reply] = {}
        grace: float | None = None
        with self.ask(questions) as asking:
            while True:
                before = len(replies)
                for at, data in enumerate(asking.replies):
                    if data is not None and kinds[at] not in replies:
                        reply = replies[kinds[at]] = _read(data, questions[at])
                        if _is_final(reply):
                            return replies
                        if isinstance(reply, Answer) and reply.addresses:
                            grace = GRACE_S[A if kinds[at] == AAAA else AAAA]
                if len(replies) == len(kinds) or (grace is not None and 0 < before == len(replies)):
                    return replies
                await asking.news(grace)


def _read(data: bytes | NoAnswer, question: bytes) -> Reply:
    if isinstance(data, NoAnswer):
        return data
    try:
        return read_addresses(data, question)
    except BadMessage as error:
        return error


def _is_empty(reply: Reply) -> bool:
    """Does the name exist, without an address of this family?"""
    match reply:
        case Answer(rcode=0, addresses=(), circular=False):
            return True
    return False


def _is_final(reply: Reply) -> bool:
    """A name that does not exist has no address of any family."""
    return isinstance(reply, Answer) and reply.rcode == NXDOMAIN and not reply.addresses


def _why(name: str, replies: Iterable[Reply], wanted: int) -> str:
    """The gravest of what was heard, as a sentence."""
    ranked = sorted((_rank(reply), at, reply) for at, reply in enumerate(replies))
    match ranked[0][2]:
        case NoAnswer() as silence:
            return silence.about(name)
        case BadMessage() as error:
            return f"The name server's answer for {name} cannot be read: {error}."
        case Answer(circular=True):
            return f"The aliases of {name} lead in a circle, or are more than {MAX_ALIASES}."
        case Answer(rcode=code, alias=alias):
            return explain_rcode(name, code, alias) or _without_address(name, alias, wanted)


def explain_rcode(name: str, code: int, alias: str = "") -> str:
    """What a server's refusal to give records means; "" when it gave some."""
    whose = f"The name {name} is an alias of {alias}, which" if alias else f"The name {name}"
    if code == NXDOMAIN:
        return f"{whose} does not exist."
    if code == SERVFAIL:
        return f"{whose} could not be resolved: its name servers fail (SERVFAIL)."
    if code == REFUSED:
        return f"The name server refuses to answer for {name} (REFUSED)."
    return (
        f"The name server cannot answer for {name} ({_CODES.get(code, f'code {code}')})."
        if code
        else ""
    )


def _without_address(name: str, alias: str, wanted: int) -> str:
    whose = (
        f"The name {name} is an alias of {alias}, which" if alias else f"The name {name} exists but"
    )
    return f"{whose} has no {_address(wanted)}."


def _rank(reply: Reply) -> int:
    match reply:
        case Answer(circular=True):
            return 3
        case Answer(rcode=code):
            return {SERVFAIL: 1, REFUSED: 2, NXDOMAIN: 4, NOERROR: 5}.get(code, 2)
    return 0


def _address(wanted: int) -> str:
    return {socket.AF_INET: "IPv4 address", socket.AF_INET6: "IPv6 address"}.get(
        socket.AddressFamily(wanted), "address"
    )


def _in_turn(
    found: Sequence[tuple[socket.AddressFamily, str]], first: socket.AddressFamily
) -> list[tuple[socket.AddressFamily, str]]:
    """The families one address each in turn (RFC 8305), so that a dead one is left soon."""
    leading = [pair for pair in found if pair[0] == first]
    others = [pair for pair in found if pair[0] != first]
    if not leading or not others:
        return leading or others
    pairs = zip_longest(leading, others)
    return [each for pair in pairs for each in pair if each is not None]


def _family_of(ip: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in ip else socket.AF_INET

"""One DNS check: ask a name server for one type of record, and look for the expected values."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fanout_lambdas.probe.asking import NoAnswer
from fanout_lambdas.probe.attempt import Attempt
from fanout_lambdas.probe.dns_message import FORMERR, NOTIMP, BadMessage, rcode
from fanout_lambdas.probe.name_servers import NameServer
from fanout_lambdas.probe.phases import DNS
from fanout_lambdas.probe.resolver import Resolver, explain_rcode
from fanout_lambdas.probe.verdicts import Verdict, latency, verdict
from fanout_lambdas.shared.contracts import (
    MAX_EVIDENCE_BODY,
    Evidence,
    Outcome,
    Probe,
    Reason,
    Result,
)
from fanout_lambdas.shared.guarded_connect import Unresolved, literal, permitted
from fanout_lambdas.shared.netguard import Guard

if TYPE_CHECKING:
    from fanout_lambdas.probe.dns_records import Records

_EDNS_UNKNOWN = frozenset((FORMERR, NOTIMP))


class DnsProber:
    """Probes of kind "dns". The tenant's own name server goes through the guard; without one the
    operator's are asked."""

    def __init__(self, *, guard: Guard, resolver: Resolver) -> None:
        self._guard = guard
        self._resolver = resolver

    async def probe(self, probe: Probe, *, lag_us: int = 0) -> Result:
        """Never raises (except when cancelled) and never outlives the probe's timeout."""
        # Before the clock runs: the first of these loads dnspython.
        from fanout_lambdas.probe import dns_records

        attempt = Attempt(probe=probe, lag_us=lag_us)
        try:
            name = self._guard.check_url(probe.url, kind="dns").host
            question = dns_records.encode_question(name, probe.record_type)
            attempt.watch.enter(DNS)
            async with asyncio.timeout(probe.timeout_ms / 1_000):
                servers = await self._servers(attempt)
                data = await self._ask(attempt, name, question, servers)
                if rcode(data) in _EDNS_UNKNOWN:
                    question = dns_records.without_edns(question)
                    data = await self._ask(attempt, name, question, servers)
            attempt.watch.enter(None)
            total_us = attempt.watch.total_us()
            attempt.received += data
            try:
                records = dns_records.read_records(data)
            except BadMessage as error:
                raise Unresolved(
                    f"The name server's answer for {name} cannot be read: {error}."
                ) from None
            verdicts = [*_values(probe, name, records), *latency(probe, total_us)]
            down = any(not each.assertion.ok and each.outcome is Outcome.DOWN for each in verdicts)
            return attempt.judged(
                verdicts, total_us=total_us, evidence=_evidence(records) if down else None
            )
        except Exception as error:
            return attempt.failed(error)

    async def _servers(self, attempt: Attempt) -> Sequence[NameServer]:
        probe = attempt.probe
        if probe.name_server is None:
            return ()  # the operator's
        target = self._guard.check_name_server(probe.name_server)
        attempt.fly(target)
        if target.is_literal:
            found = literal(target, self._guard, probe.family)
        else:
            addresses = await self._resolver.resolve(target, probe.family)
            found = permitted(addresses, target, self._guard)
        return [NameServer(address.ip, address.port) for address in found]

    async def _ask(
        self, attempt: Attempt, name: str, question: bytes, servers: Sequence[NameServer]
    ) -> bytes:
        with self._resolver.ask([question], servers) as asking:
            while (reply := asking.replies[0]) is None:
                await asking.news()
            source = asking.sources[0]
        if isinstance(reply, NoAnswer):
            raise Unresolved(reply.about(name))
        # Where the tenant named the server; the operator's is nobody's business.
        if attempt.flight is not None and source is not None:
            attempt.flight.remote_address = source.ip
        return reply


def _values(probe: Probe, name: str, records: Records) -> Iterator[Verdict]:
    kind = probe.record_type
    failure = _without_records(name, kind, records)
    got = ", ".join(records.texts) or (records.rcode_name if records.rcode else "none")
    if not probe.record_values:
        expected = f"any {kind} record"
        yield verdict("record_values", expected, got, not failure, Reason.DNS, failure)
    for value in probe.record_values:
        message = failure or f"{name} has no {kind} record {value[:100]}; it has {got[:200]}."
        try:
            holds = not failure and records.holds(value, kind)
        except ValueError as error:
            holds, message = False, str(error)
        yield verdict("record_values", value, got, holds, Reason.DNS, message)


def _without_records(name: str, kind: str, records: Records) -> str:
    """Why there is no such record, as a sentence; "" when there is one."""
    if records.found and not records.rcode:
        return ""
    if sentence := explain_rcode(name, records.rcode, records.alias):
        return sentence
    if records.referral:
        return f"The name server does not answer for {name} itself: it refers to others."
    if records.alias:
        return f"{name} is an alias of {records.alias}, which has no {kind} record."
    return f"{name} has no {kind} record."


def _evidence(records: Records) -> Evidence:
    status = f";; {records.rcode_name}, {len(records.found)} records\n"
    return Evidence(body=(status + records.zone)[:MAX_EVIDENCE_BODY])

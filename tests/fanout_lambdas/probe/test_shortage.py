"""A prober without descriptors: what it could not ask is not counted as down."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import Iterator

import pytest

from fanout_lambdas.probe.name_servers import NameServer
from fanout_lambdas.probe.run import ProbeEngine
from fanout_lambdas.shared.contracts import Outcome, Probe, Reason
from fanout_lambdas.shared.netguard import AllowList, Guard
from tests.nameserver import name_server
from tests.targets import answer, replies, serve


@contextlib.contextmanager
def without_descriptors() -> Iterator[None]:
    """No further file or socket can be opened in this process."""
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    # What is open stays open; below 3 all are taken.
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)


@pytest.mark.parametrize("kind", ["http", "tcp", "tls", "dns", "http by name"])
def test_our_own_shortage_is_no_outage(kind: str) -> None:
    with (
        serve(replies(answer())) as target,
        name_server({"www.example.com A": "127.0.0.1"}) as names,
    ):
        ip, port = names.place.split(":")
        kind, _, named = kind.partition(" ")
        host = "www.example.com" if named or kind == "dns" else "127.0.0.1"
        url = f"{kind}://{host}" + ("" if kind == "dns" else f":{target.port}")
        document = {"check_id": 1, "slot": 0, "kind": kind, "url": url, "timeout_ms": 2_000}

        async def twice() -> tuple[Outcome, Outcome, Reason, str]:
            engine = ProbeEngine(
                guard=Guard(AllowList.parse("127.0.0.1")),
                user_agent="test",
                name_servers=[NameServer(ip, int(port))],
            )
            probe = Probe.from_json(document)
            try:
                before = await engine.probe(probe)
                with without_descriptors():
                    during = await engine.probe(probe)
            finally:
                engine.close()
            return before.outcome, during.outcome, during.reason, during.message

        before, *during = asyncio.run(twice())
    assert before is (Outcome.DOWN if kind == "tls" else Outcome.UP)  # no TLS on that port
    assert during == [
        Outcome.VOID,
        Reason.INTERNAL,
        "The prober has run short of resources: Too many open files.",
    ]

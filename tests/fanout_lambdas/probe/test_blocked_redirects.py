"""No redirect leads where a client's own URL may not."""

from __future__ import annotations

import asyncio

from fanout_lambdas.probe.run import ProbeEngine
from fanout_lambdas.shared.contracts import Outcome, Probe, Reason, Result
from fanout_lambdas.shared.netguard import AllowList, Guard
from tests.fanout_lambdas.shared.blocked_urls import BLOCKED_URLS

# As browsers do, a redirect's blanks are read as %20.
FORGIVEN = {"http://example.com/a b"}
# What a Location can carry, and what is not read relative to the page it came from.
LOCATIONS = [
    url
    for url in BLOCKED_URLS
    if url.startswith(("http://", "https://")) and url.isprintable() and url not in FORGIVEN
]
ELSEWHERE = [
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:70/",
    "tcp://8.8.8.8:25",
]


def test_every_blocked_form_is_blocked_in_a_redirect() -> None:
    locations = [*LOCATIONS, *ELSEWHERE]

    async def redirects(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        location = locations[int(request.split()[1].lstrip(b"/"))]
        writer.write(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ")
        writer.write(location.encode() + b"\r\n\r\n")
        await writer.drain()
        writer.close()

    async def run() -> list[Result]:
        server = await asyncio.start_server(redirects, "127.0.0.1", 0, backlog=500)
        port = server.sockets[0].getsockname()[1]
        engine = ProbeEngine(
            guard=Guard(AllowList.parse(f"127.0.0.1/32:{port}")), user_agent="Uptime/1.0 (+test)"
        )
        try:
            probes = [
                Probe(check_id=number, slot=0, url=f"http://127.0.0.1:{port}/{number}")
                for number in range(len(locations))
            ]
            return await asyncio.gather(*(engine.probe(probe) for probe in probes))
        finally:
            server.close()
            engine.close()

    results = asyncio.run(run())
    for result, location in zip(results, locations, strict=True):
        seen = (location, result.outcome, result.message)
        assert result.outcome is Outcome.DOWN, seen
        assert result.reason in (Reason.BLOCKED, Reason.REDIRECT), seen
        assert len(result.hops) == (result.reason is Reason.BLOCKED), seen
    assert sum(result.reason is Reason.BLOCKED for result in results) >= 150

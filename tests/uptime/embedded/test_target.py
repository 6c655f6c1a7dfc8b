"""The demo's target is fast, slow, broken and flapping as the demo promises, and keeps webhooks."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from fanout_lambdas.shared.netguard import AllowList
from uptime.embedded.target import FLAP_S, KEPT_DELIVERIES, NAME, Reply, Target, networks, run


def answer(target: Target, path: str, method: str = "GET", body: str = "") -> Reply:
    headers = {"webhook-id": "msg_1", "webhook-signature": "v1,abc", "cookie": "private"}
    return asyncio.run(target.answer(method, path, headers, body))


def test_each_path_keeps_its_promise() -> None:
    target = Target(slow_s=0)

    assert answer(target, "/fast").status == 200
    assert answer(target, "/slow").status == 200
    assert answer(target, "/500").status == 500
    assert "Out of stock" in answer(target, "/keyword").body
    assert answer(target, "/redirect").location == "/fast"
    assert answer(target, "/nowhere").status == 404


def test_the_flapping_page_is_bad_at_first_and_good_in_turn() -> None:
    now = [100.0]
    target = Target(clock=lambda: now[0])
    seen = []
    for _ in range(3):
        seen.append(answer(target, "/flapping").status)
        now[0] += FLAP_S

    assert seen == [500, 200, 500]


def test_webhooks_are_kept_newest_first_and_shown_safely() -> None:
    target = Target()
    for number in range(KEPT_DELIVERIES + 5):
        body = json.dumps({"number": number, "text": "<script>"})
        assert answer(target, "/webhook", "POST", body).status == 204

    page = answer(target, "/webhook").body
    assert len(target.deliveries) == KEPT_DELIVERIES
    newest, oldest = (page.index(f"number&quot;: {n},") for n in (KEPT_DELIVERIES + 4, 5))
    assert newest < oldest
    assert "&quot;number&quot;: 4," not in page
    assert "webhook-signature: v1,abc" in page
    assert "private" not in page
    assert "<script>" not in page


@asynccontextmanager
async def running(state: Path) -> AsyncIterator[dict[str, str]]:
    task = asyncio.create_task(run(state, http_port=18081, tls_port=18443))
    while not (state / NAME).exists():
        assert not task.done(), task.exception()
        await asyncio.sleep(0.01)
    try:
        yield json.loads((state / NAME).read_text())
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_it_serves_http_an_expired_certificate_and_a_refused_port(tmp_path: Path) -> None:
    async def visit() -> None:
        async with running(tmp_path) as at, httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(at["http"] + "/fast")).text == "Everything is fine here."
            assert (await client.head(at["http"] + "/fast")).headers["content-length"] == "24"
            sent = await client.post(at["webhook"], json={"type": "incident.opened"})
            assert sent.status_code == 204
            assert "incident.opened" in (await client.get(at["webhook"])).text
            with pytest.raises(httpx.ConnectError):
                await client.get(at["refused"])
            opened = AllowList.parse(networks(tmp_path))
            ports = {urlsplit(at[name]).port or 0 for name in ("http", "https", "refused")}
            assert all(opened.opens_port(port) for port in ports)
            assert not any(opened.opens_port(port) for port in (22, 5432, max(ports) + 1))
            beside = AllowList.parse(networks(tmp_path, given="10.0.0.0/8:22 "))
            assert all(beside.opens_port(port) for port in (22, *ports))
            context = ssl.create_default_context(cafile=str(tmp_path / "expired.pem"))
            async with httpx.AsyncClient(verify=context, trust_env=False) as careful:
                with pytest.raises(httpx.ConnectError, match="expired"):
                    await careful.get(at["https"] + "/fast")

    asyncio.run(visit())

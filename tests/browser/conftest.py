"""A real Chromium against the real site on loopback."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.conftest import PASSWORD

DIST = Path(__file__).resolve().parents[2] / "static" / "dist"
REFUSED_FORM = "status of 422"
"""The browser notes every 4xx answer; for a form with errors it is the right one."""
OpenPage = Callable[..., Page]


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """The system's Chromium, or the one that Playwright brought. Its event loop runs as long as it does, so it ends
    with this folder's tests: asyncio has one loop a thread."""
    assert (DIST / "app.css").exists(), (
        "build the assets first: npm ci --ignore-scripts && npm run build"
    )
    named = (
        os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=named, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser, live_server: Any) -> Iterator[OpenPage]:
    """`open_page(user, width=390, javascript=False)`: a signed-in page that fails the test on a console error."""
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and REFUSED_FORM not in message.text:
            complaints.append(message.text)

    with ExitStack() as stack:

        def signed_in(
            user: Any, *, width: int = 1280, javascript: bool = True, scheme: Any = "light"
        ) -> Page:
            context = chromium.new_context(
                base_url=live_server.url,
                viewport={"width": width, "height": 844},
                java_script_enabled=javascript,
                color_scheme=scheme,
            )
            stack.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(10_000)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("console", note)
            page.goto("/accounts/login/")
            page.get_by_label("E-mail address").fill(user.email)
            page.get_by_label("Password", exact=True).fill(PASSWORD)
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_url(lambda url: "/accounts/" not in url)
            return page

        yield signed_in
    assert complaints == []

"""What callers do wrong is one line in the log; our own faults keep their traceback."""

from __future__ import annotations

import logging
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.test import Client as Browser

from tests.conftest import Personas


@pytest.fixture
def log() -> Any:
    """What the product's own handler writes."""
    (handler,) = (each for each in logging.getLogger().handlers if each.name == "console")
    assert isinstance(handler, logging.StreamHandler)
    heard = StringIO()
    before = handler.setStream(heard)
    yield heard
    handler.setStream(before)


def test_a_wrong_host_is_one_line(log: StringIO, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["uptime.test"]
    assert Browser(headers={"Host": "evil.example"}).get("/accounts/login/").status_code == 400
    assert "Invalid HTTP_HOST header: 'evil.example'" in log.getvalue()
    assert "Traceback" not in log.getvalue()


def test_a_page_for_others_is_one_line(
    log: StringIO, personas: Personas, browse: Callable[[Any], Browser]
) -> None:
    assert browse(personas.owner).get("/ops/runs/").status_code == 403
    assert "Forbidden" in log.getvalue()
    assert "Traceback" not in log.getvalue()


def test_a_fault_of_ours_keeps_its_traceback(log: StringIO) -> None:
    try:
        raise ValueError("ours")
    except ValueError:
        logging.getLogger("django.request").error(
            "broken", exc_info=True, extra={"status_code": 500}
        )
    assert "ValueError: ours" in log.getvalue()

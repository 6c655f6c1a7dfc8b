"""Logs rotate, and the terminal shows trouble only."""

from __future__ import annotations

from pathlib import Path

import pytest

from uptime.embedded.logs import KEPT, Log, is_trouble


def test_a_log_is_renamed_when_it_has_grown_large(tmp_path: Path) -> None:
    log = Log(tmp_path / "logs" / "web.log", max_bytes=100)
    for number in range(20):
        log.write(f"line {number:02} {'x' * 60}\n".encode())
    log.close()

    names = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert names == ["web.log", *(f"web.log.{n}" for n in range(1, KEPT + 1))]
    assert "line 19" in (tmp_path / "logs" / "web.log.1").read_text()
    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("2026-11-23 04:44:21,952 ERROR django.request Internal Server Error: /checks/", True),
        ("2026-11-23 04:44:21,952 WARNING alerts.delivery mail server refuses", True),
        ("2026-11-23 04:44:21 UTC [7] FATAL:  could not write to file: No space left", True),
        ("[2026-11-23 04:44:06 +0000] [16190] [ERROR] Worker was sent SIGKILL", True),
        ("2026-11-23 04:44:21,952 INFO celery.beat beat: Starting...", False),
        ("2026-11-23 04:44:21,952 WARNING django.request Not Found: /favicon.ico", False),
        ('127.0.0.1 - - "GET /errors HTTP/1.1" 200 1176', False),
    ],
)
def test_only_trouble_is_shown(line: str, shown: bool) -> None:
    assert is_trouble(line) is shown

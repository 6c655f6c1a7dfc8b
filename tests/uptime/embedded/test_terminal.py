"""What the terminal says at the end of a start, and which lines of the parts reach it."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from uptime.embedded.terminal import Terminal, summary_rows
from uptime.env import Environment, read_environment

ADDRESS = "http://localhost:8000"


def environment(state: Path, **values: str) -> Environment:
    return read_environment({"UPTIME_STATE_DIR": str(state), **values})


def test_mail_in_files_names_the_page_that_shows_it(tmp_path: Path) -> None:
    rows = dict(summary_rows(environment(tmp_path), address=f"{ADDRESS}/", demo=False))

    assert str(tmp_path / "mail") in rows["Mail goes"]
    assert rows["Mail goes"].endswith(f"operators read it at {ADDRESS}/ops/mail/")
    assert "create_operator" in rows["First operator"]


def test_mail_to_a_server_names_the_server(tmp_path: Path) -> None:
    settled = environment(tmp_path, EMAIL_URL="smtp://me:geheim@post.example.org:587")

    rows = dict(summary_rows(settled, address=ADDRESS, demo=False))

    assert rows["Mail goes"] == "to post.example.org:587"


def test_the_logins_of_the_demo_are_told(tmp_path: Path) -> None:
    login = {"role": "operator", "email": "ops@example.com", "password": "a password"}
    (tmp_path / "demo.json").write_text(json.dumps({"logins": [login]}))

    rows = summary_rows(environment(tmp_path), address=ADDRESS, demo=True)

    assert ("Operator login", "ops@example.com  a password") in rows


@pytest.mark.parametrize("verbose", [False, True])
def test_trouble_is_shown_once_its_line_is_complete(verbose: bool) -> None:
    heard = StringIO()
    terminal = Terminal(Console(file=heard, width=200), verbose=verbose)

    terminal.hear("web", b"INFO all is well\nERROR the d")
    assert "ERROR" not in heard.getvalue()
    terminal.hear("web", b"isk is full\n")

    assert "web ERROR the disk is full\n" in heard.getvalue()
    assert ("all is well" in heard.getvalue()) is verbose

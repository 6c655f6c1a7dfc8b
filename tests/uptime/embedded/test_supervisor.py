"""`make up` as people live with it: started twice, parts killed, itself killed, stopped with Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.uptime.embedded.folders import passable_folder
from uptime.embedded.__main__ import bind
from uptime.embedded.processes import is_alive
from uptime.env import KNOWN

PROJECT = Path(__file__).parents[3]
PARTS = ("web", "probe", "jobs", "beat")


class Installation:
    """One state directory, and the supervisor that runs on it."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.process: subprocess.Popen[str] | None = None
        self.address = ""

    def command(self, **values: str) -> subprocess.Popen[str]:
        env = {k: v for k, v in os.environ.items() if k not in KNOWN}
        env |= {"UPTIME_STATE_DIR": str(self.state), "DEMO": "0", "DEBUG": "1", "PORT": "18000"}
        env |= {"DJANGO_SETTINGS_MODULE": "uptime.settings", **values}
        return subprocess.Popen(
            [sys.executable, "-m", "uptime.embedded"],
            cwd=PROJECT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def up(self) -> None:
        """Start and read until the address is told."""
        self.process = self.command()
        assert self.process.stdout is not None
        said = []
        for line in self.process.stdout:
            said.append(line)
            if found := re.search(r"running at\s+(http://\S+)", line):
                self.address = found[1]
            if line.startswith("Stop"):
                return
        raise AssertionError(f"it ended instead of starting:\n{''.join(said)}")

    def pids(self) -> dict[str, int]:
        """The process of each part, PostgreSQL too."""
        found = {
            entry["name"]: entry["pid"]
            for entry in json.loads((self.state / "children.json").read_text())
        }
        pid_file = self.state / "postgres" / "data" / "postmaster.pid"
        if pid_file.exists():
            found["postgres"] = int(pid_file.read_text().splitlines()[0])
        return found

    def has_replaced(self, name: str, pid: int) -> bool:
        """Whether another process runs this part by now."""
        return self.pids().get(name, pid) != pid

    def answers(self) -> bool:
        """Whether the site answers, with a page that needs the database."""
        try:
            with urllib.request.urlopen(f"{self.address}/accounts/login/", timeout=20) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def all_gone(pids: dict[str, int]) -> bool:
    return not any(is_alive(pid) for pid in pids.values())


def eventually(holds: Callable[[], Any], *, within_s: float = 30) -> bool:
    until = time.monotonic() + within_s
    while not (held := holds()) and time.monotonic() < until:
        time.sleep(0.05)
    return bool(held)


@pytest.fixture
def installation() -> Iterator[Installation]:
    with passable_folder() as state:
        made = Installation(state)
        yield made
        if made.process is not None and made.process.poll() is None:
            made.process.kill()
            made.process.wait(10)


@pytest.mark.slow
def test_the_life_of_an_installation(installation: Installation) -> None:
    """One story, because a first start costs seconds: start, second start, kills, left-overs, Ctrl-C."""
    installation.up()
    assert installation.process is not None
    assert installation.answers()
    first = installation.pids()
    assert set(first) == {*PARTS, "postgres"}

    # A second `make up` finds the first.
    second = installation.command()
    said, _ = second.communicate(timeout=30)
    assert second.returncode == 1
    assert f"already running at {installation.address} (process {installation.process.pid})" in said

    # Whatever is killed comes back, also PostgreSQL under everybody's feet.
    for name, pid in first.items():
        os.kill(pid, signal.SIGKILL)
        assert eventually(partial(installation.has_replaced, name, pid)), name
    assert eventually(installation.answers)

    # A killed supervisor takes its children along, and the next one starts from what it left.
    before = installation.pids()
    installation.process.kill()
    assert eventually(partial(all_gone, before))
    installation.up()
    assert installation.answers()

    # Ctrl-C ends everything, in order and without an error.
    last = installation.pids()
    installation.process.send_signal(signal.SIGINT)
    assert installation.process.wait(30) == 0
    assert all_gone(last)
    log = (installation.state / "logs" / "postgres.log").read_text()
    assert "database system is shut down" in log.splitlines()[-1]


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("DATABASE_URL", "mysql://me:geheim@db/x", "expected postgresql://USER"),
        ("CELERY_BROKER_URL", "carrier-pigeon", "expected redis://"),
        ("OBJECT_STORE_URL", "objects", "expected file:///absolute/folder"),
        ("EMAIL_URL", "post", "expected smtp://"),
        ("PORT", "eighty", "expected a port from 1 to 65535"),
        ("PORT", "99999", "expected a port from 1 to 65535"),
        ("HOST", "203.0.113.9", "expected an address of this machine"),
        ("HOST", "a..b", "expected an address of this machine"),
        ("DEMO", "maybe", "expected 1 or 0"),
        ("VERBOSE", "loud", "expected 1 or 0"),
    ],
)
def test_a_wrong_value_stops_the_start_with_its_name(
    tmp_path: Path, variable: str, value: str, told: str
) -> None:
    process = Installation(tmp_path).command(**{variable: value})
    said, _ = process.communicate(timeout=30)

    assert process.returncode == 2
    assert variable in said
    assert told in said
    assert "Traceback" not in said
    assert "geheim" not in said


def test_a_taken_port_says_so_and_takes_the_next() -> None:
    heard = StringIO()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        web = bind("127.0.0.1", port, console=Console(file=heard, width=200))

    assert web is not None
    with web:
        assert web.getsockname()[1] > port
        assert f"PORT {port}: Address already in use" in heard.getvalue()
        assert f"Using port {web.getsockname()[1]}" in heard.getvalue()

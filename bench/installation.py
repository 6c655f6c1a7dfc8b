"""A whole installation of its own in a temporary folder: the supervisor of `make up` over all the real parts."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psycopg

from bench.cpu import Root
from uptime.embedded.children import BOOK, stop_leftovers
from uptime.embedded.leftovers import clear_leftovers
from uptime.embedded.places import PROJECT, postgres_home
from uptime.embedded.postgres import PostgresServer
from uptime.embedded.processes import spawn
from uptime.env import KNOWN

PREFIX = "uptime-bench-"
PARTS = ("web", "probe", "jobs", "beat")
START_S = 120.0
STOP_S = 60.0


class InstallationFailed(Exception):
    """It did not start or ended by itself; the text holds its last words."""


class Installation:
    """One running installation. Nothing of the caller's own settings reaches it."""

    def __init__(self, folder: Path, *, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.log = folder / "supervisor.log"
        self.web = f"http://127.0.0.1:{free_port()}"
        self._postgres = PostgresServer(postgres_home(self.state))
        self.env = self._environment(settings or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def database_url(self) -> str:
        return self._postgres.url

    def start(self) -> None:
        """Start everything and wait until all parts are there."""
        self._postgres.prepare()
        with (self._postgres.data / "postgresql.auto.conf").open("a") as file:
            # Tells when each row was committed: how late a state is, is measured and not guessed.
            file.write("track_commit_timestamp = on\n")
        with self.log.open("wb") as output:
            self._process = spawn(
                [sys.executable, "-m", "uptime.embedded"],
                env=self.env,
                cwd=PROJECT,
                output=output,
            )
        self.wait_until(self._complete, at_most_s=START_S, what="the installation to start")

    def stop(self) -> None:
        """Stop everything; whatever does not listen is killed."""
        process, self._process = self._process, None
        if process is not None:
            for sign, seconds in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, 10.0)):
                if process.poll() is not None:
                    break
                process.send_signal(sign)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(seconds)
        stop_leftovers(self.state, say=lambda _name, _text: None)
        clear_leftovers(self._postgres.data)

    def manage(self, *argv: str) -> str:
        """Run a program of this project against the installation; returns what it printed."""
        done = subprocess.run(
            [sys.executable, *argv],
            env=self.env,
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            words = done.stderr.decode(errors="replace").strip()
            raise InstallationFailed(f"{' '.join(argv)} failed:\n{words[-3000:]}")
        return done.stdout.decode(errors="replace")

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        """A connection of the benchmark's own; waits while PostgreSQL recovers from a kill."""
        until = time.monotonic() + START_S
        while True:
            try:
                return psycopg.connect(self.database_url, autocommit=True, connect_timeout=10)
            except psycopg.OperationalError:
                if time.monotonic() > until:
                    raise
                self.check()
                time.sleep(0.2)

    def roots(self) -> dict[str, Root]:
        """The first process of each part, as far as it runs now."""
        found = {name: Root(pid=pid) for name, pid in self._book().items()}
        postmaster = self._postmaster()
        if postmaster is not None:
            found["postgres"] = Root(pid=postmaster)
        if self._process is not None:
            found["supervisor"] = Root(pid=self._process.pid, alone=True)
        return found

    def kill(self, part: str) -> int:
        """kill -9 of one part's first process, just as the system's memory killer would; returns its id."""
        pid = self.roots()[part].pid
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_until(
        self, done: Callable[[], bool], *, at_most_s: float, what: str, every_s: float = 0.1
    ) -> None:
        """Wait; InstallationFailed if it takes too long or the supervisor ends."""
        until = time.monotonic() + at_most_s
        while not done():
            self.check()
            if time.monotonic() > until:
                raise InstallationFailed(
                    f"waited {at_most_s:.0f} s for {what}.\n{self.last_words()}"
                )
            time.sleep(every_s)

    def check(self) -> None:
        """InstallationFailed if the supervisor ended."""
        if self._process is not None and self._process.poll() is not None:
            raise InstallationFailed(f"the supervisor ended.\n{self.last_words()}")

    def last_words(self) -> str:
        """The end of the logs that show trouble."""
        logs = [self.log, *sorted((self.state / "logs").glob("*.log"))]
        words = []
        for log in logs:
            with contextlib.suppress(OSError):
                tail = log.read_text(errors="replace").splitlines()[-15:]
                words.append(f"--- {log.name}\n" + "\n".join(line[:300] for line in tail))
        return "\n".join(words)

    def _environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in KNOWN
            and not name.startswith(("PG", "UPTIME_", "DJANGO_", "CELERY_"))
            and name not in {"HOST", "DEMO", "VERBOSE", "COLUMNS"}
        }
        return {
            **kept,
            "DJANGO_SETTINGS_MODULE": "uptime.settings",
            "UPTIME_STATE_DIR": str(self.state),
            "UPTIME_SITE_URL": self.web,
            "UPTIME_ALLOW_NETWORKS": "127.0.0.1/32,::1/128",
            "HOST": "127.0.0.1",
            "PORT": self.web.rpartition(":")[2],
            "DEMO": "0",
            **settings,
        }

    def _complete(self) -> bool:
        book = self._book()
        if not all(part in book for part in PARTS) or self._postmaster() is None:
            return False
        try:
            with urllib.request.urlopen(f"{self.web}/", timeout=10):
                return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False

    def _book(self) -> dict[str, int]:
        try:
            entries = json.loads((self.state / BOOK).read_text())
            return {str(entry["name"]): int(entry["pid"]) for entry in entries}
        except (OSError, ValueError, KeyError):
            return {}

    def _postmaster(self) -> int | None:
        try:
            return int((self._postgres.data / "postmaster.pid").read_text().splitlines()[0])
        except (OSError, ValueError, IndexError):
            return None


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is gone afterwards; those that killed runs left behind go too."""
    base = Path(tempfile.gettempdir())
    _remove_abandoned(base)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    folder.chmod(0o755)  # as root, PostgreSQL runs under an account that must get in
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _remove_abandoned(base: Path) -> None:
    for folder in base.glob(f"{PREFIX}*"):
        try:
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            clear_leftovers(postgres_home(folder / "state") / "data")
            shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue
        finally:
            os.close(lock)


def free_port() -> int:
    """A port of loopback that is free now."""
    with socket.socket() as trying:
        trying.bind(("127.0.0.1", 0))
        return int(trying.getsockname()[1])

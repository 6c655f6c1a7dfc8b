"""A private PostgreSQL server for one test run; it ends with the run, even when the run is killed."""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from uptime.embedded.leftovers import clear_leftovers
from uptime.embedded.postgres import PostgresServer

PREFIX = "uptime-test-"


def start_for_tests() -> str:
    """The URL of a database server for this run: TEST_DATABASE_URL, or a fresh server that nobody else uses.

    The first process of a run starts it; its workers inherit the address, and each makes a database of its own there.
    """
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        return given
    base = Path(tempfile.gettempdir())
    _remove_abandoned(base)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    folder.chmod(0o755)
    # Held as long as this process lives, so that other runs can tell an abandoned folder from one in use.
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    server = PostgresServer(
        folder / "pg",
        durable=False,
        settings={
            "shared_buffers": "128MB",
            "max_connections": "300",
            "max_wal_size": "512MB",
            "log_min_duration_statement": "-1",
        },
    )
    url = os.environ["TEST_DATABASE_URL"] = server.start()
    owner = os.getpid()

    def stop() -> None:
        if os.getpid() != owner:  # a forked child must not stop its parent's server
            return
        server.stop(timeout=5)
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    return url


def _remove_abandoned(base: Path) -> None:
    """Clear away what killed runs left behind."""
    for folder in base.glob(f"{PREFIX}*"):
        try:
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            clear_leftovers(folder / "pg" / "data")
            shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue
        finally:
            os.close(lock)

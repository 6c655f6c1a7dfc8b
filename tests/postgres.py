"""A private PostgreSQL server for one test run; it ends with the run, even when the run is killed."""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from uptime.embedded.leftovers import clear_leftovers
from uptime.embedded.postgres import PostgresServer

PREFIX = "uptime-test-"
FOLDER, DATABASE = "TEST_RUN_FOLDER", "TEST_DATABASE_URL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What the processes of one test run share. The folder and the server are gone after it."""

    folder: Path
    database_url: str


def join_run() -> Run:
    """The first process of a run begins it; its workers find it in the environment and each makes a database there."""
    folder, given = os.environ.get(FOLDER), os.environ.get(DATABASE)
    if folder and given:
        return Run(folder=Path(folder), database_url=given)
    run = _begin(given)
    os.environ.update({FOLDER: str(run.folder), DATABASE: run.database_url})
    return run


def _begin(given: str | None) -> Run:
    """With a fresh server that nobody else uses, unless TEST_DATABASE_URL names one."""
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
    url = given or server.start()
    owner = os.getpid()

    def stop() -> None:
        if os.getpid() != owner:  # a forked child must not stop its parent's server
            return
        server.stop(timeout=5)
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    return Run(folder=folder, database_url=url)


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

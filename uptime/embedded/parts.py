"""What each child runs once it is a copy of the supervisor, and what the supervisor loads before it copies itself."""

from __future__ import annotations

import gc
import importlib
import os
import socket
import sys
import warnings
from pathlib import Path

# Beside Django itself: what the children would otherwise each load for themselves.
SHARED_MODULES = (
    "celery.bin.celery",
    "celery.bin.worker",
    "celery.bin.beat",
    "celery.worker",
    "celery.concurrency.thread",
    "kombu.transport.pgmq",
    "gunicorn.app.wsgiapp",
    "uptime.web_worker",
    "uptime.celery",
    "uptime.schedule",
    "uptime.celery_engine",
)
# A probe task only hands its batch to the loop; of the jobs two dispatchers wait and two senders may hang.
THREADS = {"probe": 4, "jobs": 8}
# Of these most wait for clients that send slowly; a page in the making needs the one interpreter anyway.
WEB_THREADS = "32"
QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "INFO")


def load() -> None:
    """Load Django, the tasks and the addresses of the site; SystemCheckError if the settings are wrong."""
    import django
    from django.core.management import call_command

    django.setup()
    with open(os.devnull, "w") as nowhere:
        call_command("check", stdout=nowhere)
    for name in SHARED_MODULES:
        importlib.import_module(name)
    # What lives now lives for ever: the collector need not touch (and so copy) the shared pages.
    gc.collect()
    gc.freeze()


def run_web(descriptor: int) -> None:
    """The web server, on the socket that the supervisor holds: no request is refused while it restarts."""
    from gunicorn.app.wsgiapp import WSGIApplication  # type: ignore[import-untyped]

    memory = "/dev/shm"
    sys.argv = [
        "gunicorn",
        *("--bind", f"fd://{descriptor}", "--workers", "1"),
        *("--worker-class", "uptime.web_worker.Worker", "--threads", WEB_THREADS),
        *("--keep-alive", "30"),
        *("--timeout", "60", "--graceful-timeout", "5", "--no-control-socket"),
        *(("--worker-tmp-dir", memory) if os.access(memory, os.W_OK) else ()),
        *("--access-logfile", "-", "uptime.wsgi:application"),
    ]
    WSGIApplication("%(prog)s [OPTIONS] [APP_MODULE]", prog="gunicorn").run()


def run_worker(queue: str) -> None:
    """One Celery worker for one queue."""
    from celery.exceptions import SecurityWarning

    from uptime.celery import app

    # Whoever starts the product chose the account, and no message here can run code: all are JSON.
    warnings.filterwarnings("ignore", message="You're running the worker", category=SecurityWarning)
    name = f"{queue}@{socket.gethostname()}"
    threads = str(THREADS[queue])
    app.worker_main(["worker", "-Q", queue, "-n", name, "--pool=threads", "-c", threads, *QUIET])


def run_beat(state_dir: Path) -> None:
    """The clock of the periodic jobs."""
    from uptime.celery import app

    app.start(["beat", "-s", str(state_dir / "beat-schedule"), "--pidfile=", "-l", "INFO"])


def run_target(state_dir: Path) -> None:
    """The demo's target site."""
    import asyncio

    from uptime.embedded.target import run

    asyncio.run(run(state_dir))


def run_prepare(*, demo: bool) -> int:
    """Database and static files, with progress on the terminal."""
    from uptime.embedded.prepare import run

    return run(demo=demo)

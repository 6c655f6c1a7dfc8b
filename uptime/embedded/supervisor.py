"""One foreground process over all parts: starts them in order, brings dead ones back, stops them in order."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from functools import partial

from django.core.management.base import SystemCheckError
from rich.console import Console

from uptime.embedded import parts, target
from uptime.embedded.children import Child, stop_leftovers, write_book
from uptime.embedded.lock import Lock
from uptime.embedded.logs import Log
from uptime.embedded.places import postgres_home
from uptime.embedded.postgres import PostgresServer
from uptime.embedded.prepared import is_prepared
from uptime.embedded.processes import Forked
from uptime.embedded.terminal import Terminal, summary_rows
from uptime.env import Environment

TICK_S = 0.5
STOP_S = 8.0
TARGET_STARTS_S = 15.0


class Stop(Exception):
    """Somebody asked for the end."""


class StartFailed(Exception):
    """The installation cannot start; the reason has been shown."""


class Supervisor:
    """Owns every child; `run` returns the exit code when all of them have ended."""

    def __init__(
        self,
        environment: Environment,
        *,
        lock: Lock,
        web: socket.socket,
        address: str,
        demo: bool,
        verbose: bool,
        environ: Mapping[str, str],
        console: Console,
    ) -> None:
        self._environment = environment
        self._state = environment.state_dir
        self._lock = lock
        self._web = web
        self._address = address
        self._demo = demo
        self._console = console
        self._terminal = Terminal(console, verbose=verbose)
        self._env = self._child_environment(environ)
        self._children: dict[str, Child] = {}
        self._wake_reading, self._wake_writing = os.pipe()
        self._stops = 0

    def run(self) -> int:
        """Start everything, stay until asked to stop, stop everything."""
        self._listen_to_signals()
        try:
            self._start_all()
            self._lock.tell(self._address)
            self._terminal.summary(
                summary_rows(self._environment, address=self._address, demo=self._demo)
            )
            self._pump(lambda: False)
        except Stop:
            self._console.print("Stopping (once more to hurry)", style="bold")
            code = 0
        except StartFailed:
            code = 1
        finally:
            self._stop_all()
        return code

    # Start --------------------------------------------------------------------------------------

    def _start_all(self) -> None:
        stop_leftovers(self._state, say=self._terminal.say)
        os.environ.update(self._env)
        server = self._start_postgres() if self._uses_embedded_database else None
        if self._demo:
            self._start_target()
        # PostgreSQL comes up while this process loads what all the others are then copied from.
        self._load()
        if server is not None:
            self._wait_for(server)
        if not is_prepared(self._state, self._environment.database_url):
            self._prepare()
        web = self._web.fileno()
        self._start("web", partial(parts.run_web, web), keep=(web,))
        for queue in ("probe", "jobs"):
            # A second SIGTERM would change nothing: SIGQUIT ends a worker that still has tasks.
            stop = (signal.SIGTERM, signal.SIGQUIT)
            self._start(queue, partial(parts.run_worker, queue), signals=stop)
        self._start("beat", partial(parts.run_beat, self._state))
        self._wait_for_web()

    def _start_target(self) -> None:
        """The demo's site and webhook receiver live on this machine: their ports are opened, and no others."""
        book = self._state / target.NAME
        book.unlink(missing_ok=True)
        self._start("target", partial(parts.run_target, self._state))
        self._pump(book.exists, at_most_s=TARGET_STARTS_S)
        name = "UPTIME_ALLOW_NETWORKS"
        os.environ[name] = target.networks(self._state, given=os.environ.get(name, ""))

    def _load(self) -> None:
        if self._console.is_terminal:
            self._console.print("Loading", style="bright_black", end="\r")
        try:
            parts.load()
        except SystemCheckError as error:
            self._console.print(str(error), markup=False, soft_wrap=True, style="red")
            raise StartFailed from error

    def _start_postgres(self) -> PostgresServer:
        log = Log(self._state / "logs" / "postgres.log")
        server = PostgresServer(
            postgres_home(self._state),
            progress=lambda line: self._terminal.say("postgres", line),
            log=log.path,
        )
        self._children["postgres"] = child = Child(
            "postgres",
            lambda output: server.launch(server.prepare(), output=output),
            log=log,
            say=self._terminal.say,
            stop_signals=(signal.SIGINT, signal.SIGQUIT),
            kill_group=False,
        )
        child.start(now=time.monotonic())
        return server

    def _wait_for(self, server: PostgresServer) -> None:
        began = time.monotonic()
        while not server.is_ready():
            if time.monotonic() - began > 3:
                began = time.monotonic()
                self._terminal.say("postgres", "recovering what the last run left")
            self._pump(server.is_ready, at_most_s=0.02)

    def _prepare(self) -> None:
        process = Forked(partial(parts.run_prepare, demo=self._demo), name="prepare")
        try:
            self._pump(lambda: process.poll() is not None)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(5)
        if process.poll() != 0:
            raise StartFailed

    def _start(
        self,
        name: str,
        main: Callable[[], object],
        *,
        keep: tuple[int, ...] = (),
        signals: tuple[signal.Signals, ...] = (signal.SIGTERM,),
    ) -> None:
        # When this process is killed, PostgreSQL goes too, and a worker that stops politely would
        # wait for it in vain.
        last = signal.SIGTERM if name == "web" else signal.SIGKILL
        child = Child(
            name,
            lambda output: Forked(main, name=name, output=output, keep=keep, last_signal=last),
            log=Log(self._state / "logs" / f"{name}.log"),
            say=self._terminal.say,
            stop_signals=signals,
        )
        self._children[name] = child
        child.start(now=time.monotonic())
        self._write_book()

    def _child_environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        env = {**environ, "DJANGO_SETTINGS_MODULE": "uptime.settings"}
        env.setdefault("UPTIME_SITE_URL", self._address)
        port = self._web.getsockname()[1]
        env.setdefault("UPTIME_INGEST_URL", f"http://127.0.0.1:{port}/ingest/v1/results")
        return env

    @property
    def _uses_embedded_database(self) -> bool:
        return not self._env.get("DATABASE_URL", "").strip()

    def _wait_for_web(self) -> None:
        answered = threading.Event()

        def ask() -> None:
            host, port = self._web.getsockname()[:2]
            while not answered.is_set():
                try:
                    with urllib.request.urlopen(f"http://{host}:{port}/", timeout=10):
                        pass
                except urllib.error.HTTPError:
                    pass
                except OSError:
                    time.sleep(0.1)
                    continue
                answered.set()
                os.write(self._wake_writing, b"\0")

        threading.Thread(target=ask, daemon=True).start()
        self._pump(answered.is_set)

    # Stay ---------------------------------------------------------------------------------------

    def _listen_to_signals(self) -> None:
        os.set_blocking(self._wake_writing, False)
        os.set_blocking(self._wake_reading, False)
        signal.set_wakeup_fd(self._wake_writing, warn_on_full_buffer=False)
        for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(sign, self._count_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only wakes the loop

    def _count_stop(self, *_: object) -> None:
        self._stops += 1

    def _pump(self, done: Callable[[], bool], *, at_most_s: float | None = None) -> None:
        """Read the children and bring dead ones back until `done`; raises Stop when asked to stop."""
        stops = self._stops
        until = None if at_most_s is None else time.monotonic() + at_most_s
        while not done():
            if self._stops > stops or (stops == 0 and self._stops):
                raise Stop
            now = time.monotonic()
            if until is not None and now >= until:
                return
            self._read_once(TICK_S if until is None else max(0.0, until - now))
            restarted = [c for c in self._children.values() if c.poll(now=time.monotonic())]
            if restarted:
                self._write_book()

    def _read_once(self, timeout: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_reading, selectors.EVENT_READ)
            for child in self._children.values():
                if child.pipe is not None:
                    selector.register(child.pipe, selectors.EVENT_READ, child)
            for key, _ in selector.select(timeout):
                if key.data is None:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._wake_reading, 4096)
                else:
                    self._take(key.data)

    def _take(self, child: Child) -> None:
        data = child.read()
        child.log.write(data)
        self._terminal.hear(child.name, data)

    def _write_book(self) -> None:
        # PostgreSQL is found again by its own pid file.
        write_book(self._state, [c for c in self._children.values() if c.name != "postgres"])

    # Stop ---------------------------------------------------------------------------------------

    def _stop_all(self) -> None:
        # Workers report over HTTP, so the web server outlives them.
        for names in (("beat",), ("probe", "jobs"), ("web", "target"), ("postgres",)):
            group = [self._children[name] for name in names if name in self._children]
            self._stop(group, patient_s=60.0 if "postgres" in names else STOP_S)
            for child in group:
                while child.pipe is not None and (data := child.read()):
                    child.log.write(data)
                self._children.pop(child.name)
        with contextlib.suppress(OSError):
            self._write_book()

    def _stop(self, group: list[Child], *, patient_s: float) -> None:
        """Ask, wait, ask more firmly, kill. A second Ctrl-C shortens the waiting."""
        for wait_s in (patient_s, 3.0, 3.0):
            for child in group:
                child.ask_to_stop()
            stops, until = self._stops, time.monotonic() + wait_s
            while any(child.running for child in group) and time.monotonic() < until:
                if self._stops > max(stops, 1) and "postgres" not in {c.name for c in group}:
                    break
                with contextlib.suppress(Stop):
                    self._read_once(0.1)
            if not any(child.running for child in group):
                break
        for child in group:
            child.end_group()

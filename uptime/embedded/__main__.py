"""`python -m uptime.embedded` (or `make up`): the whole product in the foreground. Reads HOST, PORT, DEMO, VERBOSE."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping

from rich.console import Console

from uptime.embedded.lock import AlreadyRunning, Lock
from uptime.embedded.places import make_state_dir
from uptime.embedded.postgres import PostgresError
from uptime.embedded.software import SoftwareMissing
from uptime.embedded.supervisor import Supervisor
from uptime.env import ConfigError, Environment, Problem, read_environment
from uptime.env_forms import boolean

PORTS_TRIED = 100
HOST_FORM = "an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of them"


def main() -> int:
    console = Console(stderr=False)
    try:
        return start(os.environ, console=console)
    except AlreadyRunning as running:
        console.print(
            f"Uptime is already running at {running.address} (process {running.pid}). "
            f"Stop it with Ctrl-C in its terminal, or: kill {running.pid}",
            markup=False,
            soft_wrap=True,
            style="yellow",
        )
    except (PostgresError, SoftwareMissing) as error:
        console.print(f"PostgreSQL: {error}", markup=False, soft_wrap=True, style="red")
    except PermissionError as error:
        console.print(
            f"{error.filename}: permission denied. Name another folder in UPTIME_STATE_DIR.",
            markup=False,
            soft_wrap=True,
            style="red",
        )
    return 1


def start(environ: Mapping[str, str], *, console: Console) -> int:
    """Check what was asked for, take the lock and the port, hand over to the supervisor."""
    environment = settle(environ)
    problems = list(environment.problems)
    host, port = (
        environ.get("HOST", "").strip() or "127.0.0.1",
        environ.get("PORT", "").strip() or "8000",
    )
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65_535:
        problems.append(Problem(variable="PORT", got=repr(port), expected="a port from 1 to 65535"))
    if not is_ours(host):
        problems.append(Problem(variable="HOST", got=repr(host), expected=HOST_FORM))
    demo = switch("DEMO", environ, default=True, problems=problems)
    verbose = switch("VERBOSE", environ, default=False, problems=problems)
    if problems:
        for problem in problems:
            console.print(str(problem), markup=False, soft_wrap=True, style="red")
        return 2
    make_state_dir(environment.state_dir)
    lock = Lock(environment.state_dir)
    web = bind(host, int(port), console=console)
    if web is None:
        return 1
    shown = "localhost" if host in {"127.0.0.1", "::1", "0.0.0.0", "::"} else host
    address = environ.get("UPTIME_SITE_URL", "").strip() or f"http://{shown}:{web.getsockname()[1]}"
    lock.tell(address)
    supervisor = Supervisor(
        environment,
        lock=lock,
        web=web,
        address=address,
        demo=demo,
        verbose=verbose,
        environ=environ,
        console=console,
    )
    return supervisor.run()


def settle(environ: Mapping[str, str]) -> Environment:
    """The environment, after the secrets of this installation exist, also beside a given database."""
    only_state = {k: v for k, v in environ.items() if k == "UPTIME_STATE_DIR"}
    read_environment(only_state)
    return read_environment(environ)


def switch(
    variable: str, environ: Mapping[str, str], *, default: bool, problems: list[Problem]
) -> bool:
    """The value of a switch; a wrong one joins the problems."""
    text = environ.get(variable, "").strip()
    try:
        return boolean(text) if text else default
    except ConfigError as error:
        problems.append(Problem(variable=variable, got=error.got, expected=error.expected))
        return default


def is_ours(host: str) -> bool:
    """Whether this machine can listen on that address at all, whatever the port."""
    try:
        with socket.socket(family_of(host), socket.SOCK_STREAM) as trial:
            trial.bind((host, 0))
    except (OSError, UnicodeError):  # the second for what cannot even be asked of the name service
        return False
    return True


def family_of(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def bind(host: str, port: int, *, console: Console) -> socket.socket | None:
    """A listening socket on this port or the next free one; None (and a word) if there is none."""
    for candidate in range(port, min(port + PORTS_TRIED, 65_536)):
        web = socket.socket(family_of(host), socket.SOCK_STREAM)
        web.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            web.bind((host, candidate))
            web.listen(1024)
        except OSError as error:
            web.close()
            if candidate == port:
                console.print(
                    f"HOST {host}, PORT {port}: {error.strerror or error}; trying the next ports",
                    markup=False,
                    soft_wrap=True,
                    style="yellow",
                )
            continue
        if candidate != port:
            console.print(f"Using port {candidate}", style="yellow", highlight=False)
        return web
    console.print(f"HOST {host}: no port from {port} on can be used", style="red", highlight=False)
    return None


if __name__ == "__main__":
    sys.exit(main())

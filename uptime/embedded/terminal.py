"""What a person sees of an embedded installation: what goes wrong in its parts, and the summary of a start."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.text import Text

from uptime.embedded.logs import is_trouble
from uptime.env import Environment

COLOURS = {"web": "cyan", "probe": "green", "jobs": "yellow", "beat": "blue", "target": "magenta"}
FIRST_OPERATOR = ".venv/bin/python manage.py create_operator you@example.com"
LONGEST_LINE = 500
LONGEST_UNFINISHED = 10_000


class Terminal:
    """The console, with the beginnings of lines that the parts have not finished yet."""

    def __init__(self, console: Console, *, verbose: bool) -> None:
        self._console = console
        self._verbose = verbose
        self._unfinished: dict[str, bytes] = {}

    def say(self, name: str, text: str) -> None:
        """One line about a part."""
        line = Text(f"{name:>9} ", style=COLOURS.get(name, "bright_black"))
        line.append(text, style="default")
        self._console.print(line, soft_wrap=True, highlight=False)

    def hear(self, name: str, data: bytes) -> None:
        """Output of a part: shown as far as it is trouble, or all of it when everything was asked for."""
        *lines, rest = (self._unfinished.get(name, b"") + data).split(b"\n")
        self._unfinished[name] = rest[-LONGEST_UNFINISHED:]
        for line in lines:
            text = line.decode(errors="replace").rstrip()
            if text and (self._verbose or is_trouble(text)):
                self.say(name, text[:LONGEST_LINE])

    def summary(self, rows: list[tuple[str, str]]) -> None:
        """Everything runs: where, and what to do next."""
        self._console.print()
        for name, text in rows:
            line = Text(f"{name:<22}", style="bold")
            line.append(text, style="not bold")
            self._console.print(line, soft_wrap=True, highlight=False)


def summary_rows(environment: Environment, *, address: str, demo: bool) -> list[tuple[str, str]]:
    """What somebody who started the product needs to know, as (name, text)."""
    state = environment.state_dir
    rows = [("Uptime is running at", address)]
    rows += _logins(state) if demo else [("First operator", FIRST_OPERATOR)]
    if environment.email.host:
        rows.append(("Mail goes", f"to {environment.email.host}:{environment.email.port}"))
    else:
        page = f"{address.rstrip('/')}/ops/mail/"
        rows.append(("Mail goes", f"to files in {state / 'mail'}; operators read it at {page}"))
    return [*rows, ("Logs", str(state / "logs")), ("Stop", "Ctrl-C")]


def _logins(state: Path) -> list[tuple[str, str]]:
    """What the demo left in demo.json: {"logins": [{"role", "email", "password"}]}."""
    try:
        logins = json.loads((state / "demo.json").read_text())["logins"]
        return [
            (f"{str(entry['role']).capitalize()} login", f"{entry['email']}  {entry['password']}")
            for entry in logins
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return []

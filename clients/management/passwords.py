"""How the commands that make people come by a password: made, read from standard input, asked for, or left alone."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from getpass import getpass
from typing import Any

from django.core.management.base import CommandError, CommandParser

from clients.models import User
from clients.people import new_password


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The password, None where an existing user keeps theirs; one made here has to be printed."""

    password: str | None
    generated: bool = False


def add_password_arguments(parser: CommandParser) -> None:
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--generate", action="store_true", help="make a password and print it")
    how.add_argument(
        "--password-stdin", action="store_true", help="read the password from standard input"
    )


def choose_password(email: str, options: dict[str, Any]) -> Chosen:
    """As the options say; else asked for at a terminal, and made where there is none."""
    if options["generate"]:
        return Chosen(password=new_password(), generated=True)
    if options["password_stdin"]:
        return Chosen(password=sys.stdin.readline().rstrip("\n"))
    if User.objects.filter(email=email.strip().lower()).exists():
        return Chosen(password=None)
    if not sys.stdin.isatty():
        return Chosen(password=new_password(), generated=True)
    password = getpass("Password (at least 10 characters): ")
    if getpass("Once more: ") != password:
        raise CommandError("The two passwords differ.")
    return Chosen(password=password)

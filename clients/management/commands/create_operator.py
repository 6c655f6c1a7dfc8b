"""`manage.py create_operator EMAIL`: the first operator of an installation without the demo, and every further one."""

from __future__ import annotations

import sys
from argparse import RawDescriptionHelpFormatter
from getpass import getpass
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from clients.models import User
from clients.operators import make_operator
from clients.people import new_password

EXAMPLES = """
examples:
  manage.py create_operator ada@example.com                asks for a password
  manage.py create_operator ada@example.com --generate     makes one and prints it
  echo "$PASSWORD" | manage.py create_operator ada@example.com --password-stdin

A user who exists already becomes an operator and keeps the password, unless one is given or generated.
"""


class Command(BaseCommand):
    help = "Make an operator: somebody of the service's staff, who sees the fleet and no tenant's secrets."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLES
        parser.add_argument("email", metavar="EMAIL", help="signs in with this address")
        how = parser.add_mutually_exclusive_group()
        how.add_argument("--generate", action="store_true", help="make a password and print it")
        how.add_argument(
            "--password-stdin", action="store_true", help="read the password from standard input"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        email = options["email"].strip().lower()
        password: str | None
        generated = options["generate"]
        if generated:
            password = new_password()
        elif options["password_stdin"]:
            password = sys.stdin.readline().rstrip("\n")
        elif User.objects.filter(email=email).exists():
            password = None
        elif sys.stdin.isatty():
            password = self._ask()
        else:
            generated, password = True, new_password()
        try:
            made = make_operator(email, password=password)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        verb = "is a new operator" if made.created else "is an operator"
        self.stdout.write(f"{made.user.email} {verb}.")
        if generated:
            self.stdout.write(f"Password: {password}")
        elif not made.password_set:
            self.stdout.write("The password is as it was.")

    def _ask(self) -> str:
        password = getpass("Password (at least 10 characters): ")
        if getpass("Once more: ") != password:
            raise CommandError("The two passwords differ.")
        return password
